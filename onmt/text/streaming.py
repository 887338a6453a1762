"""Turns lines into lines, in batches, over several processes, in order."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final

from onmt.errors import DataError
from onmt.runtime.parallel import map_in_order
from onmt.text.lines import decode_line

# Gives one line for each line it gets, one after the other.
LineFunction = Callable[[list[str]], Iterable[str]]

# A batch ends here even if it has fewer lines than wanted: lines can be long.
_BATCH_BYTES: Final = 1 << 23


@dataclass(frozen=True)
class _Batch:
    first: int  # the number of its first line, from 1
    lines: list[bytes]


def process_lines(
    source: BinaryIO,
    target: BinaryIO,
    function: LineFunction,
    *,
    name: str,
    processes: int,
    batch_size: int,
) -> int:
    """Write to `target` one line for each line of `source`, and return their number.

    name: what messages call the source. processes: 1 does the work here. batch_size: lines at a time.
    Raises DataError for what the function refuses and for bytes that are not UTF-8, naming the line.
    """
    lines = 0
    work = partial(_process, function, name)
    with closing(map_in_order(work, _batches(source, batch_size), processes)) as results:
        for result in results:
            target.write(result)
            target.flush()
            lines += result.count(b"\n")
    return lines


def _batches(source: BinaryIO, batch_size: int) -> Iterator[_Batch]:
    batch = _Batch(1, [])
    size = 0
    for line in source:
        batch.lines.append(line)
        size += len(line)
        if len(batch.lines) == batch_size or size >= _BATCH_BYTES:
            yield batch
            batch, size = _Batch(batch.first + len(batch.lines), []), 0
    if batch.lines:
        yield batch


def _process(function: LineFunction, name: str, batch: _Batch) -> bytes:
    lines = [decode_line(line, name, number) for number, line in enumerate(batch.lines, start=batch.first)]
    done: list[str] = []
    try:
        for line in function(lines):
            done.append(line)
    except DataError as error:
        raise DataError(f"{name}, line {batch.first + len(done)}: {error}") from error
    return "".join(f"{line}\n" for line in done).encode("utf-8", "replace")
