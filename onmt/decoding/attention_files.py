"""Read what `-save_attention` wrote, as text or as arrays. Torch-free."""

import re
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from onmt.decoding.array_files import COPYING, holds_arrays, reading_arrays
from onmt.errors import DataError
from onmt.text.lines import read_text_lines, split_words

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

    Arrays come without words and score; `number` is then that of the line in the output. `copying`: for each
    target word the probability of copying, none where the model cannot.
    """

    number: int
    target: list[str]
    source: list[str]
    score: float | None
    weights: list[list[float]]
    copying: list[float] = field(default_factory=list)


def read_attention(path: str) -> list[AttentionTable]:
    """The hypotheses of a `-save_attention` file. Raises DataError naming the line that does not fit."""
    if holds_arrays(path):
        return _read_attention_arrays(path)
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
    """The probabilities of copying at the end of a header, if they are there."""
    found = [] if text is None else _weights(text, where)
    if text is not None and len(found) != words:
        raise DataError(f"{where}: {len(found)} probabilities of copying for {words} words")
    return found


def _read_attention_arrays(path: str) -> list[AttentionTable]:
    with reading_arrays(path, "-save_attention") as arrays:
        copied = {name for name in arrays.names if name.startswith(COPYING)}
        tables = []
        for line in range(len(arrays.names) - len(copied)):
            weights = arrays.read(f"arr_{line}", "f", 2).tolist()
            name = f"{COPYING}{line}"
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
