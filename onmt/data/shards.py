"""A prepared data set on disk: the manifest `<save_data>-train.json` and its binary shards. Torch-free.

A shard holds one or two sides (source, target) of the same number of sentences, as flat arrays with offsets.
Layout, all little-endian, each section starting at a multiple of 64 bytes:

    header    magic, format version, number of sides, number of sentences;
              per side: kind (0 ids, 1 vectors, 2 images), width, total number of positions of all sentences
    per side  offsets int64 [sentences], lengths int32 [sentences],
              values int32, float32 or uint8 [positions, width]

The width is 1 + the number of word features, or the length of a vector. An image is one position, whose width
is 3 colours x height x width.
"""

import hashlib
import json
import math
import os
import struct
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from onmt.constants import VERSION
from onmt.data.vocabulary import Vocabularies
from onmt.errors import DataError

_MAGIC: Final = b"ONMTDATA"
_SHARD_FORMAT: Final = 1
_ALIGNMENT: Final = 64
_HEADER: Final = struct.Struct("<8sIIQ")
_SIDE_HEADER: Final = struct.Struct("<IIQ")
_SENTENCES_AT_A_TIME: Final = 1 << 16
_POSITIONS_AT_A_TIME: Final = 1 << 17
_BYTES_AT_A_TIME: Final = 1 << 24
_VALUE_TYPES: Final = ("<i4", "<f4", "|u1")  # by the kind in a side's header


@dataclass(frozen=True)
class SideArrays:
    """One side of N sentences: sentence i is values[offsets[i] : offsets[i] + lengths[i]]."""

    offsets: "npt.NDArray[np.int64] | _FileArray"  # N
    lengths: npt.NDArray[np.int32]  # N
    values: "npt.NDArray[Any] | _FileArray"  # positions x width; int32 ids, float32 vectors or uint8 images

    @property
    def kind(self) -> int:
        """Kind of the values: 0 ids, 1 vectors, 2 images."""
        return "ifu".index(self.values.dtype.kind)

    @property
    def width(self) -> int:
        """1 + the number of word features, or the number of values of a vector or an image."""
        return int(self.values.shape[1])

    def gather(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
        """Return the values of the sentences `rows`, concatenated: positions x width.

        Raises DataError if a file has been truncated or can't be read.
        """
        lengths = self.lengths[rows].astype(np.int64)
        ends = np.cumsum(lengths)
        within = np.arange(int(ends[-1]), dtype=np.int64) - np.repeat(ends - lengths, lengths)
        offsets: npt.NDArray[np.int64] = self.offsets[rows]
        taken: npt.NDArray[Any] = self.values[np.repeat(offsets, lengths) + within]
        return taken


class _FileArray:
    """An array in a file, of which parts are read on demand.

    The file isn't memory-mapped: if it shrank, an access to mapped memory would kill the process (SIGBUS).
    """

    def __init__(self, file: "_OpenFile", start: int, dtype: str, shape: tuple[int, ...]) -> None:
        """`start`: the array's byte offset in the file."""
        self._file = file
        self._start = start
        self.dtype = np.dtype(dtype)
        self.shape = shape

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    def __getitem__(self, places: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
        """Read the elements at `places` along the first axis, with one read per run of consecutive places."""
        taken = np.empty((len(places), *self.shape[1:]), dtype=self.dtype)
        cuts = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        for first, end in pairwise(cuts):
            if end > first:
                taken[first:end] = self.read(int(places[first]), end - first)
        return taken

    def read(self, first: int, count: int) -> npt.NDArray[Any]:
        """Read `count` elements along the first axis, starting at `first`. Raises DataError."""
        shape = (count, *self.shape[1:])
        position = self._start + first * math.prod(self.shape[1:]) * self.itemsize
        data = self._file.read(position, math.prod(shape) * self.itemsize)
        return np.frombuffer(data, dtype=self.dtype).reshape(shape)


class _OpenFile:
    """A duplicate of an open file, which stays open as long as arrays need it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._name = file.name
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, position: int, count: int) -> bytearray:
        """Read `count` bytes from `position` on. Raises DataError if there are fewer."""
        data = bytearray(count)
        done = 0
        while done < count:
            try:
                read = os.preadv(self._descriptor, [memoryview(data)[done:]], position + done)
            except OSError as error:
                raise DataError(f"{self._name}: cannot read the prepared data: {error.strerror}") from error
            if read == 0:
                raise DataError(f"{self._name}: was cut while it was being read; prepare the data again")
            done += read
        return data


class HashingFile:
    """Writes to a file and computes the SHA-256 and the number of the written bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The checksum of everything written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def write_array(self, array: npt.NDArray[Any], dtype: str) -> None:
        """Append the elements of `array` as little-endian `dtype`."""
        self.write(array.astype(dtype, copy=False).tobytes())

    def align(self) -> None:
        """Append zeros up to the next multiple of 64 bytes, where a section may start."""
        self.write(bytes(-self.size % _ALIGNMENT))


def write_shard(file: HashingFile, sides: Sequence[SideArrays], order: npt.NDArray[np.int32]) -> None:
    """Write the sentences of `sides` in the given order; memory does not grow with their number."""
    file.write(_HEADER.pack(_MAGIC, _SHARD_FORMAT, len(sides), len(order)))
    for side in sides:
        positions = sum(int(side.lengths[rows].sum(dtype=np.int64)) for rows in _pieces(order))
        file.write(_SIDE_HEADER.pack(side.kind, side.width, positions))
    for side in sides:
        file.align()
        offset = 0
        for rows in _pieces(order):
            lengths = side.lengths[rows].astype(np.int64)
            ends = offset + np.cumsum(lengths)
            file.write_array(ends - lengths, "<i8")
            offset = int(ends[-1])
        file.align()
        for rows in _pieces(order):
            file.write_array(side.lengths[rows], "<i4")
        file.align()
        for rows in _pieces(order):
            most = max(1, min(_POSITIONS_AT_A_TIME, _BYTES_AT_A_TIME // (side.width * side.values.itemsize)))
            for part in _bounded(rows, side.lengths[rows], most):
                file.write_array(side.gather(part), _VALUE_TYPES[side.kind])


def read_shard(path: Path, size: int, sha256: str) -> tuple[SideArrays, ...]:
    """Open a file after checking its size, checksum and header; values and offsets are read on demand.

    Raises DataError naming the file if its content isn't, byte for byte, as it was written.
    """
    try:
        found = path.stat().st_size
        if found != size:
            raise DataError(f"{path}: damaged, {found} bytes instead of {size}; prepare the data again")
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if checksum != sha256:
            raise DataError(f"{path}: damaged, its SHA-256 is not what was written; prepare the data again")
        with path.open("rb") as file:
            return open_shard(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read the prepared data: {error}") from error


def open_shard(file: IO[bytes]) -> tuple[SideArrays, ...]:
    """Return the sides of an open file; they stay valid after it is closed. Raises DataError."""
    path, size = file.name, os.fstat(file.fileno()).st_size
    try:
        file.seek(0)
        header = file.read(_HEADER.size + 2 * _SIDE_HEADER.size)
        magic, version, number_of_sides, sentences = _HEADER.unpack_from(header)
        if magic != _MAGIC or version != _SHARD_FORMAT or number_of_sides not in (1, 2):
            raise DataError(f"{path}: not a file of prepared data, or of another version")
        headers = [
            _SIDE_HEADER.unpack_from(header, _HEADER.size + i * _SIDE_HEADER.size)
            for i in range(number_of_sides)
        ]
        position = _HEADER.size + number_of_sides * _SIDE_HEADER.size
        opened = _OpenFile(file)
        sides = []
        for kind, width, positions in headers:
            if kind >= len(_VALUE_TYPES):
                raise DataError(f"{path}: not a file of prepared data, or of another version")
            offsets, position = _section(opened, size, position, "<i8", (sentences,))
            lengths, position = _section(opened, size, position, "<i4", (sentences,))
            values, position = _section(opened, size, position, _VALUE_TYPES[kind], (positions, width))
            sides.append(SideArrays(offsets, lengths.read(0, sentences), values))
    except (struct.error, ValueError) as error:
        raise DataError(f"{path}: damaged: {error}") from error
    return tuple(sides)


def _section(
    file: _OpenFile, size: int, position: int, dtype: str, shape: tuple[int, ...]
) -> tuple[_FileArray, int]:
    """Return the section at the first aligned offset from `position` on, and its end; size: of the file."""
    start = position + -position % _ALIGNMENT
    end = start + math.prod(shape) * np.dtype(dtype).itemsize
    if end > size:
        raise ValueError(f"a section ends at byte {end}, the file at {size}")
    return _FileArray(file, start, dtype, shape), end


def _pieces(order: npt.NDArray[np.int32]) -> Iterator[npt.NDArray[np.int32]]:
    """Split `order` into pieces that fit in memory."""
    for start in range(0, len(order), _SENTENCES_AT_A_TIME):
        yield order[start : start + _SENTENCES_AT_A_TIME]


def _bounded(
    rows: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], most: int
) -> Iterator[npt.NDArray[np.int32]]:
    """Split `rows` into pieces of about `most` positions."""
    ends = np.cumsum(lengths, dtype=np.int64)
    cuts = np.searchsorted(ends, np.arange(most, int(ends[-1]), most)) + 1
    for part in np.split(rows, np.unique(cuts)):
        if len(part):
            yield part


_MANIFEST_FORMAT: Final = 1
_CHECKSUM: Final = "checksum"
_KEYS: Final = {
    *("format", "version", "data_type", "train", "valid", "options", "vocabularies"),
    _CHECKSUM,
}


@dataclass(frozen=True)
class ShardEntry:
    """One binary file of a data set; `file` is its name beside the manifest."""

    file: str
    sentences: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The description of a prepared data set. options: of the preprocessing run, for the record.

    intact: the file's own checksum is right, or missing, as in older files.
    """

    data_type: str
    options: Mapping[str, Any]
    vocabularies: Vocabularies
    train: tuple[ShardEntry, ...]
    valid: tuple[ShardEntry, ...]
    intact: bool = True

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        content = {
            "format": _MANIFEST_FORMAT,
            "version": VERSION,
            "data_type": self.data_type,
            "train": [asdict(entry) for entry in self.train],
            "valid": [asdict(entry) for entry in self.valid],
            "options": self.options,
            "vocabularies": self.vocabularies.to_state(),
        }
        return _as_text(content | {_CHECKSUM: _checksum(content)}).encode("utf-8")

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read the file. Raises DataError naming it if it is missing, damaged or of another version."""
        try:
            content = json.loads(path.read_bytes().decode("utf-8"))
        except OSError as error:
            raise DataError(f"{path}: cannot read the prepared data: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: damaged, not a JSON file of prepared data") from error
        if not isinstance(content, dict) or content.get("format") != _MANIFEST_FORMAT:
            raise DataError(f"{path}: not prepared data, or of another version; run preprocess.py again")
        intact = _is_intact(content)
        try:
            return cls(
                data_type=str(content["data_type"]),
                options=dict(content["options"]),
                vocabularies=Vocabularies.from_state(content["vocabularies"]),
                train=_entries(content["train"]),
                valid=_entries(content["valid"]),
                intact=intact,
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"{path}: damaged, entries are missing; run preprocess.py again") from error
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


def _as_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the content, which must not contain the checksum itself."""
    return hashlib.sha256(_as_text(content).encode("utf-8", "surrogatepass")).hexdigest()


def _is_intact(content: dict[str, Any]) -> bool:
    """Pop the checksum; return whether it is right (or missing: an older manifest) and no key is unknown."""
    unknown = content.keys() - _KEYS
    checksum = content.pop(_CHECKSUM, None)
    return not unknown and checksum in (None, _checksum(content))


def _entries(values: Any) -> tuple[ShardEntry, ...]:
    return tuple(
        ShardEntry(
            file=str(value["file"]),
            sentences=int(value["sentences"]),
            size=int(value["size"]),
            sha256=str(value["sha256"]),
        )
        for value in values
    )
