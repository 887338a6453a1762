"""A writer of Torch7 files, so that tests can make theirs. Format: torch7's `File.lua` and `THDiskFile.c`."""

import struct
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from onmt.torch7.objects import BooleanKey, LuaFunction, Storage, Table, Tensor, TorchObject, Value

ELEMENTS = {
    "torch.Storage": np.float32,  # torch.CudaStorage without its Cuda
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
