"""Corpus files of entries with keys (`-idx_files`): source and target are matched by key, not by line.

Text: a line per entry, `key rest`. Vectors: a Kaldi text archive. The order is that of the source. The keys
are held in memory.
"""

import mmap
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from onmt.data.corpus import Block, LineBlock, Progress, VectorBlock, open_corpus_file
from onmt.data.kaldi import read_archive
from onmt.errors import DataError
from onmt.text.lines import decode_line

_ENTRIES_AT_A_TIME: Final = 200


@dataclass(frozen=True)
class _Entry:
    key: str
    number: int
    value: bytes | npt.NDArray[np.float32]  # the rest of the line, or frames x dimension
    unit: str = "line"


def read_by_key(
    source: str, target: str | None, vectors: bool, progress: Progress
) -> Iterator[tuple[Block, ...]]:
    """The entries of the source in their order, each with the target of the same key, in blocks.

    Source entries without a target are left out. Raises DataError for a key that appears twice in a file, and
    for a target whose key the source does not have.
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
    """The entries of a target file, found by key."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}  # key: offset of the line in the file, its number
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
        """The targets of these source entries."""
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
        """Raise DataError when some target has not been asked for."""
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
