"""Reader of Torch7's serialised files (`.t7`), binary or text. Nothing in a file is ever executed.

Format: torch7's `File.lua`. Each value starts with its kind; tables, class instances and functions carry a
number by which later values refer back to them. The reader keeps its own stack, so that a deeply nested file
cannot exhaust Python's.
"""

import mmap
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from onmt.errors import CheckpointError
from onmt.torch7.objects import BooleanKey, Key, LuaFunction, Storage, Table, Tensor, TorchObject, Value
from onmt.torch7.stream import AsciiStream, BinaryStream, Buffer, DType, Stream

NIL: Final = 0
NUMBER: Final = 1
STRING: Final = 2
TABLE: Final = 3
TORCH: Final = 4
BOOLEAN: Final = 5
OLD_FUNCTION: Final = 6  # carries no number, so nothing can refer back to it
OLD_CLOSURE: Final = 7
CLOSURE: Final = 8

ELEMENT_TYPES: Final[dict[str, DType]] = {
    "Double": np.dtype(np.float64),
    "Float": np.dtype(np.float32),
    "Half": np.dtype(np.float16),
    "Long": np.dtype(np.int64),
    "Int": np.dtype(np.int32),
    "Short": np.dtype(np.int16),
    "Char": np.dtype(np.int8),
    "Byte": np.dtype(np.uint8),
}


def _element_types(suffix: str) -> dict[str, DType]:
    """Map class names to element types, for CPU and GPU classes alike: both write the same bytes."""
    types = {f"torch.{name}{suffix}": dtype for name, dtype in ELEMENT_TYPES.items()}
    types |= {f"torch.Cuda{name}{suffix}": dtype for name, dtype in ELEMENT_TYPES.items() if name != "Float"}
    return types | {f"torch.Cuda{suffix}": ELEMENT_TYPES["Float"]}


TENSOR_TYPES: Final = _element_types("Tensor")
STORAGE_TYPES: Final = _element_types("Storage")
VECTOR_CLASSES: Final = frozenset(("tds.Vec", "tds_vec"))
HASH_CLASSES: Final = frozenset(("tds.Hash", "tds_hash"))


@dataclass(frozen=True)
class Limits:
    """Limits far above any real model. Sizes of storages are limited by the file's own size."""

    values: int = 20_000_000
    depth: int = 20_000
    dimensions: int = 32


def read_t7(path: str | Path, limits: Limits = Limits()) -> Value:
    """Read the file at `path`; tensors are views into it, so unused ones take no memory.

    Raises CheckpointError when the file cannot be opened, is truncated, malformed, or exceeds `limits`.
    """
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"'{path}' is not a valid Torch7 file: it is empty") from error
    return parse_t7(data, str(path), limits)


def parse_t7(data: Buffer, name: str, limits: Limits = Limits()) -> Value:
    """Read the value in `data`; `name` is the file's name in messages.

    Raises CheckpointError if `data` is truncated, malformed, or exceeds `limits`.
    """
    if len(data) >= 2 and data[0:1].isdigit() and data[1:2].isspace():
        return _Reader(AsciiStream(data, name), limits).read()
    try:
        return _Reader(BinaryStream(data, name), limits).read()
    except CheckpointError:
        # files don't record the size of their longs: accept 4 bytes if every byte of the file gets used
        stream = BinaryStream(data, name, long_size=4)
        with suppress(CheckpointError):
            value = _Reader(stream, limits).read()
            if stream.position == len(data):
                return value
        raise


@dataclass
class _Frame:
    """A container whose content is still being read. remaining: the number of values to come."""

    remaining: int

    def accept(self, value: Value) -> None:
        """Take the next value."""
        raise NotImplementedError


@dataclass
class _PairsFrame(_Frame):
    """The keys and values of a table, which alternate."""

    table: Table
    stream: Stream
    key: Key | None = None

    def accept(self, value: Value) -> None:
        if self.key is None:
            if value is None or value != value:
                raise self.stream.error("a table key that is nil or not a number")
            self.key = BooleanKey(value) if isinstance(value, bool) else value
        else:
            if value is not None:
                self.table.entries[self.key] = value
            self.key = None


@dataclass
class _VectorFrame(_Frame):
    """The values of a `tds.Vec`, stored under the keys 1, 2, 3..."""

    table: Table
    count: int = 0

    def accept(self, value: Value) -> None:
        self.count += 1
        if value is not None:
            self.table.entries[float(self.count)] = value


@dataclass
class _FieldsFrame(_Frame):
    """The single table that holds the fields of a class instance."""

    instance: TorchObject
    stream: Stream

    def accept(self, value: Value) -> None:
        if not isinstance(value, Table):
            raise self.stream.error(f"a {self.instance.class_name} without a table of fields")
        self.instance.fields = value


class _IgnoredFrame(_Frame):
    """The upvalues of a function, which are skipped."""

    def accept(self, value: Value) -> None:
        pass


class _Reader:
    """One pass over one stream."""

    def __init__(self, stream: Stream, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._known: dict[int, Value] = {}
        self._frames: list[_Frame] = []
        self._values = 0

    def read(self) -> Value:
        """Read the stream's first value and all its content."""
        root = self._value()
        while self._frames:
            frame = self._frames[-1]
            if frame.remaining == 0:
                self._frames.pop()
            else:
                frame.remaining -= 1
                frame.accept(self._value())
        return root

    def _value(self) -> Value:
        """Read the next value. A container is returned empty; a frame pushed on the stack will fill it."""
        self._values += 1
        if self._values > self._limits.values:
            raise self._stream.error(f"more than {self._limits.values} values")
        kind = self._stream.integer()
        if kind == NIL:
            return None
        if kind == NUMBER:
            return self._stream.double()
        if kind == STRING:
            return self._string()
        if kind == BOOLEAN:
            return self._stream.integer() == 1
        if kind == OLD_FUNCTION:
            return self._function()
        if kind in (TABLE, TORCH, OLD_CLOSURE, CLOSURE):
            return self._numbered(kind)
        raise self._stream.error(f"unknown kind of value {kind}")

    def _numbered(self, kind: int) -> Value:
        """Read a value's number; return the known value of that number, or read a new one."""
        number = self._stream.integer()
        if number in self._known:
            return self._known[number]
        if kind == TORCH:
            return self._instance(number)
        value = self._table() if kind == TABLE else self._function()
        self._known[number] = value
        return value

    def _string(self) -> str:
        return self._stream.characters(self._stream.integer()).decode("utf-8", "surrogateescape")

    def _push(self, frame: _Frame) -> None:
        if frame.remaining < 0:
            raise self._stream.error(f"negative number of values ({frame.remaining})")
        if len(self._frames) >= self._limits.depth:
            raise self._stream.error(f"values nested more than {self._limits.depth} deep")
        self._frames.append(frame)

    def _table(self) -> Table:
        table = Table()
        self._push(_PairsFrame(2 * self._stream.integer(), table, self._stream))
        return table

    def _function(self) -> LuaFunction:
        self._stream.characters(self._stream.integer())
        self._push(_IgnoredFrame(1))
        return LuaFunction()

    def _instance(self, number: int) -> Value:
        """Read a class instance; register it before its fields are read, as these may refer back to it."""
        version = self._string()
        # in older files, the class name stands in place of the version
        class_name, version = (self._string(), version[2:]) if version.startswith("V ") else (version, "0")
        if not class_name.isprintable():
            raise self._stream.error(f"a class with the impossible name {class_name!r}")
        if class_name in STORAGE_TYPES:
            self._known[number] = storage = self._storage(class_name)
            return storage
        if class_name in TENSOR_TYPES:
            self._known[number] = tensor = self._tensor(class_name)
            return tensor
        if class_name in VECTOR_CLASSES or class_name in HASH_CLASSES:
            self._known[number] = table = self._collection(class_name)
            return table
        instance = TorchObject(class_name, int(version) if version.isdecimal() else 0)
        self._known[number] = instance
        self._push(_FieldsFrame(1, instance, self._stream))
        return instance

    def _collection(self, class_name: str) -> Table:
        table = Table()
        count = self._stream.longs(1)[0]
        if class_name in VECTOR_CLASSES:
            self._push(_VectorFrame(count, table))
        else:
            self._push(_PairsFrame(2 * count, table, self._stream))
        return table

    def _storage(self, class_name: str) -> Storage:
        count = self._stream.longs(1)[0]
        return Storage(class_name, self._stream.numbers(count, STORAGE_TYPES[class_name]))

    def _tensor(self, class_name: str) -> Tensor:
        dimensions = self._stream.integer()
        if not 0 <= dimensions <= self._limits.dimensions:
            raise self._stream.error(f"a tensor with {dimensions} dimensions")
        shape = tuple(self._stream.longs(dimensions))
        stride = tuple(self._stream.longs(dimensions))
        offset = self._stream.longs(1)[0] - 1
        storage = self._value()
        if storage is not None and not isinstance(storage, Storage):
            raise self._stream.error("a tensor whose memory is not a storage")
        tensor = Tensor(class_name, shape, stride, offset, storage)
        self._check_bounds(tensor)
        return tensor

    def _check_bounds(self, tensor: Tensor) -> None:
        """Raise CheckpointError if a tensor reaches outside of its storage or differs from it in type."""
        storage = tensor.storage
        if storage is not None and STORAGE_TYPES[storage.class_name] != TENSOR_TYPES[tensor.class_name]:
            raise self._stream.error(f"a {tensor.class_name} over a {storage.class_name}")
        if any(size < 0 for size in tensor.shape) or any(step < 0 for step in tensor.stride):
            raise self._stream.error("a tensor with a negative size or stride")
        if tensor.elements == 0:
            return
        if storage is None or tensor.offset < 0 or tensor.last >= storage.array.size:
            raise self._stream.error("a tensor that reaches outside of its memory")
