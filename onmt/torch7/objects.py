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
    """The memory that tensors are views of; tensors with the same Storage share memory.

    `array` has one dimension and is read-only, a view into the file's bytes if the encoding allows it.
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
        """Index of the last element in the storage, for a tensor that isn't empty."""
        reach = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return self.offset + reach

    @property
    def overlaps(self) -> bool:
        """Whether there are more elements than the storage holds, as in expanded tensors. A copy may then be
        larger than the file.
        """
        return self.elements > (0 if self.storage is None else self.storage.array.size)

    def numpy(self) -> Array:
        """Return a read-only view of the storage in the tensor's shape; shape (0,) if it is empty.

        A tensor that `overlaps` may be too large for numpy: the file's size doesn't limit its shape.
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
        """Return the value under `key`, else `default`. In Lua, a missing key is the same as nil."""
        return self.entries.get(key, default)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def items(self) -> Iterator[tuple["Key", "Value"]]:
        """Iterate over all pairs in the order of the file, which has no meaning in Lua."""
        return iter(self.entries.items())

    def sequence(self) -> list["Value"]:
        """Return the values under 1, 2, 3... up to the first gap, as Lua's `ipairs` does."""
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
    """A boolean used as a table key. In Python, True == 1, so a bare True would collide with the key 1."""

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
OPAQUE = frozenset(("onmt.MaskedSoftmax",))  # no parameters inside, and modules that depend on the last batch
TENSOR_OF_NUMBERS = frozenset(
    f"torch.{name}Tensor" for name in ("Float", "Double", "Half", "Cuda", "CudaDouble", "CudaHalf")
)


class StructureError(Exception):
    """A model deviates from the structure that OpenNMT Lua builds. The message doesn't name the file."""


def as_table(value: Value, what: str) -> Table:
    """Return `value` if it is a table. Raises StructureError otherwise."""
    if not isinstance(value, Table):
        raise StructureError(f"{what} is missing or not a table")
    return value


def as_whole(value: Value, what: str) -> int:
    """Return `value` as int if it is a whole number of at most 31 bits. Raises StructureError otherwise."""
    if not isinstance(value, float) or not value.is_integer() or abs(value) >= 2**31:
        raise StructureError(f"{what} is missing or not a whole number")
    return int(value)


def as_instance(value: Value, what: str, *classes: str) -> TorchObject:
    """Return `value` if it is an instance of one of the classes, or of any if none are given. Raises
    StructureError otherwise.
    """
    if not isinstance(value, TorchObject):
        raise StructureError(f"{what} is missing or not a module")
    if classes and value.class_name not in classes:
        raise StructureError(f"{what} is a {value.class_name}, not a {' or '.join(classes)}")
    return value


def children(module: TorchObject) -> list[TorchObject]:
    """Return the modules directly inside a container, in order; none if it isn't a container."""
    modules = module.get("modules")
    if modules is None:
        return []
    inside = as_table(modules, f"the list of modules in a {module.class_name}").sequence()
    return [as_instance(child, f"a module inside a {module.class_name}") for child in inside]


def descendants(module: TorchObject) -> Iterator[TorchObject]:
    """Yield the module and all modules inside it, except inside `OPAQUE` ones, parents first, each once."""
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
    """Raise StructureError if a network contains a class that no standard model has."""
    for part in descendants(module):
        if part.class_name not in KNOWN_CLASSES:
            raise StructureError(
                f"it contains a {part.class_name}, which this program has no counterpart for"
            )


def of_class(modules: Iterator[TorchObject] | list[TorchObject], *classes: str) -> list[TorchObject]:
    """Return the modules that are of one of the classes."""
    return [module for module in modules if module.class_name in classes]


def only(modules: list[TorchObject], what: str) -> TorchObject:
    """Return the only module of a list. Raises StructureError if there are none or several."""
    if len(modules) != 1:
        raise StructureError(f"{len(modules)} {what} where one is expected")
    return modules[0]


def in_order_of_inputs(
    graph: TorchObject, modules: list[TorchObject], last_first: bool = False
) -> list[TorchObject]:
    """Sort modules that read inputs of an nn.gModule by the index of their input.

    If the graph doesn't show the inputs, the modules keep their order, in which the graph runs them.
    """
    nodes = {id(node.get("module")): node for node in _nodes(graph)}
    return sorted(modules, key=lambda module: _input_read(nodes.get(id(module))), reverse=last_first)


def _nodes(graph: TorchObject) -> list[Table]:
    """Return nngraph's data of each node: `module`, `mapindex` (data of its input nodes), `selectindex`."""
    nodes = graph.get("forwardnodes")
    if not isinstance(nodes, Table):
        return []
    notes = [node.get("data") for node in nodes.sequence() if isinstance(node, TorchObject)]
    return [note for note in notes if isinstance(note, Table)]


def _input_read(node: Table | None) -> float:
    """Return the index of the graph's input that a node reads, from 1; 0 if it can't be traced."""
    for _ in range(4):  # back from the layer, via its input's nn.Identity, to the node that splits the inputs
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
    """Return a parameter tensor of a layer. Raises StructureError unless it is a non-empty float tensor with
    this number of dimensions.
    """
    tensor = module.get(name)
    if not isinstance(tensor, Tensor) or tensor.class_name not in TENSOR_OF_NUMBERS:
        raise StructureError(f"a {module.class_name} without a tensor '{name}'")
    if len(tensor.shape) != dimensions or tensor.elements == 0 or tensor.overlaps:
        shape = " x ".join(map(str, tensor.shape))
        raise StructureError(f"a '{name}' of a {module.class_name} with the shape ({shape})")
    return tensor


def probability(module: TorchObject) -> float:
    """Return the drop probability of a dropout layer."""
    value = module.get("p")
    if isinstance(value, bool) or not isinstance(value, float) or not 0 <= value <= 1:
        raise StructureError(f"a {module.class_name} without a probability")
    return value


DEPTH = 8
NOTES = frozenset(("_is_default", "_structural", "_init_only", "_train_state"))  # Lua's data about options


def text(value: str) -> str:
    """Make a string of the file printable: bytes that are not valid UTF-8 become `\\xNN`."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class LuaOptions:
    """All options by name, in plain Python: whole numbers as int, sequences as list, other tables as dict."""

    values: dict[str, Any]

    @classmethod
    def read(cls, options: Value) -> "LuaOptions":
        """Read the `options` of a model; none if they are missing."""
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
        """`-time_shift_feature` of the stored preprocessing options, else of the model's; true if unknown."""
        preprocess = self.values.get("preprocess")
        if isinstance(preprocess, dict) and "time_shift_feature" in preprocess:
            return preprocess["time_shift_feature"] not in (False, 0)
        return self.values.get("time_shift_feature", True) not in (False, 0)

    def fixed(self, side: Literal["enc", "dec"]) -> bool:
        """Whether `-fix_word_vecs_enc` or `_dec` is set: a number in old models, later a boolean or word."""
        return self._switch(f"fix_word_vecs_{side}")

    def number(self, name: str, default: float) -> float:
        """Return a numeric option, or `default` if the model has no such number."""
        value = self.values.get(name)
        return default if isinstance(value, bool) or not isinstance(value, int | float) else value

    def word(self, name: str) -> str | None:
        """Return a string option, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def _switch(self, name: str) -> bool:
        return self.values.get(name, False) not in (False, 0, "", "false")


def _plain(value: Value, known: dict[int, Any], depth: int) -> Any:
    """Convert a Lua value to plain Python; unsupported objects become None, shared references stay shared."""
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
