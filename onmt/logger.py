"""The log of a run: `[date time LEVEL] message` lines, passed around as an object."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TextIO

from onmt.commandline.declare import option
from onmt.errors import OptionError

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_SEVERITY: Final = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3, "NONE": 4}
_JSON_END: Final = b"\n]\n"


@dataclass(frozen=True, kw_only=True)
class LoggerOptions:
    """Logger"""

    log_file: str = option(
        "",
        "Append the log to this file instead of printing it. A name ending in .json gets an array of "
        "[level, time, message] entries, whatever the -log_level.",
        writes=("{}",),
    )
    disable_logs: bool = option(False, "Write no log at all.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "NONE"] = option(
        "INFO", "Leave out of the log what matters less than this level."
    )
    log_tag: str = option("", "A word put before every line, to tell the logs of several runs apart.")


class Logger:
    """Writes log lines to a stream, or to `-log_file` instead; use as a context manager.

    Each line is on its way when the call returns. Raises OSError when the log cannot be written.
    """

    def __init__(self, options: LoggerOptions, stream: TextIO | None) -> None:
        """`stream`: where lines go unless the options name a file; None drops them."""
        self._threshold = _SEVERITY["NONE" if options.disable_logs else options.log_level]
        self._tag = f"{options.log_tag} " if options.log_tag else ""
        self._stream = stream
        self._file: _TextLog | _JsonLog | None = None
        if options.log_file and not options.disable_logs:
            self._file = (_JsonLog if options.log_file.endswith(".json") else _TextLog)(options.log_file)

    @property
    def writes_file(self) -> bool:
        """The log goes to a file, where nobody is watching."""
        return self._file is not None

    def debug(self, message: str) -> None:
        """Detail that helps only someone who looks for a fault."""
        self._log("DEBUG", message)

    def info(self, message: str) -> None:
        """What the run is doing."""
        self._log("INFO", message)

    def warning(self, message: str) -> None:
        """The run goes on, but perhaps not as the user expects."""
        self._log("WARNING", message)

    def error(self, message: str) -> None:
        """Why the run cannot go on."""
        self._log("ERROR", message)

    def close(self) -> None:
        """Close the log file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _log(self, level: Level, message: str) -> None:
        time = datetime.now().strftime("%m/%d/%y %H:%M:%S")
        message = message.replace("\n", "\\n")
        if isinstance(self._file, _JsonLog):
            self._file.append(level, time, self._tag + message)
        elif _SEVERITY[level] >= self._threshold:
            line = f"{self._tag}[{time} {level}] {message}\n"
            if self._file is not None:
                self._file.append(line)
            elif self._stream is not None:
                with _bars_aside(self._stream):
                    self._stream.write(line)
                    self._stream.flush()


class _TextLog:
    def __init__(self, path: str) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by Logger.close

    def append(self, line: str) -> None:
        self._file.write(line.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        self._file.close()


class _JsonLog:
    """A file that holds a complete JSON array after every entry."""

    def __init__(self, path: str) -> None:
        self._empty = _is_new_or_empty_array(path)
        if self._empty:
            Path(path).write_bytes(b"[" + _JSON_END)
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 - closed by Logger.close

    def append(self, level: Level, time: str, message: str) -> None:
        entry = json.dumps([level, time, message], ensure_ascii=False).encode("utf-8", "backslashreplace")
        separator = b"\n" if self._empty else b",\n"
        self._file.seek(-len(_JSON_END), 2)
        self._file.write(separator + entry + _JSON_END)
        self._empty = False

    def close(self) -> None:
        self._file.close()


def _is_new_or_empty_array(path: str) -> bool:
    """Whether a JSON log starts from nothing; OptionError when the file holds something else than a log."""
    file = Path(path)
    if not file.exists() or file.stat().st_size == 0:
        return True
    content = file.read_bytes()
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not content.endswith(_JSON_END):
        raise OptionError(f"-log_file {path}: the file is there, but it is not a log of this toolkit")
    return not entries


def _bars_aside(stream: TextIO) -> AbstractContextManager[Any]:
    """Clears progress bars while a line is written, if there can be any: tqdm is slow to import."""
    progress = sys.modules.get("tqdm")
    return nullcontext() if progress is None else progress.tqdm.external_write_mode(file=stream)
