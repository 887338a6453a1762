"""Reading what is to be translated: lines, lines with keys, or vectors with keys, from files or standard
input.
"""

import codecs
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import numpy as np
import numpy.typing as npt

from onmt.data.corpus import count_lines
from onmt.data.indexed import read_archive
from onmt.errors import DataError
from onmt.text.lines import decode_line

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Input:
    """One thing to translate.

    text, or vectors (frames x dimension): the source; gold: the line with its reference translation, if
    references were given. key: with `-idx_files`. where: file and line, gold_where: the reference's, for
    messages.
    """

    where: str
    text: str | None = None
    vectors: npt.NDArray[np.float32] | None = None
    key: str | None = None
    gold: str | None = None
    gold_where: str = ""


class ResultFile:
    """A file of results: standard output for `-`, nothing at all for an empty name. Lines come in order.

    An existing file keeps its content until there is a first result: a run that fails before leaves
    everything as it was. Raises DataError when the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._existed = Path(path).exists()
        self._begun = path in ("", "-")

    def __enter__(self) -> Self:
        if self._path == "-":
            self._file = sys.stdout.buffer
        elif self._path:
            with self._writing():
                self._file = Path(self._path).open("ab")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is None or self._path == "-":
            return
        if error is None:
            self._begin()
        with self._writing():
            self._file.close()
        if not self._begun and not self._existed:
            Path(self._path).unlink(missing_ok=True)

    def write(self, text: str) -> None:
        """Add text."""
        if self._file is not None:
            self._begin()
            with self._writing():
                self._file.write(text.encode("utf-8"))

    def _begin(self) -> None:
        """Empty the file, once."""
        if self._file is not None and not self._begun:
            self._begun = True
            with self._writing():
                if Path(self._path).is_file():
                    self._file.truncate(0)

    def flush(self) -> None:
        """Flush, so that other programs can read the output so far."""
        if self._file is not None:
            with self._writing():
                self._file.flush()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # the reader has seen enough: no error to complain about
            raise
        except OSError as error:
            raise DataError(f"{self._path}: cannot write: {error.strerror}") from error


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A file to read, standard input for `-`. Raises DataError when it cannot be read."""
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from error
    with file:
        yield file


def read_inputs(src: str, tgt: str, keyed: bool, vectors: bool) -> Iterator[Input]:
    """All inputs of `src`, in order, each with its line of `tgt` if that is not empty.

    keyed: every line begins with a key and references are found by it. vectors: `src` is a Kaldi text
    archive. Raises DataError naming file and line.
    """
    with opened(src) as file:
        if not keyed and not vectors:
            yield from _read_lines(file, src, tgt)
            return
        inputs = _vector_inputs(file, src) if vectors else _keyed_inputs(file, src)
        yield from _with_references(inputs, tgt) if tgt else inputs


def require_same_length(src: str, tgt: str) -> None:
    """Raise DataError if two files have different numbers of lines; of what can be read only once nothing is
    known.
    """
    if Path(src).is_file() and Path(tgt).is_file():
        counts = count_lines(src), count_lines(tgt)
        if counts[0] != counts[1]:
            raise _unequal(src, counts[0], tgt, counts[1])


def windows(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    """The items in lists of `size`."""
    while window := list(islice(items, size)):
        yield window


def text_lines(file: BinaryIO, path: str) -> Iterator[str]:
    """The lines of a file without their ends; a carriage return counts as a blank, a byte order mark for
    nothing.
    """
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        yield decode_line(line, path, number).replace("\r", " ")


def _read_lines(file: BinaryIO, src: str, tgt: str) -> Iterator[Input]:
    sources = enumerate(text_lines(file, _shown(src)), start=1)
    if not tgt:
        for number, text in sources:
            yield Input(f"{_shown(src)}, line {number}", text)
        return
    with opened(tgt) as references:
        golds = text_lines(references, _shown(tgt))
        number = 0
        for number, text in sources:
            gold = next(golds, None)
            if gold is None:
                raise _unequal(src, number + sum(1 for _ in sources), tgt, number - 1)
            yield Input(
                f"{_shown(src)}, line {number}", text, gold=gold, gold_where=f"{_shown(tgt)}, line {number}"
            )
        more = sum(1 for _ in golds)
        if more:
            raise _unequal(src, number, tgt, number + more)


def _unequal(src: str, sources: int, tgt: str, references: int) -> DataError:
    return DataError(
        f"{_shown(tgt)} has {references} lines but {_shown(src)} has {sources}: "
        "line by line they must correspond"
    )


def _keyed_inputs(file: BinaryIO, path: str) -> Iterator[Input]:
    for where, key, rest in _keyed_lines(file, path):
        yield Input(where, rest, key=key)


def _keyed_lines(file: BinaryIO, path: str) -> Iterator[tuple[str, str, str]]:
    """Place, key and rest of every line; each key once."""
    seen: set[str] = set()
    for number, line in enumerate(text_lines(file, _shown(path)), start=1):
        where = f"{_shown(path)}, line {number}"
        key, _, rest = line.strip(" ").partition(" ")
        if not key:
            raise DataError(f"{where}: expected a key and a blank before the sentence, found nothing")
        if key in seen:
            raise DataError(f"{where}: the key '{key}' appears for the second time")
        seen.add(key)
        yield where, key, rest


def _vector_inputs(file: BinaryIO, path: str) -> Iterator[Input]:
    seen: set[str] = set()
    for entry in read_archive(file, _shown(path)):
        where = f"{_shown(path)}, {entry.unit} {entry.number}"
        if entry.key in seen:
            raise DataError(f"{where}: the key '{entry.key}' appears for the second time")
        seen.add(entry.key)
        yield Input(where, vectors=entry.matrix, key=entry.key)


def _with_references(inputs: Iterator[Input], tgt: str) -> Iterator[Input]:
    with opened(tgt) as file:
        references = {key: (where, rest) for where, key, rest in _keyed_lines(file, tgt)}
    for one in inputs:
        if one.key not in references:
            raise DataError(f"{one.where}: the key '{one.key}' is not in {_shown(tgt)}")
        where, gold = references.pop(one.key)
        yield Input(one.where, one.text, one.vectors, one.key, gold, where)
    if references:
        key, (where, _) = next(iter(references.items()))
        raise DataError(f"{where}: the key '{key}' is not among the sources")


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path
