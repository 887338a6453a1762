"""How signals end a program: after cleaning up, or saving, in one line and with the exit code 128 + n.

The first signal counts; those that follow ask for the same and are ignored, so nothing that cleans up or
saves is cut short by them. A program that hangs is ended by SIGKILL, as always.
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
"""All that end a process by default and that users, terminals, schedulers or limits send."""

_RETRY: Final = 0.02  # seconds


class Stopped(KeyboardInterrupt):
    """A signal asks the program to end; raised wherever the main thread is."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class SignalHandler:
    """Remembers the first signal, and raises Stopped for it unless signals are held.

    While a module is being imported or an object deleted, the exception would be turned into another one or
    printed and lost; there it waits until that is done.
    """

    def __init__(self, held: bool = False) -> None:
        self.received: int | None = None
        self._held = held
        self._previous: dict[int, Any] = {}

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler of all ENDING_SIGNALS, and of the timer that it sets itself."""
        if number != signal.SIGALRM:
            if self.received is not None:
                return
            self.received = number
        self._raise_unless_held(frame)

    @contextmanager
    def holding(self, held: bool = True) -> Iterator[None]:
        """In the block, signals are only remembered (held) or raise Stopped (not held)."""
        before, self._held = self._held, held
        try:
            if not held and before:
                self._raise_unless_held(None)
            yield
        finally:
            self._held = before

    def install(self) -> None:
        """Handle the signals from now on. A SIGHUP that `nohup` made ignored stays so."""
        for number in ENDING_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self)
        self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self)

    def uninstall(self) -> None:
        """Give the signals back to who handled them before."""
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
    """The handler of this process's signals: the one that is installed, or a new one for this block.

    In another thread than the main one, which alone can handle signals, a handler that never hears of any.
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
    """For the end of a program, when all is done but the interpreter's own cleaning up, and for workers."""
    for number in (*ENDING_SIGNALS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def blocked_signals() -> Iterator[None]:
    """A process started in the block begins with its signals waiting, see `unblock_signals`.

    They wait in this thread, too; another thread of this process may take them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Let a process that was started with its signals waiting have them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def describe_signal(number: int) -> str:
    """The message for a program that a signal ended."""
    return "interrupted" if number == signal.SIGINT else f"interrupted by {signal.Signals(number).name}"


def _would_be_lost(frame: FrameType | None) -> bool:
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
