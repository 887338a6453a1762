"""Torch7 objects as read from a file, the nn modules among them, and the options of a Lua model."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from onmt.spec.layers import Merge

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Storage:
    """A flat run of numbers that tensors look into; tensors with the same Storage share memory.

    `array` has one dimension and is read-only, a view into the file's bytes where the encoding allows it.
    """

    class_name: str
    array: Array


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view into a Storage: `offset` (from 0) and `stride` count elements, not bytes."""

    class_name: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    storage: Storage | None  # None: an empty tensor that never had memory

    @property
    def elements(self) -> int:
        """Number of elements; 0 for Torch7's tensor without dimensions."""
        return math.prod(self.shape) if self.shape else 0

    @property
    def last(self) -> int:
        """The place in memory of the last element, of a tensor that has any."""
        reach = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return self.offset + reach

    @property
    def overlaps(self) -> bool:
        """Whether elements share places in memory, as expanded ones do: a copy may outgrow the file."""
        return self.elements > (0 if self.storage is None else self.storage.array.size)

    def numpy(self) -> Array:
        """A read-only array of the tensor's shape over the memory of its storage; shape (0,) if it is empty.

        A tensor that `overlaps` may be too large for numpy: a file chooses its shape freely.
        """
        if self.storage is None or self.elements == 0:
            return np.zeros(0, dtype=np.float32)
        flat = self.storage.array
        strides = tuple(step * flat.itemsize for step in self.stride)
        return np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, strides, writeable=False)


@dataclass(frozen=True, eq=False)
class LuaFunction:
    """A serialised function. It is recorded as present, never decoded and never run."""


@dataclass(eq=False)
class Table:
    """A Lua table, a `tds.Hash` or a `tds.Vec`. As in Lua, the keys 1 and 1.0 are the same."""

    entries: dict["Key", "Value"] = field(default_factory=dict)

    def get(self, key: "Key", default: "Value" = None) -> "Value":
        """The value under `key`, else `default`: a missing key and nil are the same thing in Lua."""
        return self.entries.get(key, default)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def items(self) -> Iterator[tuple["Key", "Value"]]:
        """All pairs, in the order of the file, which for Lua has no meaning."""
        return iter(self.entries.items())

    def sequence(self) -> list["Value"]:
        """The values under 1, 2, 3... up to the first gap, as Lua's `ipairs` walks them."""
        values: list[Value] = []
        while (value := self.entries.get(float(len(values) + 1))) is not None:
            values.append(value)
        return values


@dataclass(eq=False)
class TorchObject:
    """An instance of a Torch class (`nn.Linear`, `onmt.Generator`...) with the fields it was saved with."""

    class_name: str
    version: int
    fields: Table = field(default_factory=Table)

    def get(self, name: str) -> "Value":
        """The field `name`, or None."""
        return self.fields.get(name)


@dataclass(frozen=True)
class BooleanKey:
    """A boolean used as a table key: Python would take a bare True for 1."""

    value: bool


Key: TypeAlias = str | float | BooleanKey | Table | TorchObject | Tensor | Storage | LuaFunction
Value: TypeAlias = bool | str | float | Table | TorchObject | Tensor | Storage | LuaFunction | None


DROPOUTS = frozenset(("nn.Dropout", "onmt.VDropout", "onmt.VariationalDropout"))
ATTENTIONS = frozenset(("onmt.GlobalAttention", "onmt.NoAttention"))
RECURRENT = frozenset(("onmt.LSTM", "onmt.GRU"))
KNOWN_CLASSES = (
    DROPOUTS
    | ATTENTIONS
    | RECURRENT
    | frozenset(
        """
        nn.Bottle nn.CAddTable nn.CMulTable nn.ConcatTable nn.Identity nn.JoinTable nn.Linear nn.LogSoftMax
        nn.LookupTable nn.MM nn.MapTable nn.MulConstant nn.Padding nn.ParallelTable nn.Replicate nn.Reshape
        nn.Select nn.SelectTable nn.Sequential nn.Sigmoid nn.SoftMax nn.SplitTable nn.Squeeze nn.Sum nn.Tanh
        nn.TemporalConvolution nn.View nn.gModule onmt.Bridge onmt.FeaturesEmbedding onmt.FeaturesGenerator
        onmt.Generator onmt.JoinReplicateTable onmt.MaskedSoftmax onmt.PositionEmbedding onmt.WordEmbedding
        """.split()
    )
)
OPAQUE = frozenset(("onmt.MaskedSoftmax",))  # no parameters inside, and a shape that its last batch gave it
TENSOR_OF_NUMBERS = frozenset(
    f"torch.{name}Tensor" for name in ("Float", "Double", "Half", "Cuda", "CudaDouble", "CudaHalf")
)


class StructureError(Exception):
    """Something in a model is not as OpenNMT Lua makes it; the message says what, without the file's name."""


def as_table(value: Value, what: str) -> Table:
    """`value` if it is a table."""
    if not isinstance(value, Table):
        raise StructureError(f"{what} is missing or not a table")
    return value


def as_whole(value: Value, what: str) -> int:
    """`value` if it is a whole number of a reasonable size."""
    if not isinstance(value, float) or not value.is_integer() or abs(value) >= 2**31:
        raise StructureError(f"{what} is missing or not a whole number")
    return int(value)


def as_instance(value: Value, what: str, *classes: str) -> TorchObject:
    """`value` if it is an instance of one of the classes (none given: of any)."""
    if not isinstance(value, TorchObject):
        raise StructureError(f"{what} is missing or not a module")
    if classes and value.class_name not in classes:
        raise StructureError(f"{what} is a {value.class_name}, not a {' or '.join(classes)}")
    return value


def children(module: TorchObject) -> list[TorchObject]:
    """The modules directly inside a container, in order."""
    modules = module.get("modules")
    if modules is None:
        return []
    inside = as_table(modules, f"the list of modules in a {module.class_name}").sequence()
    return [as_instance(child, f"a module inside a {module.class_name}") for child in inside]


def descendants(module: TorchObject) -> Iterator[TorchObject]:
    """The module and everything inside it, parents first, each once."""
    seen: set[int] = set()
    pending = [module]
    while pending:
        module = pending.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield module
        if module.class_name not in OPAQUE:
            pending.extend(reversed(children(module)))


def check_classes(module: TorchObject) -> None:
    """Refuse a network with a class that no standard model has."""
    for part in descendants(module):
        if part.class_name not in KNOWN_CLASSES:
            raise StructureError(
                f"it contains a {part.class_name}, which this program has no counterpart for"
            )


def of_class(modules: Iterator[TorchObject] | list[TorchObject], *classes: str) -> list[TorchObject]:
    """Those of the modules that are of one of the classes."""
    return [module for module in modules if module.class_name in classes]


def only(modules: list[TorchObject], what: str) -> TorchObject:
    """The one module of a list."""
    if len(modules) != 1:
        raise StructureError(f"{len(modules)} {what} where one is expected")
    return modules[0]


def in_order_of_inputs(
    graph: TorchObject, modules: list[TorchObject], last_first: bool = False
) -> list[TorchObject]:
    """Modules that read inputs of an nn.gModule, sorted by which input they read.

    Where the graph does not tell, they keep the order in which the graph runs them.
    """
    nodes = {id(node.get("module")): node for node in _nodes(graph)}
    return sorted(modules, key=lambda module: _input_read(nodes.get(id(module))), reverse=last_first)


def _nodes(graph: TorchObject) -> list[Table]:
    """What nngraph notes of each node: `module`, `mapindex` (notes of the nodes before it), `selectindex`."""
    nodes = graph.get("forwardnodes")
    if not isinstance(nodes, Table):
        return []
    notes = [node.get("data") for node in nodes.sequence() if isinstance(node, TorchObject)]
    return [note for note in notes if isinstance(note, Table)]


def _input_read(node: Table | None) -> float:
    """The number of the graph's input that a node reads, 0 if the way back does not tell."""
    for _ in range(4):  # from the layer over the input's own nn.Identity to the node that splits the inputs
        if node is None:
            return 0.0
        index = node.get("selectindex")
        if isinstance(index, float):
            return index
        before = node.get("mapindex")
        first = before.get(1.0) if isinstance(before, Table) else None
        node = first if isinstance(first, Table) else None
    return 0.0


def parameter(module: TorchObject, name: str, dimensions: int) -> Tensor:
    """A trained tensor of a layer."""
    tensor = module.get(name)
    if not isinstance(tensor, Tensor) or tensor.class_name not in TENSOR_OF_NUMBERS:
        raise StructureError(f"a {module.class_name} without a tensor '{name}'")
    if len(tensor.shape) != dimensions or tensor.elements == 0 or tensor.overlaps:
        shape = " x ".join(map(str, tensor.shape))
        raise StructureError(f"a '{name}' of a {module.class_name} with the shape ({shape})")
    return tensor


def probability(module: TorchObject) -> float:
    """The probability with which a dropout layer drops."""
    value = module.get("p")
    if isinstance(value, bool) or not isinstance(value, float) or not 0 <= value <= 1:
        raise StructureError(f"a {module.class_name} without a probability")
    return value


DEPTH = 8
NOTES = frozenset(("_is_default", "_structural", "_init_only", "_train_state"))  # Lua's notes on the options


def text(value: str) -> str:
    """A string of the file; bytes that are no UTF-8 become `\\xNN`, so that everything can be printed."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class LuaOptions:
    """Every option by name, as its Lua value: whole numbers as int, lists as list, other tables as dict."""

    values: dict[str, Any]

    @classmethod
    def read(cls, options: Value) -> "LuaOptions":
        """From the `options` of a model; a model without any has none."""
        if options is None:
            return cls({})
        values = _plain(options, {}, DEPTH)
        if not isinstance(values, dict):
            raise StructureError("its options are not a table")
        return cls({key: value for key, value in values.items() if key not in NOTES})

    @property
    def residual(self) -> bool:
        """`-residual`."""
        return self._switch("residual")

    @property
    def brnn_merge(self) -> Merge:
        """`-brnn_merge`."""
        return "concat" if self.values.get("brnn_merge") == "concat" else "sum"

    @property
    def features_shifted(self) -> bool:
        """`-time_shift_feature` of the preprocessing where that was kept, true where nothing was."""
        preprocess = self.values.get("preprocess")
        if isinstance(preprocess, dict) and "time_shift_feature" in preprocess:
            return preprocess["time_shift_feature"] not in (False, 0)
        return self.values.get("time_shift_feature", True) not in (False, 0)

    def fixed(self, side: Literal["enc", "dec"]) -> bool:
        """`-fix_word_vecs_enc` or `-fix_word_vecs_dec`: a number in old models, a boolean or a word later."""
        return self._switch(f"fix_word_vecs_{side}")

    def number(self, name: str, default: float) -> float:
        """An option that is a number; Lua's default where the model does not have it."""
        value = self.values.get(name)
        return default if isinstance(value, bool) or not isinstance(value, int | float) else value

    def word(self, name: str) -> str | None:
        """An option that is a word, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def _switch(self, name: str) -> bool:
        return self.values.get(name, False) not in (False, 0, "", "false")


def _plain(value: Value, known: dict[int, Any], depth: int) -> Any:
    """A value without Lua's tables; what has no plain form becomes None, what is shared stays shared."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if not isinstance(value, Table):
        return value if isinstance(value, bool) else None
    if id(value) in known:
        return known[id(value)]
    if depth == 0:
        raise StructureError(f"its options are nested more than {DEPTH} deep")
    sequence = value.sequence()
    if len(sequence) == len(value):
        content: Any = [_plain(item, known, depth - 1) for item in sequence]
    else:
        pairs = ((key, item) for key, item in value.items() if isinstance(key, str | float))
        content = {_key(key): _plain(item, known, depth - 1) for key, item in pairs}
    known[id(value)] = content
    return content


def _key(key: str | float) -> str:
    return text(key) if isinstance(key, str) else format(key, "g")
