"""Corpus files whose entries have keys (`-idx_files`), and Kaldi archives of vector sequences.

Source and target are matched by key, not by line, in the order of the source. All keys are held in memory.
Text files hold `key rest` per line. An entry of a Kaldi text archive is `key [`, then a row of numbers per
line, with `]` after the last row. Binary archives are read with the package kaldiio.
"""

import io
import mmap
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from onmt.data.corpus import Block, LineBlock, OnBytesRead, VectorBlock, open_corpus_file
from onmt.errors import DataError
from onmt.text.lines import decode_line

_BINARY_MARK: Final = b"\0B"
_LONGEST_KEY: Final = 1000
_PIECE: Final = 1 << 20  # bytes


class _Readable(Protocol):
    """The methods of a binary file that `read_archive` needs."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes."""

    def readline(self, size: int = -1, /) -> bytes:
        """Read the next line."""

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class _ArchiveEntry:
    """A sequence of vectors. number: of its first line in a text archive, of the entry in a binary one."""

    key: str
    number: int  # from 1
    matrix: npt.NDArray[np.float32]  # frames x dimension; 0 x 0 when empty
    unit: Literal["line", "entry"] = "line"


def read_archive(file: _Readable, path: str) -> Iterator[_ArchiveEntry]:
    """Read the entries of an archive, one at a time.

    Raises DataError naming file and place if rows of the archive have different dimensions, if a value is not
    a finite number, or if an entry is incomplete.
    """
    start = _until_blank(file)
    if start.endswith(b" "):
        start += file.read(len(_BINARY_MARK))
    if start.endswith(b" " + _BINARY_MARK):
        yield from _read_binary(start, file, path)
    else:
        yield from _read_text(chain(io.BytesIO(start + file.readline()), file), path)


def _until_blank(file: _Readable) -> bytes:
    start = b""
    while len(start) < _LONGEST_KEY and not start.endswith((b" ", b"\n")):
        byte = file.read(1)
        if not byte:
            break
        start += byte
    return start


def _read_text(lines: Iterable[bytes], path: str) -> Iterator[_ArchiveEntry]:
    rows: list[npt.NDArray[np.float32]] = []
    key: str | None = None
    begun = 0
    dimension: int | None = None
    for number, raw in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        fields = decode_line(raw, path, number).split()
        if key is None:
            if not fields:
                continue
            key, fields = _key_and_rest(fields, where)
            begun = number
        elif "[" in fields:
            raise DataError(f"{where}: '[' inside the entry '{key}' of line {begun}, which no ']' has closed")
        closed = bool(fields) and fields[-1] == "]"
        row = _numbers(fields[:-1] if closed else fields, where)
        if len(row):
            dimension = len(row) if dimension is None else dimension
            if len(row) != dimension:
                raise DataError(f"{where}: a row of {len(row)} numbers, others have {dimension}")
            rows.append(row)
        if closed:
            matrix = np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)
            yield _ArchiveEntry(key, begun, matrix)
            key, rows = None, []
    if key is not None:
        raise DataError(f"{path}, line {begun}: the file ends inside the entry '{key}', without a ']'")


def _key_and_rest(fields: list[str], where: str) -> tuple[str, list[str]]:
    if len(fields) < 2 or fields[1] != "[":
        shown = " ".join(fields)[:80]
        raise DataError(f"{where}: expected 'key [', found '{shown}'")
    return fields[0], fields[2:]


def _numbers(fields: list[str], where: str) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        row = np.array([_number(field, where) for field in fields], dtype=np.float32)
    if not np.isfinite(row).all():
        bad = fields[int(np.argmin(np.isfinite(row)))]
        raise DataError(f"{where}: '{bad}' is not a finite number of single precision")
    return row


def _number(field: str, where: str) -> float:
    try:
        if "_" not in field:  # float() accepts 1_000
            return float(field)
    except ValueError:
        pass
    raise DataError(f"{where}: '{field[:80]}' is not a number")


class _Rewound:
    """A file with some bytes put back in front. It never allocates more memory than the file has bytes.

    shortage: the end of an error message if the last read asked for more bytes than there were, else empty.
    """

    def __init__(self, first: bytes, file: _Readable) -> None:
        self._first = first
        self._file = file
        self.shortage = ""

    def read(self, size: int) -> bytes:
        rest = _rest(self._file)
        if size < 0:
            self.shortage = f": it announces {size} bytes"
            raise EOFError
        if rest is not None and size > len(self._first) + rest:
            self.shortage = f": it announces {size} bytes, but the file has {len(self._first) + rest}"
            raise EOFError
        pieces, wanted = [self._first[:size]], size - len(self._first[:size])
        self._first = self._first[size:]
        while wanted > 0 and (piece := self._file.read(min(wanted, _PIECE))):
            pieces.append(piece)
            wanted -= len(piece)
        if wanted:
            self.shortage = f": it announces {size} bytes, but the file has {size - wanted}"
        return b"".join(pieces)


def _rest(file: _Readable) -> int | None:
    """Return the number of unread bytes of a regular file; None for other streams."""
    if not isinstance(file, io.BufferedReader):
        return None
    status = os.fstat(file.fileno())
    return status.st_size - file.tell() if stat.S_ISREG(status.st_mode) else None


def _read_binary(start: bytes, file: _Readable, path: str) -> Iterator[_ArchiveEntry]:
    """`start`: the bytes already read: the first key, a blank and the mark of a binary entry."""
    # Use kaldiio for single matrices only: its reader of whole archives would also unpickle their content.
    read_matrix = _kaldiio_function(path)
    dimension: int | None = None
    number = 0
    while start:
        number += 1
        where = f"{path}, entry {number}"
        key = decode_line(start.removesuffix(b" " + _BINARY_MARK), path, number)
        if not start.endswith(b" " + _BINARY_MARK) or not key:
            raise DataError(f"{where}: expected a key and a binary matrix")
        content = _Rewound(_BINARY_MARK, file)
        try:
            found = read_matrix(content)
            matrix = np.atleast_2d(np.asarray(found, dtype=np.float32))
        except Exception as error:  # damaged files raise exceptions of any type in kaldiio
            reason = content.shortage or "; is the file complete?"
            raise DataError(f"{where}: the matrix of '{key}' cannot be read{reason}") from error
        if not np.isfinite(matrix).all():
            raise DataError(f"{where}: a value of '{key}' is not a finite number of single precision")
        if matrix.size:
            dimension = matrix.shape[1] if dimension is None else dimension
            if matrix.shape[1] != dimension:
                raise DataError(f"{where}: rows of {matrix.shape[1]} numbers, others have {dimension}")
        else:
            matrix = np.zeros((0, 0), dtype=np.float32)
        yield _ArchiveEntry(key, number, matrix, unit="entry")
        start = _until_blank(file)
        if start:
            start += file.read(len(_BINARY_MARK))


def _kaldiio_function(path: str) -> Any:
    try:
        from kaldiio.matio import read_matrix_or_vector
    except ImportError as error:
        raise DataError(f"{path}: a binary Kaldi archive; reading it needs the package kaldiio") from error
    return read_matrix_or_vector


_ENTRIES_AT_A_TIME: Final = 200


@dataclass(frozen=True)
class _Entry:
    key: str
    number: int
    value: bytes | npt.NDArray[np.float32]  # the rest of the line, or frames x dimension
    unit: str = "line"


def read_by_key(
    source: str, target: str | None, vectors: bool, progress: OnBytesRead
) -> Iterator[tuple[Block, ...]]:
    """Read source entries in order, each with the target of the same key, in blocks.

    Source entries without a target are left out. Raises DataError if a key appears twice in a file, or if
    the source lacks the key of a target.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open_corpus_file(source))
        entries = _unique(_vector_entries(file, source) if vectors else _text_entries(file, source), source)
        targets = None if target is None else stack.enter_context(_Targets(target))
        read = 0
        while True:
            block = list(islice(entries, _ENTRIES_AT_A_TIME))
            if not block:
                break
            kept = block if targets is None else [entry for entry in block if entry.key in targets]
            if kept:
                sides: tuple[Block, ...] = (_block(source, kept),)
                if targets is not None:
                    sides += (targets.block(kept),)
                yield sides
            progress(file.tell() - read)
            read = file.tell()
        if targets is not None:
            targets.refuse_unused(source)


class _Targets:
    """A target file whose entries are looked up by key."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}  # key: byte offset of its line, line number
        self._used: set[str] = set()
        with open_corpus_file(path) as file:
            offset = file.tell()
            for number, line in enumerate(file, start=1):
                key, _ = _split_key(line, path, number)
                if key in self._places:
                    raise _repeated(path, number, key, self._places[key][1])
                self._places[key] = (offset, number)
                offset += len(line)
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed by __exit__
        size = Path(path).stat().st_size
        self._data = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""

    def __enter__(self) -> "_Targets":
        return self

    def __exit__(self, *error: object) -> None:
        if isinstance(self._data, mmap.mmap):
            self._data.close()
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def block(self, entries: list[_Entry]) -> LineBlock:
        """Return the targets of these source entries."""
        lines, numbers = [], []
        for entry in entries:
            offset, number = self._places[entry.key]
            end = self._data.find(b"\n", offset)
            line = self._data[offset : len(self._data) if end < 0 else end]
            lines.append(_split_key(line, self._path, number)[1])
            numbers.append(number)
            self._used.add(entry.key)
        return LineBlock(self._path, b"\n".join(lines) + b"\n", numbers)

    def refuse_unused(self, source: str) -> None:
        """Raise DataError if a target's key never occurred in the source."""
        for key, (_, number) in self._places.items():
            if key not in self._used:
                raise DataError(f"{self._path}, line {number}: the key '{key}' is not in {source}")


def _block(path: str, entries: list[_Entry]) -> Block:
    numbers = [entry.number for entry in entries]
    lines = [entry.value for entry in entries if isinstance(entry.value, bytes)]
    if lines:
        return LineBlock(path, b"\n".join(lines) + b"\n", numbers)
    matrices = [entry.value for entry in entries if not isinstance(entry.value, bytes)]
    return VectorBlock(path, matrices, numbers, entries[0].unit)


def _text_entries(file: BinaryIO, path: str) -> Iterator[_Entry]:
    for number, line in enumerate(file, start=1):
        key, rest = _split_key(line, path, number)
        yield _Entry(key, number, rest)


def _vector_entries(file: BinaryIO, path: str) -> Iterator[_Entry]:
    for entry in read_archive(file, path):
        yield _Entry(entry.key, entry.number, entry.matrix, entry.unit)


def _unique(entries: Iterator[_Entry], path: str) -> Iterator[_Entry]:
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.key in seen:
            raise _repeated(path, entry.number, entry.key, seen[entry.key], entry.unit)
        seen[entry.key] = entry.number
        yield entry


def _split_key(line: bytes, path: str, number: int) -> tuple[str, bytes]:
    key, _, rest = line.removesuffix(b"\n").removesuffix(b"\r").strip(b" ").partition(b" ")
    if not key:
        raise DataError(
            f"{path}, line {number}: expected a key and a blank before the sentence, found nothing"
        )
    return decode_line(key, path, number), rest


def _repeated(path: str, number: int, key: str, first: int, unit: str = "line") -> DataError:
    return DataError(f"{path}, {unit} {number}: the key '{key}' is already that of {unit} {first}")
