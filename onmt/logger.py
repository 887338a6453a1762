"""The log of a run: `[date time LEVEL] message` lines, passed around as an object."""

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
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
        "Append the log to this file instead of printing it. If the name ends in .json, the file holds an "
        "array of [level, time, message] entries of all levels, whatever -log_level is.",
        writes=("{}",),
    )
    disable_logs: bool = option(False, "Write no log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "NONE"] = option(
        "INFO", "Lowest level of the messages to log."
    )
    log_tag: str = option("", "Tag at the beginning of every line, to tell the logs of several runs apart.")


class Logger:
    """Writes log lines to a stream, or to `-log_file` instead; use as a context manager.

    Nothing is buffered when a call returns. A failure to write the log file does not end the run: one warning
    goes to standard error, and each later line is tried again. The same holds for the stream once
    `outlives_stream` has been called; before that, OSError is raised.
    """

    def __init__(self, options: LoggerOptions, stream: TextIO | None) -> None:
        """`stream`: receives the lines unless the options name a file; None drops them."""
        self._threshold = _SEVERITY["NONE" if options.disable_logs else options.log_level]
        self._tag = f"{options.log_tag} " if options.log_tag else ""
        self._stream = stream
        self._outlives_stream = False
        self._warned = False
        self._file: _TextLog | _JsonLog | None = None
        if options.log_file and not options.disable_logs:
            self._file = (_JsonLog if options.log_file.endswith(".json") else _TextLog)(options.log_file)

    @property
    def writes_file(self) -> bool:
        """Whether the log goes to a file."""
        return self._file is not None

    def debug(self, message: str) -> None:
        """Log a detail that helps only in debugging."""
        self._log("DEBUG", message)

    def info(self, message: str) -> None:
        """Log what the run is doing."""
        self._log("INFO", message)

    def warning(self, message: str) -> None:
        """Log that the run continues, but perhaps not as the user expects."""
        self._log("WARNING", message)

    def error(self, message: str) -> None:
        """Log why the run cannot continue."""
        self._log("ERROR", message)

    def outlives_stream(self) -> None:
        """Drop lines that cannot be written to the stream from now on, instead of raising OSError."""
        self._outlives_stream = True

    def close(self) -> None:
        """Close the log file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        if self._stream is not None and self._outlives_stream and self._warned:
            discard_output(self._stream)

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
        try:
            if isinstance(self._file, _JsonLog):
                self._file.append(level, time, self._tag + message)
            elif _SEVERITY[level] >= self._threshold:
                self._write(f"{self._tag}[{time} {level}] {message}\n")
        except OSError as error:
            if self._file is None and not self._outlives_stream:
                raise
            self._warn(error)

    def _write(self, line: str) -> None:
        if isinstance(self._file, _TextLog):
            self._file.append(line)
        elif self._stream is not None:
            with _bars_aside(self._stream):
                self._stream.write(line)
                self._stream.flush()

    def _warn(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError) and self._stream is not None:
            discard_output(self._stream)  # otherwise each flush would try to write the buffered text again
        if self._warned or sys.stderr is None:
            return
        self._warned = True
        with suppress(OSError):
            where = "" if self._file is None else f" to '{self._file.path}'"
            reason = error.strerror or error
            print(f"warning: cannot write the log{where} ({reason}); going on", file=sys.stderr, flush=True)


class _TextLog:
    def __init__(self, path: str) -> None:
        self.path = path
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by Logger.close

    def append(self, line: str) -> None:
        _write_all(self._file, line.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        self._file.close()


class _JsonLog:
    """A file that holds a complete JSON array after every entry, even if writing the entry failed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._empty = _is_new_or_empty_array(path)
        if self._empty:
            Path(path).write_bytes(b"[" + _JSON_END)
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 - closed by Logger.close

    def append(self, level: Level, time: str, message: str) -> None:
        entry = json.dumps([level, time, message], ensure_ascii=False).encode("utf-8", "backslashreplace")
        separator = b"\n" if self._empty else b",\n"
        end = self._file.seek(-len(_JSON_END), 2)
        try:
            _write_all(self._file, separator + entry + _JSON_END)
        except OSError:
            # The old end fits even on a full disk: it overwrites bytes that the file already has.
            self._file.seek(end)
            _write_all(self._file, _JSON_END)
            self._file.truncate()
            raise
        self._empty = False

    def close(self) -> None:
        self._file.close()


def discard_output(stream: TextIO) -> None:
    """Redirect a stream to the null device, including the text that it has buffered."""
    with suppress(OSError, ValueError):  # a replaced stream has no descriptor
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _write_all(file: FileIO, data: bytes) -> None:
    """Write all of `data`; a disk that fills up may accept a part of it without an error."""
    while data:
        data = data[file.write(data) :]


def _is_new_or_empty_array(path: str) -> bool:
    """Return whether a JSON log has no entries yet, after repairing an end that was cut off.

    Raises OptionError when the file holds something other than a log.
    """
    file = Path(path)
    if not file.exists() or file.stat().st_size == 0:
        return True
    content = file.read_bytes()
    entries = _parsed(content)
    if not isinstance(entries, list) or not content.endswith(_JSON_END):
        content = _without_torn_end(content)
        entries = _parsed(content)
        if not isinstance(entries, list):
            raise OptionError(f"-log_file {path}: the file exists, but it is not a log of this toolkit")
        file.write_bytes(content)
    return not entries


def _parsed(content: bytes) -> Any:
    """Return the JSON value, or None if the content is not valid JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _without_torn_end(content: bytes) -> bytes:
    """Close the array of a log that a kill or a full disk has cut off, without its last entry if that is
    incomplete. Returns b"" if the content is not a log.
    """
    if b'[\n["'.startswith(content):
        return b"[" + _JSON_END
    if not content.startswith(b'[\n["'):
        return b""
    whole = content.rstrip(b",\n") + _JSON_END
    if _parsed(whole) is not None:
        return whole
    head = content.rpartition(b"\n")[0]
    return head.removesuffix(b",") + _JSON_END


def _bars_aside(stream: TextIO) -> AbstractContextManager[Any]:
    """Clear progress bars while a line is written; tqdm, slow to import, is used only if already imported."""
    progress = sys.modules.get("tqdm")
    return nullcontext() if progress is None else progress.tqdm.external_write_mode(file=stream)
