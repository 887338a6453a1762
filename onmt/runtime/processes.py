"""Worker processes that end with their parent, and the claim that one training has on a model's name."""

import errno
import hashlib
import mmap
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from onmt.errors import OnmtError
from onmt.signals import blocked_signals, ignore_signals, unblock_signals

_POLL: Final = 0.25  # seconds between two looks at the parent


def end_with_parent(parent: int, warn: Callable[[], None] | None = None, grace: float = 0.0) -> None:
    """End this process soon after the process `parent`, which started it, has ended.

    warn: called first, in another thread; the process then has `grace` seconds to end by itself. A parent
    that was killed cannot end its children, and not every system can tell them: so a thread looks.
    """
    threading.Thread(target=_watch, args=(parent, warn, grace), name="parent watch", daemon=True).start()


def _watch(parent: int, warn: Callable[[], None] | None, grace: float) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    if warn is not None:
        warn()
        time.sleep(grace)
    os._exit(1)


Item = TypeVar("Item")
Made = TypeVar("Made")


def map_in_order(
    function: Callable[[Item], Made], items: Iterable[Item], workers: int
) -> Generator[Made, None, None]:
    """`function(item)` for each item, in their order; with more than one worker, computed by processes.

    Only a few items are taken ahead of the results. Once CUDA has started, everything is computed in this
    process: CUDA does not support being forked. Raises what the function raises.
    """
    if workers <= 1 or _cuda_has_started():
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


def _cuda_has_started() -> bool:
    """Whether this process has a context of CUDA; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


class _Worker:
    """The work of a process; `start` sets the function once per process."""

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


@contextmanager
def claimed(path: str, what: str) -> Iterator[None]:
    """Hold the name `path` until the block ends. Raises OnmtError, naming `what`, while another process does.

    The claim is an abstract socket: it leaves no file and ends with its process, however that ends. Where the
    system has none (anywhere but on Linux), and on other machines of a cluster, nothing is claimed.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    name = hashlib.sha256(os.path.realpath(path).encode("utf-8", "surrogateescape")).hexdigest()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as holder:
        try:
            holder.bind(f"\0onmt-{name}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                yield
                return
            raise OnmtError(
                f"{what} {path}: another training writes models of this name; wait for its end, or choose "
                "another name"
            ) from None
        yield
