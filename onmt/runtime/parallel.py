"""The same function on many items, in worker processes."""

import mmap
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from onmt.errors import OnmtError
from onmt.runtime.orphans import end_with_parent
from onmt.signals import blocked_signals, ignore_signals, unblock_signals

Item = TypeVar("Item")
Made = TypeVar("Made")


def map_in_order(
    function: Callable[[Item], Made], items: Iterable[Item], workers: int
) -> Generator[Made, None, None]:
    """`function(item)` for each item, in their order; with more than one worker, computed by processes.

    Only a few items are taken ahead of the results. Raises what the function raises.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    pending: deque[Future[Made]] = deque()
    # Forked workers have the function, with all its vocabularies, without being sent it, and share a byte.
    given_up = mmap.mmap(-1, 1)
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("fork"),
        initializer=_Worker.start,
        initargs=(function, given_up, os.getpid()),
    )
    try:
        for item in items:
            with blocked_signals():  # the first call starts the workers
                pending.append(pool.submit(_Worker.call, item))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise OnmtError(
            "a worker process ended early, perhaps for lack of memory; use fewer workers"
        ) from error
    finally:
        given_up[0] = 1  # no effect but on items that a worker has been sent and not begun
        pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """What a worker process does; the function is set once per process, by `start`."""

    function: Callable[[Any], Any]
    given_up: mmap.mmap

    @classmethod
    def start(cls, function: Callable[[Any], Any], given_up: mmap.mmap, parent: int) -> None:
        # Signals to the whole group are the parent's to handle; it ends the workers, even by its own end.
        ignore_signals()
        unblock_signals()
        end_with_parent(parent)
        cls.function = staticmethod(function)
        cls.given_up = given_up

    @classmethod
    def call(cls, item: Any) -> Any:
        return None if cls.given_up[0] else cls.function(item)
