"""Turns lines into lines, in batches, over several processes, in order."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import BinaryIO, Final

from onmt.errors import DataError, OnmtError
from onmt.text.lines import decode_line

# Gives one line for each line it gets, one after the other.
LineFunction = Callable[[list[str]], Iterable[str]]

# A batch ends here even if it has fewer lines than wanted: lines can be long.
_BATCH_BYTES: Final = 1 << 23


def process_lines(
    source: BinaryIO,
    target: BinaryIO,
    make: Callable[[], LineFunction],
    *,
    name: str,
    processes: int,
    batch_size: int,
) -> int:
    """Write to `target` one line for each line of `source`, and return their number.

    make: makes the function that does the work, once in every process; with several, it must be picklable.
    name: what messages call the source. processes: 1 does the work here. batch_size: lines at a time.
    Raises DataError for what the function refuses and for bytes that are not UTF-8, naming the line.
    """
    counter = _Counter()
    batches = counter.count(_batches(source, batch_size))
    if processes == 1:
        function = make()
        for first, batch in batches:
            target.write(_process(function, name, first, batch))
            target.flush()
    else:
        for result in _process_in_parallel(make, name, batches, processes):
            target.write(result)
            target.flush()
    return counter.lines


class _Counter:
    """Numbers batches by their first line, from 1."""

    def __init__(self) -> None:
        self.lines = 0

    def count(self, batches: Iterable[list[bytes]]) -> Iterator[tuple[int, list[bytes]]]:
        for batch in batches:
            first = self.lines + 1
            self.lines += len(batch)
            yield first, batch


def _batches(source: BinaryIO, batch_size: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in source:
        batch.append(line)
        size += len(line)
        if len(batch) == batch_size or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _process(function: LineFunction, name: str, first: int, batch: Sequence[bytes]) -> bytes:
    lines = [decode_line(line, name, number) for number, line in enumerate(batch, start=first)]
    done: list[str] = []
    try:
        for line in function(lines):
            done.append(line)
    except DataError as error:
        raise DataError(f"{name}, line {first + len(done)}: {error}") from error
    return "".join(f"{line}\n" for line in done).encode("utf-8", "replace")


def _process_in_parallel(
    make: Callable[[], LineFunction], name: str, batches: Iterable[tuple[int, list[bytes]]], processes: int
) -> Iterator[bytes]:
    """The results of all batches in order. The workers take turns, so each holds one batch at most."""
    workers = [_Worker(make, name) for _ in range(processes)]
    try:
        sent = 0
        for first, batch in batches:
            worker = workers[sent % processes]
            if sent >= processes:
                yield worker.receive()
            worker.send(first, batch)
            sent += 1
        for turn in range(max(0, sent - processes), sent):
            yield workers[turn % processes].receive()
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that works on one batch at a time."""

    def __init__(self, make: Callable[[], LineFunction], name: str) -> None:
        self._connection, other_end = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_work, args=(make, name, other_end), daemon=True)
        self._process.start()
        other_end.close()

    def send(self, first: int, batch: list[bytes]) -> None:
        try:
            self._connection.send((first, batch))
        except BrokenPipeError as error:
            raise OnmtError("a worker process has died; was it out of memory?") from error

    def receive(self) -> bytes:
        """The result of the batch sent last; raises what went wrong with it."""
        try:
            result: bytes | OnmtError = self._connection.recv()
        except EOFError as error:
            raise OnmtError("a worker process has died; was it out of memory?") from error
        if isinstance(result, OnmtError):
            raise result
        return result

    def stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.join()


def _work(make: Callable[[], LineFunction], name: str, connection: Connection) -> None:
    """The life of a worker process; the parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    try:
        function = make()
        while True:
            first, batch = connection.recv()
            connection.send(_process(function, name, first, batch))
    except OnmtError as error:
        connection.send(error)
    except (EOFError, BrokenPipeError):
        return
