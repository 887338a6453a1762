"""Worker processes that end with their parent, and a training's exclusive claim to the name of its models."""

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

_POLL: Final = 0.25  # seconds between two checks of the parent
_PATIENCE: Final = 2.0  # seconds for which a claim waits until another one ends


def end_with_parent(parent: int, warn: Callable[[], None] | None = None, grace: float = 0.0) -> None:
    """End this process soon after its parent process, `parent`, has ended.

    warn: called first, in another thread; the process then has `grace` seconds to end by itself. A thread
    polls, because a killed parent cannot end its children, and not every system can notify them.
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
    """Yield `function(item)` for each item, in order; with more than one worker, computed by processes.

    Reads only a few items ahead of the results. Once CUDA has started, computes everything in this process,
    since CUDA does not support fork. Raises the function's own errors, and OnmtError when a worker process
    ends early.
    """
    if workers <= 1 or _cuda_has_started():
        yield from map(function, items)
        return
    pending: deque[Future[Made]] = deque()
    # Forked workers inherit the function, with all its vocabularies, without pickling; they share this byte.
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
        given_up[0] = 1  # after an early end, workers skip the items that they have received already
        pool.shutdown(wait=True, cancel_futures=True)


def _cuda_has_started() -> bool:
    """Return whether this process has a CUDA context; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


class _Worker:
    """The state of a worker process; `start` sets it once per process."""

    function: Callable[[Any], Any]
    given_up: mmap.mmap

    @classmethod
    def start(cls, function: Callable[[Any], Any], given_up: mmap.mmap, parent: int) -> None:
        # The parent handles signals to the process group; workers end with it (`end_with_parent`).
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
    """Hold an exclusive claim to the name `path` until the block ends.

    Raises OnmtError, naming `what`, if another process on this machine holds it. The claim is an abstract
    socket, which leaves no file and disappears with its process, even if that is killed. Abstract sockets
    exist on Linux only; elsewhere, and between machines of a cluster, the claim has no effect.
    A claim that is given up within `_PATIENCE` seconds is waited for: the workers of a killed process, which
    inherit its socket, end a moment after it.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    name = hashlib.sha256(os.path.realpath(path).encode("utf-8", "surrogateescape")).hexdigest()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as holder:
        deadline = time.monotonic() + _PATIENCE
        while not _bound(holder, f"\0onmt-{name}"):
            if time.monotonic() > deadline:
                raise OnmtError(
                    f"{what} {path}: another training writes models of this name; wait for its end, or "
                    "choose another name"
                )
            time.sleep(_POLL / 4)
        yield


def _bound(holder: socket.socket, address: str) -> bool:
    """Bind the socket; return False if another one has the address. Other errors count as success: the system
    has no such addresses.
    """
    try:
        holder.bind(address)
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True
