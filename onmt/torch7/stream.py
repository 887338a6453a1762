"""The two encodings of Torch7 files as streams of numbers and bytes; every length is checked before use.

Formats: torch7's `THDiskFile.c`. Integers are signed; the binary encoding is assumed to be little-endian.
"""

import mmap
import re
import struct
from typing import Any, Protocol, TypeAlias

import numpy as np

from onmt.errors import CheckpointError
from onmt.torch7.objects import Array

Buffer: TypeAlias = bytes | mmap.mmap
DType: TypeAlias = np.dtype[Any]

NUMBER_LIMIT = 64  # characters: the longest number Torch7 prints has 24
TOKEN = re.compile(rb"[ \t\r\n\v\f]*([^ \t\r\n\v\f]{1,%d})" % NUMBER_LIMIT)
RAW_TYPES = frozenset("bB")  # characters of Char and Byte storages stay bytes in the text encoding too


class Stream(Protocol):
    """The methods of an encoding that the object reader needs."""

    @property
    def position(self) -> int:
        """Byte offset of the next item."""

    def error(self, what: str) -> CheckpointError:
        """Build an error that says `what` is wrong at the current position."""

    def integer(self) -> int:
        """Read a C int."""

    def longs(self, count: int) -> list[int]:
        """Read `count` C longs."""

    def double(self) -> float:
        """Read a C double."""

    def characters(self, count: int) -> bytes:
        """Read `count` bytes, as written by `writeChar`."""

    def numbers(self, count: int, dtype: DType) -> Array:
        """Read `count` elements of a storage, as a read-only array."""


class _Base:
    """Position, name and length checks, common to both encodings."""

    def __init__(self, data: Buffer, name: str) -> None:
        self._data = data
        self._name = name
        self._position = 0

    @property
    def position(self) -> int:
        return self._position

    def error(self, what: str) -> CheckpointError:
        return CheckpointError(f"'{self._name}' is not a valid Torch7 file: {what} at byte {self._position}")

    def _check(self, count: int, size: int, what: str) -> int:
        """Return the number of bytes of `count` items of `size` bytes each.

        Raises CheckpointError if the file has fewer.
        """
        if count < 0:
            raise self.error(f"negative number of {what} ({count})")
        left = len(self._data) - self._position
        if count * size > left:
            raise self.error(f"the file ends inside {what} ({count} needed, {left // size} left)")
        return count * size


class BinaryStream(_Base):
    """Torch7's default encoding. `long_size` is 8, or 4 for files from 32-bit machines and from Windows."""

    def __init__(self, data: Buffer, name: str, long_size: int = 8) -> None:
        super().__init__(data, name)
        self._long = "q" if long_size == 8 else "i"

    def _unpack(self, code: str, count: int, what: str) -> tuple[Any, ...]:
        layout = f"<{count}{code}"
        length = self._check(count, struct.calcsize(f"<{code}"), what)
        values = struct.unpack_from(layout, self._data, self._position)
        self._position += length
        return values

    def integer(self) -> int:
        return int(self._unpack("i", 1, "an integer")[0])

    def longs(self, count: int) -> list[int]:
        return list(self._unpack(self._long, count, "long integers"))

    def double(self) -> float:
        return float(self._unpack("d", 1, "a number")[0])

    def characters(self, count: int) -> bytes:
        length = self._check(count, 1, "characters")
        start = self._position
        self._position += length
        return self._data[start : start + length]

    def numbers(self, count: int, dtype: DType) -> Array:
        stored = np.dtype("<i4") if dtype == np.int64 and self._long == "i" else dtype.newbyteorder("<")
        length = self._check(count, stored.itemsize, "the numbers of a tensor")
        if count == 0:
            return np.zeros(0, dtype)
        array = np.frombuffer(self._data, stored, count, self._position)
        self._position += length
        array.flags.writeable = False
        return array


class AsciiStream(_Base):
    """Torch7's text encoding: one blank between numbers, one line feed after each group of them."""

    def _token(self, what: str) -> bytes:
        match = TOKEN.match(self._data, self._position)
        if match is None or match.end() == len(self._data):  # a number at the very end may be truncated
            raise self.error(f"the file ends where {what} should stand")
        self._position = match.end()
        return match.group(1)

    def _end_of_group(self) -> None:
        if self._data[self._position : self._position + 1] == b"\n":
            self._position += 1

    def _whole(self, what: str) -> int:
        token = self._token(what)
        try:
            return int(token)
        except ValueError:
            raise self.error(f"{token!r} instead of {what}") from None

    def integer(self) -> int:
        value = self._whole("an integer")
        self._end_of_group()
        return value

    def longs(self, count: int) -> list[int]:
        self._check(count, 1, "long integers")
        values = [self._whole("a long integer") for _ in range(count)]
        if count:
            self._end_of_group()
        return values

    def double(self) -> float:
        token = self._token("a number")
        self._end_of_group()
        try:
            return float(token)
        except ValueError:
            raise self.error(f"{token!r} instead of a number") from None

    def characters(self, count: int) -> bytes:
        length = self._check(count, 1, "characters")
        start = self._position
        self._position += length
        if count:
            self._end_of_group()
        return self._data[start : start + length]

    def numbers(self, count: int, dtype: DType) -> Array:
        if dtype.char in RAW_TYPES:
            array = np.frombuffer(self.characters(count), dtype)
        else:
            self._check(count, 1, "the numbers of a tensor")
            array = self._line_of_numbers(count, dtype) if count else np.zeros(0, dtype)
        array.flags.writeable = False
        return array

    def _line_of_numbers(self, count: int, dtype: DType) -> Array:
        end = self._data.find(b"\n", self._position)
        if end < 0:
            raise self.error("the file ends inside the numbers of a tensor")
        tokens = self._data[self._position : end].split()
        if len(tokens) != count:
            raise self.error(f"{len(tokens)} numbers instead of the {count} of a tensor")
        kind = int if dtype.kind in "iu" else float
        try:
            array = np.array([kind(token) for token in tokens], dtype)
        except (ValueError, OverflowError):
            raise self.error("something else among the numbers of a tensor") from None
        self._position = end + 1
        return array
