"""Ctrl-C and SIGTERM during training: finish the step, save, stop."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from onmt.errors import OnmtError


class Interrupted(OnmtError):  # noqa: N818 - nothing went wrong: the user asked to stop
    """Training was stopped by a signal, after saving; ends the process with the exit code shells expect."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Interruption:
    """While entered, the first SIGINT or SIGTERM is only remembered; a second one acts as it always does."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
