"""Signals end a program after it has cleaned up or saved, with a message of one line and exit code 128 + n.

Only the first signal counts. Later ones are ignored, so they cannot interrupt cleaning up or saving. A
program that hangs can be ended by SIGKILL.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

ENDING_SIGNALS: Final = tuple(
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGXCPU", "SIGPWR")
    if hasattr(signal, name)
)
"""Signals that end a process by default and are sent by users, terminals, schedulers or resource limits."""

_RETRY: Final = 0.02  # seconds


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end; raised in the main thread at its current place."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class SignalHandler:
    """Remembers the first signal and raises Stopped for it, unless signals are held.

    During an import or in `__del__` the exception would be converted into another one, or printed and lost;
    there the handler waits until the import or the deletion is done.
    """

    def __init__(self, held: bool = False) -> None:
        self.received: int | None = None
        self._held = held
        self._previous: dict[int, Any] = {}

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle ENDING_SIGNALS, and SIGALRM from the retry timer that the handler itself sets."""
        if number != signal.SIGALRM:
            if self.received is not None:
                return
            self.received = number
        self._raise_unless_held(frame)

    @contextmanager
    def holding(self, held: bool = True) -> Iterator[None]:
        """Within the block, signals are only remembered (held), or raise Stopped (not held)."""
        before, self._held = self._held, held
        try:
            if not held and before:
                self._raise_unless_held(None)
            yield
        finally:
            self._held = before

    def install(self) -> None:
        """Handle the signals from now on. SIGHUP stays ignored if it is, as under `nohup`."""
        for number in ENDING_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self)
        self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self)

    def uninstall(self) -> None:
        """Restore the previous handlers."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()

    def _raise_unless_held(self, frame: FrameType | None) -> None:
        if self._held or self.received is None:
            return
        if _would_be_lost(frame):
            signal.setitimer(signal.ITIMER_REAL, _RETRY)
        else:
            raise Stopped(self.received)


@contextmanager
def handling_signals() -> Iterator[SignalHandler]:
    """Yield the handler of this process: the installed one, or a new one that is installed for this block.

    Only the main thread can handle signals: in another thread, the new handler never receives any.
    """
    current = signal.getsignal(signal.SIGTERM)
    if isinstance(current, SignalHandler):
        yield current
        return
    handler = SignalHandler()
    try:
        handler.install()
    except ValueError:
        yield handler
        return
    try:
        yield handler
    finally:
        handler.uninstall()


def ignore_signals() -> None:
    """Ignore all ending signals: in workers, and at exit, when only the interpreter's cleanup is left."""
    for number in (*ENDING_SIGNALS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block the ending signals, so that a process started in the block begins with them blocked.

    They are blocked in this thread only: another thread of this process may receive them. See
    `unblock_signals`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Unblock the ending signals in a process that was started under `blocked_signals`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def describe_signal(number: int) -> str:
    """Return the message for a program that a signal ended."""
    return "interrupted" if number == signal.SIGINT else f"interrupted by {signal.Signals(number).name}"


def _would_be_lost(frame: FrameType | None) -> bool:
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
