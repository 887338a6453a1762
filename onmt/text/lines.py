"""Lines of text: UTF-8 whatever the locale, ended by `\\n` and by nothing else."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from onmt.errors import DataError

_WHITE_SPACE: Final = re.compile("[ \\t\\n\\r\\f\\v]+")


def split_words(line: str) -> list[str]:
    """What stands between blanks: U+0020, and the carriage return that ends lines of files from Windows."""
    tokens = line.replace("\r", " ").split(" ")
    return [token for token in tokens if token] if "" in tokens else tokens


def split_at_white_space(line: str) -> list[str]:
    """What stands between white space of ASCII, as multi-bleu.perl splits what it scores."""
    return [token for token in _WHITE_SPACE.split(line) if token]


def decode_line(line: bytes, source: str, number: int) -> str:
    """One line, given with or without its `\\n`, as text without it.

    Raises DataError naming the source, the line (from 1) and the offset of the bad byte in the line (from 0).
    """
    try:
        return line.removesuffix(b"\n").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}, line {number}, byte offset {error.start}: not valid UTF-8") from error


def decode_lines(lines: Iterable[bytes], source: str) -> Iterator[str]:
    """All lines of a binary file as text, see `decode_line`."""
    for number, line in enumerate(lines, start=1):
        yield decode_line(line, source, number)


def read_text_lines(path: str | Path) -> Iterator[str]:
    """The lines of a file; DataError when it cannot be read or is not UTF-8."""
    try:
        with Path(path).open("rb") as file:
            yield from decode_lines(file, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from error
