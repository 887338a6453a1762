"""The same function on many items, in worker processes."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from onmt.errors import OnmtError

Item = TypeVar("Item")
Made = TypeVar("Made")


def map_in_order(function: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Iterator[Made]:
    """`function(item)` for each item, in their order; with more than one worker, computed by processes.

    Only a few items are taken ahead of the results. Raises what the function raises.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    pending: deque[Future[Made]] = deque()
    # A forked worker has the function, with all its vocabularies, without being sent it.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), initializer=_Worker.start, initargs=(function,)
    )
    try:
        for item in items:
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
        pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """What a worker process does; the function is set once per process, by `start`."""

    function: Callable[[Any], Any]

    @classmethod
    def start(cls, function: Callable[[Any], Any]) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        cls.function = staticmethod(function)

    @classmethod
    def call(cls, item: Any) -> Any:
        return cls.function(item)
