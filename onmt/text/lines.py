"""Lines of text: UTF-8 whatever the locale, ended by `\\n` and by nothing else."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from onmt.errors import DataError


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
