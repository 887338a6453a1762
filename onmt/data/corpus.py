"""Read parallel corpus files in blocks of lines; memory does not grow with their size.

Only `\\n` ends a line; a last line without it counts. U+2028, U+0085 and NUL are ordinary characters. A
carriage return counts as a blank, so that no token contains one. A byte order mark at the start of a file is
skipped.
"""

import codecs
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import numpy as np
import numpy.typing as npt

from onmt.errors import DataError
from onmt.text.lines import decode_line

_Item = TypeVar("_Item")

_BLOCK_BYTES: Final = 1 << 16  # the words of a block should fit in the processor's cache

OnBytesRead = Callable[[int], object]  # called with the number of bytes read since the last call


@dataclass(frozen=True)
class LineBlock:
    """Lines of one file, not decoded yet. `numbers` are their line numbers, from 1."""

    path: str
    data: bytes  # every line ends with \n
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def text(self) -> str:
        """Decode the lines to one text. Raises DataError naming file, line and offset of an invalid byte."""
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError:
            for line, number in zip(self.data.split(b"\n"), self.numbers, strict=False):
                decode_line(line, self.path, number)
            raise

    def lines(self) -> list[str]:
        """Decode the lines, without their `\\n`. Raises DataError as `text` does."""
        return self.text().replace("\r", " ").split("\n")[:-1]

    def size(self) -> int:
        """Bytes in memory."""
        return len(self.data)

    def where(self, index: int) -> str:
        """The place of a line, for messages."""
        return f"{self.path}, line {self.numbers[index]}"


@dataclass(frozen=True)
class VectorBlock:
    """Sequences of vectors (frames x dimension, float32) of one file.

    numbers: of their first lines or, in a binary file, of the entries; `unit` says which.
    """

    path: str
    matrices: Sequence[npt.NDArray[np.float32]]
    numbers: Sequence[int]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.numbers)

    def size(self) -> int:
        """Bytes in memory."""
        return sum(matrix.nbytes for matrix in self.matrices)

    def where(self, index: int) -> str:
        """The place of an entry, for messages."""
        return f"{self.path}, {self.unit} {self.numbers[index]}"


@dataclass(frozen=True)
class ImageBlock:
    """Images of one list file, not read yet. images: their paths. numbers: their line numbers in the list."""

    path: str
    images: Sequence[str]
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def size(self) -> int:
        """Bytes in memory: of the paths, as no image is read yet."""
        return sum(map(len, self.images))

    def where(self, index: int) -> str:
        """The place of an image, for messages."""
        return f"{self.path}, line {self.numbers[index]}"


Block = LineBlock | VectorBlock | ImageBlock


@contextmanager
def open_corpus_file(path: str) -> Iterator[BinaryIO]:
    """Open a corpus file, positioned after its byte order mark if it has one.

    Raises DataError if it cannot be read or isn't a regular file: a corpus is read more than once.
    """
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from error
    with file:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise DataError(f"{path}: must be a file on disk, because it is read more than once")
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        yield file


def has_byte_order_mark(path: str) -> bool:
    """Whether the first bytes of a file are a UTF-8 byte order mark."""
    with open_corpus_file(path) as file:
        return file.tell() > 0


def read_parallel(paths: Sequence[str], progress: OnBytesRead) -> Iterator[tuple[LineBlock, ...]]:
    """Read the files line by line in parallel, in blocks of several hundred lines.

    Raises DataError with both counts if two files differ in their number of lines.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(open_corpus_file(path)) for path in paths]
        done = 0
        while True:
            first = _ended(files[0].read(_BLOCK_BYTES) + files[0].readline())
            count = first.count(b"\n")
            # After the end of the first file, one more line is read to check that the others end as well.
            others = [list(islice(file, count or 1)) for file in files[1:]]
            if any(len(lines) != count for lines in others):
                raise _unequal(paths, [done + count, *(done + len(lines) for lines in others)], files)
            if not count:
                return
            numbers = range(done + 1, done + 1 + count)
            sides = [first, *(_ended(b"".join(lines)) for lines in others)]
            blocks = [LineBlock(path, data, numbers) for path, data in zip(paths, sides, strict=True)]
            yield tuple(blocks)
            done += count
            progress(sum(map(len, sides)))


def count_lines(path: str) -> int:
    """Count the lines of a file, including a last one without `\\n`."""
    with open_corpus_file(path) as file:
        return sum(1 for _ in file)


def grouped(items: Iterable[_Item], size: int, size_of: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """Yield the items in order, in lists; a list ends once it holds at least `size` bytes."""
    group: list[_Item] = []
    bytes_of_group = 0
    for item in items:
        group.append(item)
        bytes_of_group += size_of(item)
        if bytes_of_group >= size:
            yield group
            group, bytes_of_group = [], 0
    if group:
        yield group


def _ended(lines: bytes) -> bytes:
    return lines if not lines or lines.endswith(b"\n") else lines + b"\n"


def _unequal(paths: Sequence[str], read: list[int], files: Sequence[BinaryIO]) -> DataError:
    counts = [count + sum(1 for _ in file) for count, file in zip(read, files, strict=True)]
    shorter, longer = counts.index(min(counts)), counts.index(max(counts))
    return unequal_files(paths[shorter], counts[shorter], paths[longer], counts[longer])


def unequal_files(path: str, lines: int, other: str, other_lines: int) -> DataError:
    """Build the error for two parallel files with different numbers of lines."""
    return DataError(
        f"{path} has {lines} lines but {other} has {other_lines}: both must have the same number of lines"
    )
