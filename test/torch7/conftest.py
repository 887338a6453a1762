"""Writers of Torch7 files and of OpenNMT Lua's models.

The file format is that of torch7's `File.lua` and `THDiskFile.c`. golden/NAME.json.gz holds a model of the
original program: its structure, its weights in traversal order, and its results for two sentences.
"""

import gzip
import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from onmt.torch7.convert import convert_model
from onmt.torch7.objects import BooleanKey, LuaFunction, Storage, Table, Tensor, TorchObject, Value

FIXTURES = Path(__file__).parent / "golden"
ELEMENTS = {
    "torch.Storage": np.float32,  # the name of torch.CudaStorage after "Cuda" is removed
    "torch.DoubleStorage": np.float64,
    "torch.FloatStorage": np.float32,
    "torch.HalfStorage": np.float16,
    "torch.LongStorage": np.int64,
    "torch.IntStorage": np.int32,
    "torch.ShortStorage": np.int16,
    "torch.CharStorage": np.int8,
    "torch.ByteStorage": np.uint8,
}


class BinaryWriter:
    """Torch7's binary encoding with longs of `long_size` bytes."""

    def __init__(self, long_size: int = 8) -> None:
        self.parts: list[bytes] = []
        self.long_code = "q" if long_size == 8 else "i"
        self.numbers_of: dict[int, int] = {}

    def content(self) -> bytes:
        return b"".join(self.parts)

    def integer(self, value: int) -> None:
        self.parts.append(struct.pack("<i", value))

    def longs(self, values: tuple[int, ...]) -> None:
        self.parts.append(struct.pack(f"<{len(values)}{self.long_code}", *values))

    def double(self, value: float) -> None:
        self.parts.append(struct.pack("<d", value))

    def characters(self, value: bytes) -> None:
        self.parts.append(value)

    def elements(self, array: np.ndarray) -> None:
        if array.dtype == np.int64:
            self.longs(tuple(array.tolist()))
        else:
            self.parts.append(array.tobytes())

    def string(self, value: bytes) -> None:
        self.integer(len(value))
        self.characters(value)

    def value(self, value: Value) -> None:
        if value is None:
            self.integer(0)
        elif isinstance(value, bool | BooleanKey):
            self.integer(5)
            self.integer(int(value if isinstance(value, bool) else value.value))
        elif isinstance(value, int | float):
            self.integer(1)
            self.double(value)
        elif isinstance(value, str):
            self.integer(2)
            self.string(value.encode("utf-8", "surrogateescape"))
        else:
            self.numbered(value)

    def numbered(self, value: Table | TorchObject | Tensor | Storage | LuaFunction) -> None:
        self.integer(3 if isinstance(value, Table) else 8 if isinstance(value, LuaFunction) else 4)
        known = id(value) in self.numbers_of
        self.integer(self.numbers_of.setdefault(id(value), len(self.numbers_of) + 1))
        if known:
            return
        if isinstance(value, Table):
            self.table(value)
        elif isinstance(value, LuaFunction):
            self.string(b"\x1bLJ bytecode")
            self.value(Table({1.0: Table({"name": "upvalue", "value": 1.5})}))
        else:
            self.string(f"V {value.version if isinstance(value, TorchObject) else 1}".encode())
            self.string(value.class_name.encode())
            self.instance(value)

    def table(self, table: Table) -> None:
        self.integer(len(table.entries))
        for key, value in table.entries.items():
            self.value(key)
            self.value(value)

    def instance(self, value: TorchObject | Tensor | Storage) -> None:
        if isinstance(value, TorchObject):
            self.value(value.fields)
        elif isinstance(value, Storage):
            self.longs((value.array.size,))
            self.elements(value.array.astype(ELEMENTS[value.class_name.replace("Cuda", "")]))
        else:
            self.integer(len(value.shape))
            self.longs(value.shape)
            self.longs(value.stride)
            self.longs((value.offset + 1,))
            self.value(value.storage)


class AsciiWriter(BinaryWriter):
    """Torch7's text encoding."""

    def integer(self, value: int) -> None:
        self.parts.append(b"%d\n" % value)

    def longs(self, values: tuple[int, ...]) -> None:
        self.group(str(value) for value in values)

    def double(self, value: float) -> None:
        self.parts.append(b"%s\n" % format(value, ".17g").encode())

    def characters(self, value: bytes) -> None:
        self.parts.append(value + b"\n" if value else b"")

    def elements(self, array: np.ndarray) -> None:
        if array.dtype.char in "bB":
            self.characters(array.tobytes())
        elif array.dtype.kind == "i":
            self.group(str(value) for value in array.tolist())
        else:
            self.group(format(value, ".9g" if array.itemsize < 8 else ".17g") for value in array.tolist())

    def group(self, items: Iterable[str]) -> None:
        line = " ".join(items)
        self.parts.append(line.encode() + b"\n" if line else b"")


@pytest.fixture
def write_t7() -> Callable[..., bytes]:
    """write_t7(value, encoding="binary" | "ascii", long_size=8 | 4) -> the bytes of a file."""

    def write(value: Value, encoding: str = "binary", long_size: int = 8) -> bytes:
        writer = AsciiWriter() if encoding == "ascii" else BinaryWriter(long_size)
        writer.value(value)
        return writer.content()

    return write


def numbered(values: Iterable[Value]) -> Table:
    """Return a Lua list."""
    return Table({float(index): value for index, value in enumerate(values, start=1)})


def module(class_name: str, *inside: TorchObject, **fields: Value) -> TorchObject:
    """Return a container of nn, or a layer without parameters if no modules are given."""
    return TorchObject(class_name, 1, Table({**({"modules": numbered(inside)} if inside else {}), **fields}))


def graph(*inside: TorchObject, reads: dict[int, int] | None = None) -> TorchObject:
    """Return an nn.gModule; `reads` maps a module's position (from 0) to the input (from 1) that it reads."""
    nodes = []
    for position, number in (reads or {}).items():
        split = Table({"selectindex": float(number)})
        before = Table({"module": TorchObject("nn.Identity", 1), "mapindex": Table({1.0: split})})
        data = Table({"module": inside[position], "mapindex": Table({1.0: before})})
        nodes.append(TorchObject("nngraph.Node", 1, Table({"data": data})))
    return module("nn.gModule", TorchObject("nn.Identity", 1), *inside, forwardnodes=numbered(nodes))


class Part:
    """The layers of a sub-model in traversal order, with parameters in one flat storage as in Lua's training.

    An embedding table that occurs twice (in a bidirectional encoder) is stored once and shared.
    """

    def __init__(self, layers: list[dict]) -> None:
        self.fields: list[Table] = []
        tables: dict[str, Table] = {}
        numbers: list[float] = []
        pending: list[tuple[Table, str, tuple[int, ...], int]] = []
        for layer in layers:
            key = json.dumps(layer["w"])
            if layer["t"] == "nn.LookupTable" and key in tables:
                self.fields.append(tables[key])
                continue
            self.fields.append(tables.setdefault(key, Table()))
            for name, values, shape in self.tensors(layer):
                pending.append((self.fields[-1], name, shape, len(numbers)))
                numbers.extend(values)
        self.storage = Storage("torch.FloatStorage", np.array(numbers, np.float32))
        for fields, name, shape, offset in pending:
            stride = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
            fields.entries[name] = Tensor("torch.FloatTensor", shape, stride, offset, self.storage)
        self.position = 0

    @staticmethod
    def tensors(layer: dict) -> list[tuple[str, list[float], tuple[int, ...]]]:
        weight = ("weight", layer["w"], tuple(layer["s"]))
        return [weight] if "b" not in layer else [weight, ("bias", layer["b"], (len(layer["b"]),))]

    def layer(self, class_name: str, **fields: Value) -> TorchObject:
        """Return the next layer."""
        self.position += 1
        content = {**self.fields[self.position - 1].entries, **fields}
        return TorchObject(class_name, 1, Table(content))


class LuaModelBuilder:
    """Builds a released Lua model from a recipe, weights, and the structure of OpenNMT Lua's networks."""

    def __init__(self, fixture: dict) -> None:
        self.recipe = fixture["model"]
        self.parts = {name: Part(layers) for name, layers in fixture["weights"].items()}

    def build(self) -> Table:
        """Return the table that the model's file holds."""
        models = {"encoder": self.encoder()}
        if "attention" in self.recipe:
            models["bridge"] = self.bridge()
            models["decoder"] = self.decoder()
        else:
            models["generator"] = self.generator(self.parts["generator"])
        if "criterion" in self.parts:
            fields = self.parts["criterion"].fields[0]
            models["criterion"] = Table({"A": fields.get("weight"), "A0": fields.get("bias")})
        dicts = {side: self.dictionaries(self.recipe[side]) for side in ("src", "tgt") if self.recipe[side]}
        options = Table(
            {"brnn_merge": self.recipe.get("merge", "sum"), "residual": self.recipe.get("residual", False)}
        )
        return Table({"models": Table(models), "dicts": Table(dicts), "options": options})

    def dictionaries(self, sizes: list[int]) -> Table:
        dicts = []
        for size in sizes:
            words = ["<blank>", "<unk>", "<s>", "</s>", *(f"w{index}" for index in range(5, size + 1))]
            dicts.append(TorchObject("Dict", 1, Table({"idxToLabel": numbered(words)})))
        return Table({"words": dicts[0], "features": numbered(dicts[1:])})

    def embedding(self, part: Part, sizes: list[int]) -> TorchObject:
        words = module("onmt.WordEmbedding", part.layer("nn.LookupTable"), fix=False)
        if len(sizes) == 1:
            return words
        tables = [part.layer("nn.LookupTable") for _ in sizes[1:]]
        reads = {index: index + 1 for index in range(len(tables))}
        features = (
            graph(*tables, TorchObject("nn.CAddTable", 1), reads=reads) if len(tables) > 1 else graph(*tables)
        )
        parallel = module("nn.ParallelTable", words, module("onmt.FeaturesEmbedding", features))
        return module("nn.Sequential", parallel, TorchObject("nn.JoinTable", 1))

    def stack(self, part: Part, layers: int, residual: bool, size: int = 0) -> TorchObject:
        """Return a stack of recurrent layers.

        `size` is the input width, which decides whether residual connections start at layer 1.
        """
        inside = []
        for index in range(layers):
            if residual and (index > 1 or (index == 1 and size == 12)):
                inside.append(TorchObject("nn.CAddTable", 1))
            if index:
                inside.append(TorchObject("nn.Dropout", 1, Table({"p": 0.0})))
            states = 2 if self.recipe["cell"] == "LSTM" else 1
            reads = {0: states + 1, 1: states}
            inside.append(graph(part.layer("nn.Linear"), part.layer("nn.Linear"), reads=reads))
        return module(f"onmt.{self.recipe['cell']}", graph(*inside))

    def direction(self, layers: int, tables: bool, residual: bool = False, size: int = 0) -> Table:
        part = self.parts["encoder"]
        first = [self.embedding(part, self.recipe["src"])] if tables else []
        network = graph(*first, self.stack(part, layers, residual, size))
        return Table({"name": "Encoder", "modules": numbered([network]), "args": Table()})

    def bidirectional(self, layers: int, tables: bool) -> Table:
        directions = [self.direction(layers, tables) for _ in range(2)]
        args = Table({"brnn_merge": self.recipe["merge"]})
        return Table({"name": "BiEncoder", "modules": numbered(directions), "args": args})

    def encoder(self) -> Table:
        recipe, layers = self.recipe, self.recipe["layers"]
        if recipe["encoder"] == "Encoder":
            residual = recipe.get("residual", False)
            return self.direction(layers, True, residual, 12 if residual else 0)
        if recipe["encoder"] == "BiEncoder":
            return self.bidirectional(layers, True)
        args = Table()
        if recipe["encoder"] == "GoogleEncoder":
            modules: list[Value] = [self.bidirectional(1, True), self.direction(layers - 1, False, True, 12)]
        elif recipe["encoder"] == "PDBiEncoder":
            modules = [self.bidirectional(1, index == 0) for index in range(layers)]
            reduction = {
                "pdbrnn_reduction": float(recipe["reduction"]),
                "pdbrnn_merge": recipe["reduction_merge"],
            }
            args = Table({**reduction})
        else:
            modules = [self.convolutional()]
        return Table({"name": recipe["encoder"], "modules": numbered(modules), "args": args})

    def convolutional(self) -> TorchObject:
        part, kernel = self.parts["encoder"], float(self.recipe["kernel"])
        inside = [self.embedding(part, self.recipe["src"]), part.layer("onmt.PositionEmbedding")]
        inside.append(TorchObject("nn.CAddTable", 1))
        for index in range(self.recipe["cnn_layers"]):
            inside.append(TorchObject("nn.Padding", 1, Table({"pad": kernel - 1})))
            inside.append(part.layer("nn.TemporalConvolution", kW=kernel, dW=1.0))
            inside += [TorchObject("nn.CAddTable", 1)] * bool(index) + [TorchObject("nn.Tanh", 1)]
        return graph(*inside)

    def bridge(self) -> TorchObject:
        if self.recipe["bridge"] == "none":
            return TorchObject("onmt.Bridge", 1)
        if self.recipe["bridge"] == "copy":
            return module("onmt.Bridge", module("nn.MapTable", TorchObject("nn.Identity", 1)))
        matrix, tanh = self.parts["bridge"].layer("nn.Linear"), TorchObject("nn.Tanh", 1)
        return module("onmt.Bridge", module("nn.Sequential", TorchObject("nn.JoinTable", 1), matrix, tanh))

    def decoder(self) -> Table:
        part, recipe = self.parts["decoder"], self.recipe
        embedding = self.embedding(part, recipe["tgt"])
        stack = self.stack(part, recipe["layers"], recipe.get("residual", False))
        matrices = [part.layer("nn.Linear") for _ in range({"general": 2, "concat": 3}[recipe["attention"]])]
        attention = module("onmt.GlobalAttention", graph(*(module("nn.Bottle", one) for one in matrices)))
        network = graph(embedding, TorchObject("nn.JoinTable", 1), stack, attention)
        modules = numbered([network, self.generator(part)])
        return Table({"modules": modules, "args": Table({"scheduled_sampling": 0.5})})

    def generator(self, part: Part) -> TorchObject:
        sizes = self.recipe["tgt"] or self.recipe["src"]
        outputs = [
            module("nn.Sequential", part.layer("nn.Linear"), TorchObject("nn.LogSoftMax", 1)) for _ in sizes
        ]
        return module("onmt.Generator", module("nn.ConcatTable", *outputs))


@pytest.fixture
def load_fixture() -> Callable[[str], dict]:
    """load_fixture(name) -> recipe, weights and results of a model of the original program."""

    def load(name: str) -> dict:
        with gzip.open(FIXTURES / f"{name}.json.gz") as file:
            return json.load(file)

    return load


@pytest.fixture
def lua_model(load_fixture: Callable[[str], dict]) -> Callable[[str], Table]:
    """lua_model(name) -> the table that the `.t7` file of the named fixture holds."""
    return lambda name: LuaModelBuilder(load_fixture(name)).build()


@pytest.fixture
def convert(write_t7: Callable[..., bytes], tmp_path: Path) -> Callable[[Value], dict]:
    """convert(table) -> the content of the checkpoint that the table is converted to."""

    def convert(root: Value) -> dict:
        path = tmp_path / "model.t7"
        path.write_bytes(write_t7(root))
        return convert_model(path)

    return convert
