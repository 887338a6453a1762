"""Write files of numpy arrays, `.npz`, with one array in memory at a time, and read them. Torch-free."""

import errno
import json
import lzma
import math
import re
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from onmt.errors import DataError
from onmt.files import StagedFiles
from onmt.text.lines import read_text_lines, split_words

_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    MemoryError,  # for a size that nothing can have
    OverflowError,  # for one that no number of 64 bits is
    RuntimeError,  # for encryption, and for a compression that this Python does not know
    TypeError,
    ValueError,
    tokenize.TokenError,
)
"""Exceptions of zipfile and numpy for wrong bytes, besides OSError."""

_NO_SUCH_PLACE: Final = (None, errno.EINVAL)
"""Numbers of an OSError that comes of wrong bytes too: bz2's has none; a place before the file is invalid."""


_WEIGHTS: Final = "arr_"
_COPYING: Final = "copying_"
"""Names in `-save_attention`, before the number of a line: its attention, its probabilities of copying."""


class ArrayFile:
    """A file of named arrays in numpy.savez's format, without pickles. Use as a context manager.

    It appears under its name when the context ends without an error; until then an older file stays. Its
    bytes depend on the arrays alone. Raises DataError when the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines = 0

    @staticmethod
    def has_suffix(path: str) -> bool:
        """Whether a file of results is to hold arrays, judged by its name."""
        return path.endswith(".npz")

    def __enter__(self) -> Self:
        if Path(self._path).is_dir():
            raise DataError(f"{self._path}: cannot write: it is a folder")
        self._staged = StagedFiles()
        self._opened = self._staged.open(self._path)
        self._archive = zipfile.ZipFile(self._opened.__enter__(), "w")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Hide the error from StagedFiles, which would attribute any OSError to this file.
        with self._staged:
            try:
                self._close()
                if error is None:
                    self._staged.commit()
            except DataError:
                if error is None:
                    raise

    def add(self, name: str, array: npt.NDArray[Any]) -> None:
        """Write an array."""
        with self._entry(name) as file:
            npy.write_array(file, array, allow_pickle=False)

    def add_attention(
        self, weights: npt.NDArray[np.float32], copying: npt.NDArray[np.float32] | None = None
    ) -> None:
        """Write the attention of the next line of the output and its words' probabilities of copying."""
        self.add(f"{_WEIGHTS}{self._lines}", weights)
        if copying is not None:
            self.add(f"{_COPYING}{self._lines}", copying)
        self._lines += 1

    def add_rows(
        self, name: str, shape: tuple[int, ...], dtype: type[np.generic], rows: Iterable[npt.NDArray[Any]]
    ) -> None:
        """Write an array of this shape row by row, with one row in memory."""
        header = {
            "descr": npy.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        with self._entry(name) as file:
            npy.write_array_header_1_0(file, header)
            for row in rows:
                assert row.shape == shape[1:]
                file.write(np.ascontiguousarray(row, dtype=dtype).tobytes())

    def _close(self) -> None:
        try:
            with self._writing():
                self._archive.close()
        finally:
            self._opened.__exit__(None, None, None)

    @contextmanager
    def _entry(self, name: str) -> Iterator[IO[bytes]]:
        """Open the entry of an array. Its date is fixed, so that equal arrays make equal files."""
        entry = zipfile.ZipInfo(f"{name}.npy")
        entry.compress_type = zipfile.ZIP_DEFLATED
        with self._writing(), self._archive.open(entry, "w", force_zip64=True) as file:
            yield file

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"{self._path}: cannot write: {error.strerror}") from error


@contextmanager
def _reading_arrays(path: str, what: str) -> Iterator["_ArrayReader"]:
    """Open the arrays of a file of `what`.

    Raises DataError for a file that cannot be read or is no such file. A KeyError or ValueError of the block
    means that it is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield _ArrayReader(archive)
    except (*_DAMAGED, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_SUCH_PLACE:
            raise DataError(f"{path}: cannot read: {error.strerror}") from error
        raise DataError(f"{path}: damaged, or not a file of {what}") from error


class _ArrayReader:
    """The arrays of an open file."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = [name.removesuffix(".npy") for name in archive.namelist()]

    def read(self, name: str, kinds: str, dimensions: int) -> npt.NDArray[Any]:
        """Read an array; kinds: numpy's letters of the allowed types; dimensions: the number of axes.

        Raises KeyError when there is none of that name, ValueError for another kind of array.
        """
        self._check_size(f"{name}.npy")
        with self._archive.open(f"{name}.npy") as file:
            array = npy.read_array(file, allow_pickle=False)
            if file.read(1):
                raise ValueError(f"{name}: the array is followed by other data")
        if array.dtype.kind not in kinds or array.ndim != dimensions:
            raise ValueError(f"{name}: {array.dtype}, {array.ndim} axes")
        return array

    def _check_size(self, entry: str) -> None:
        """Raise ValueError unless an array has the size that its header announces: before it is allocated."""
        size = self._archive.getinfo(entry).file_size
        with self._archive.open(entry) as file:
            version = npy.read_magic(file)
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read_header(file)
            announced = file.tell() + math.prod(shape) * dtype.itemsize
        if announced != size:
            raise ValueError(f"{entry}: announces {announced} bytes, but has {size}")


_SCORE: Final = r"(?P<score>-?(?:\d+\.\d+|inf)|-?nan)"
_TARGET: Final = rf"(?P<number>\d{{1,9}}) \|\|\| (?P<target>.*) \|\|\| {_SCORE}"
_ROWS: Final = r"(?P<rows>\d{1,9})"
_WORDS: Final = re.compile(
    rf"{_TARGET} \|\|\| (?P<source>.*) \|\|\| \d+ {_ROWS}(?: \|\|\| (?P<copying>[^|]*))?"
)
_VECTORS: Final = re.compile(rf"{_TARGET} \|\|\| {_ROWS}")


@dataclass(frozen=True)
class AttentionTable:
    """One hypothesis of a `-save_attention` file: weights per target word (rows) and source position.

    A file of arrays has no words and scores; `number` is then that of the line in the output. copying: for
    each target word the probability of copying, empty where the model cannot.
    """

    number: int
    target: list[str]
    source: list[str]
    score: float | None
    weights: list[list[float]]
    copying: list[float] = field(default_factory=list)

    @classmethod
    def read(cls, path: str) -> list["AttentionTable"]:
        """Read the hypotheses of a `-save_attention` file. Raises DataError naming the line that is wrong."""
        return _read_attention_arrays(path) if ArrayFile.has_suffix(path) else _read_attention_text(path)


def _read_attention_text(path: str) -> list[AttentionTable]:
    tables = []
    lines = zip(count(1), read_text_lines(path))
    for line_number, line in lines:
        where = f"{path}, line {line_number}"
        header = _WORDS.fullmatch(line) or _VECTORS.fullmatch(line)
        if header is None:
            raise DataError(f"{where}: not the header of a hypothesis, as -save_attention writes it")
        rows: list[list[float]] = []
        for _ in range(int(header["rows"])):
            row_number, row = next(lines, (line_number, None))
            if row is None:
                raise DataError(
                    f"{where}: expected the weights of {header['rows']} words, but the file ends after "
                    f"{len(rows)}"
                )
            rows.append(_weights(row, f"{path}, line {row_number}"))
        end_number, end = next(lines, (line_number, ""))
        if end:
            raise DataError(
                f"{path}, line {end_number}: expected an empty line after the {len(rows)} lines of weights"
            )
        source = header.groupdict().get("source", "")
        tables.append(
            AttentionTable(
                int(header["number"]),
                split_words(header["target"]),
                split_words(source),
                float(header["score"]),
                rows,
                _copying(header.groupdict().get("copying"), len(rows), where),
            )
        )
    return tables


def _copying(text: str | None, words: int, where: str) -> list[float]:
    """Read the probabilities of copying at the end of a header, empty without them."""
    found = [] if text is None else _weights(text, where)
    if text is not None and len(found) != words:
        raise DataError(f"{where}: {len(found)} probabilities of copying for {words} words")
    return found


def _read_attention_arrays(path: str) -> list[AttentionTable]:
    with _reading_arrays(path, "-save_attention") as arrays:
        copied = {name for name in arrays.names if name.startswith(_COPYING)}
        tables = []
        for line in range(len(arrays.names) - len(copied)):
            weights = arrays.read(f"{_WEIGHTS}{line}", "f", 2).tolist()
            name = f"{_COPYING}{line}"
            copying = arrays.read(name, "f", 1).tolist() if name in copied else []
            if copying and len(copying) != len(weights):
                raise ValueError("shapes")
            tables.append(AttentionTable(line + 1, [], [], None, weights, copying))
    return tables


def _weights(row: str, where: str) -> list[float]:
    try:
        return [float(weight) for weight in row.split()]
    except ValueError:
        raise DataError(f"{where}: expected the weights of a target word, found '{row[:80]}'") from None


@dataclass(frozen=True)
class BeamTree:
    """The search of one sentence in a `-save_beam_to` file, [step][slot]; a slot without a score is empty."""

    words: list[list[str]]
    parents: list[list[int]]
    scores: list[list[float | None]]

    @classmethod
    def read(cls, path: str) -> list["BeamTree"]:
        """Read the sentences of a `-save_beam_to` file. Raises DataError for another file."""
        return _read_beam_arrays(path) if ArrayFile.has_suffix(path) else _read_beam_json(path)


def _read_beam_json(path: str) -> list[BeamTree]:
    try:
        content = json.loads("\n".join(read_text_lines(path)))
        trees = [
            BeamTree(words, parents, scores)
            for words, parents, scores in zip(
                content["predicted_ids"], content["beam_parent_ids"], content["scores"], strict=True
            )
        ]
        for tree in trees:
            _check_tree(tree)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: not a file of -save_beam_to") from error
    return trees


def _read_beam_arrays(path: str) -> list[BeamTree]:
    with _reading_arrays(path, "-save_beam_to") as arrays:
        ids, parents, scores = (
            arrays.read(name, kind, 3)
            for name, kind in (("predicted_ids", "i"), ("beam_parent_ids", "i"), ("scores", "f"))
        )
        words = np.append(arrays.read("target_words", "U", 1), "")  # -1, a dead slot, has no word
        steps = arrays.read("steps", "i", 1)
        if not (ids.shape == parents.shape == scores.shape and len(ids) == len(steps)):
            raise ValueError("shapes")
        if (ids < -1).any() or (ids >= len(words) - 1).any():
            raise ValueError("ids")
        if (steps < 0).any() or (steps > ids.shape[1]).any():
            raise ValueError("steps")
        trees = []
        for sentence, length in enumerate(steps):
            shown = scores[sentence, :length].tolist()
            tree = BeamTree(
                words[ids[sentence, :length]].tolist(),
                parents[sentence, :length].clip(min=0).tolist(),
                [[None if math.isnan(score) else score for score in step] for step in shown],
            )
            _check_tree(tree)
            trees.append(tree)
    return trees


def _check_tree(tree: BeamTree) -> None:
    """Raise ValueError, or OverflowError, unless every slot has a word, a score and a parent in the step
    before.
    """
    before = None
    for words, parents, scores in zip(tree.words, tree.parents, tree.scores, strict=True):
        if not len(words) == len(parents) == len(scores):
            raise ValueError("slots")
        if not all(isinstance(word, str) for word in words):
            raise ValueError("words")
        if not all(isinstance(parent, int) for parent in parents):
            raise ValueError("parents")
        if before is not None and not all(0 <= parent < before for parent in parents):
            raise ValueError("parents")
        if not all(score is None or isinstance(score, int | float) for score in scores):
            raise ValueError("scores")
        for score in scores:
            float(score or 0)  # a whole number of JSON may be too large for one
        before = len(words)
