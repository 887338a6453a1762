"""Runs a script from command line to exit code; an error that a user can cause is one line on stderr."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Generic

from onmt.commandline.parser import parse
from onmt.commandline.script import HelpRequested, Options, Parsed, Script
from onmt.errors import OnmtError, is_out_of_memory
from onmt.logger import Logger, LoggerOptions, discard_output
from onmt.signals import Stopped, describe_signal, handling_signals, ignore_signals

EXIT_FAILURE: Final = 1
EXIT_SIGNAL: Final = 128  # plus the number of the signal, as a shell reports a process that a signal ended
EXIT_INTERRUPTED: Final = EXIT_SIGNAL + 2  # SIGINT
EXIT_BROKEN_PIPE: Final = EXIT_SIGNAL + 13  # SIGPIPE


class _ClosedStream(io.TextIOBase):
    """Replaces a standard stream that the caller closed; reading and writing raise OnmtError."""

    def __init__(self, name: str) -> None:
        self._error = OnmtError(f"{name} is closed")

    @property
    def buffer(self) -> BinaryIO:
        """Raise OnmtError: a closed stream has no buffer."""
        raise self._error

    def read(self, size: int | None = -1, /) -> str:
        """Raise OnmtError: nothing can be read."""
        raise self._error

    def write(self, text: str, /) -> int:
        """Raise OnmtError: nothing can be written."""
        raise self._error

    def flush(self) -> None:
        """Do nothing, since no output can be pending."""


@dataclass(frozen=True)
class Failure:
    """The message (None: no message) and the exit code for an exception that is not a bug."""

    message: str | None
    exit_code: int


@dataclass(frozen=True)
class Command(Generic[Options]):
    """A script and the function that does its work.

    Call it with the words of a command line, or without for those of the process; it returns the exit code.

    execute: does the work; it imports torch itself, so that help texts and usage errors don't wait for torch.
    """

    script: Script[Options]
    execute: Callable[[Parsed[Options], Logger], int | None]

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run the script."""
        return run(self.script, self.execute, argv)


def run(
    script: Script[Options],
    execute: Callable[[Parsed[Options], Logger], int | None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse the command line (`argv`, or the process's own), call `execute`, and return the exit code.

    The exit code is the result of `execute` (None counts as 0), 2 after a usage error, 1 after any other
    failure, and 128 + n after signal n (Ctrl-C: 130). An exception that only a bug can raise is not caught.
    """
    _use_utf8()
    _let_waiting_threads_sleep()
    _bound_cached_products()
    with handling_signals() as handler:
        try:
            with handler.holding(False):
                code = _parse_and_execute(script, execute, sys.argv[1:] if argv is None else argv)
                sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            with handler.holding():
                failure = failure_of(error)
                if failure is None:
                    raise
                _flush_or_discard_output()
                if failure.message is not None:
                    _complain(script, failure.message)
                code = failure.exit_code
        if argv is None:
            ignore_signals()  # only the interpreter's own cleanup is left
    return code


def _let_waiting_threads_sleep() -> None:
    """Make torch's threads spin only briefly, then sleep, while they wait for each other.

    By default GNU's OpenMP spins for milliseconds. On a machine where another program keeps one of two cores
    busy, a training step then takes about eight times as long. A short spin has no measurable cost on an idle
    machine. A setting of the user stays. The variable is read when torch is loaded, later in `execute`.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _bound_cached_products() -> None:
    """Limit oneDNN's cache of compiled products to 32 entries instead of 1024.

    oneDNN compiles code for every shape of matrices and caches it with its working memory. Batches of ever
    new shapes fill this cache with gigabytes; compiling again has no measurable cost. A setting of the user
    stays. The variable is read when torch is loaded.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")


def failure_of(error: BaseException) -> Failure | None:
    """Return message and exit code for an exception, or None if it is a bug."""
    if isinstance(error, OnmtError):
        return Failure(str(error), error.exit_code)
    stopped = _signal_behind(error)
    if stopped is not None:
        return Failure(describe_signal(stopped.number), EXIT_SIGNAL + stopped.number)
    if isinstance(error, KeyboardInterrupt):
        return Failure("interrupted", EXIT_INTERRUPTED)
    if isinstance(error, BrokenPipeError):  # the reader of the output has seen enough, as in `... | head`
        return Failure(None, EXIT_BROKEN_PIPE)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return Failure(f"{error.filename}: {reason}" if error.filename is not None else reason, EXIT_FAILURE)
    if is_out_of_memory(error):
        detail = str(error).partition("\n")[0]
        advice = (
            "out of memory: smaller batches (-max_batch_size, -max_tokens; -batch_size to translate), "
            "shorter sentences or a smaller model need less"
        )
        return Failure(f"{advice} ({detail})" if detail else advice, EXIT_FAILURE)
    return None


def _signal_behind(error: BaseException | None) -> Stopped | None:
    """Return the signal that an exception is, or that it followed: a signal in the middle of a library's
    `with` block can make the end of the block fail in turn.
    """
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error


def _parse_and_execute(
    script: Script[Options], execute: Callable[[Parsed[Options], Logger], int | None], argv: Sequence[str]
) -> int:
    try:
        parsed = parse(script, argv)
    except HelpRequested as request:
        print(request.text)
        return 0
    for warning in parsed.warnings:
        _complain(script, warning)
    with _logger_for(script, parsed.options) as logger:
        for notice in parsed.notices:
            logger.info(notice)
        try:
            return execute(parsed, logger) or 0
        except (Exception, KeyboardInterrupt) as error:
            failure = failure_of(error)
            if failure is not None and failure.message is not None and logger.writes_file:
                with suppress(OSError):
                    logger.error(failure.message)
            raise


def _logger_for(script: Script[Options], options: Options) -> Logger:
    stream = sys.stderr if script.data_on_stdout(options) else sys.stdout
    if isinstance(stream, _ClosedStream):
        stream = None
    return Logger(options if isinstance(options, LoggerOptions) else LoggerOptions(), stream)


def _use_utf8() -> None:
    """Make the standard streams UTF-8 whatever the locale.

    Output escapes characters that cannot be encoded (undecodable bytes in a file name). Streams that the
    caller closed, which are None, are replaced, so that no other code needs to check for None.
    """
    if sys.stdin is None:
        sys.stdin = _ClosedStream("standard input")
    if sys.stdout is None:
        sys.stdout = _ClosedStream("standard output")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            errors = "strict" if stream is sys.stdin else "backslashreplace"
            stream.reconfigure(encoding="utf-8", errors=errors)


def _complain(script: Script[Any], message: str) -> None:
    line = message.replace("\n", "\\n").replace("\r", "\\r")
    with suppress(OSError):  # the terminal may be closed
        print(f"{os.path.basename(script.name)}: {line}", file=sys.stderr, flush=True)


def _flush_or_discard_output() -> None:
    """Flush standard output, or discard its buffer if that fails: the interpreter would report it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        discard_output(sys.stdout)
