"""The log of a server, which outlives its readers. No torch here."""

from contextlib import suppress

from onmt.logger import Logger, LoggerOptions


class ServerLog(Logger):
    """Hands lines on to a log; a line that cannot be written (`... | head`, a full disk) is lost, no more."""

    def __init__(self, log: Logger) -> None:
        super().__init__(LoggerOptions(disable_logs=True), None)
        self._log_lines = log

    def debug(self, message: str) -> None:
        """See Logger."""
        with suppress(OSError):
            self._log_lines.debug(message)

    def info(self, message: str) -> None:
        """See Logger."""
        with suppress(OSError):
            self._log_lines.info(message)

    def warning(self, message: str) -> None:
        """See Logger."""
        with suppress(OSError):
            self._log_lines.warning(message)

    def error(self, message: str) -> None:
        """See Logger."""
        with suppress(OSError):
            self._log_lines.error(message)
