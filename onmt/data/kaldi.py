"""Kaldi text archives: `key [`, a row of numbers per line, the last one closed by `]`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from onmt.errors import DataError
from onmt.text.lines import decode_line


@dataclass(frozen=True)
class ArchiveEntry:
    """A sequence of vectors; `number` is the line of its key, from 1."""

    key: str
    number: int
    matrix: npt.NDArray[np.float32]  # frames x dimension; 0 x 0 when empty


def read_archive(file: BinaryIO, path: str) -> Iterator[ArchiveEntry]:
    """The entries of a text archive, one at a time.

    Raises DataError naming file and line for a row of another dimension than all others of the archive, for
    something that is no finite number, and for an entry that is not closed.
    """
    rows: list[npt.NDArray[np.float32]] = []
    key: str | None = None
    begun = 0
    dimension: int | None = None
    for number, raw in enumerate(file, start=1):
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
            yield ArchiveEntry(key, begun, matrix)
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
        if "_" not in field:  # Python would take 1_000 for a number
            return float(field)
    except ValueError:
        pass
    raise DataError(f"{where}: '{field[:80]}' is not a number")
