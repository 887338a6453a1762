"""`tools/tokenize.py`: cuts the lines of standard input into tokens."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onmt.commandline.declare import at_least, between, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.hooks import HookOptions, hooked_options, load_hook_module
from onmt.logger import Logger
from onmt.text.hooks import tokenizer_hooks
from onmt.text.lines import LineFunction, process_lines
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class ParallelOptions:
    """Parallel"""

    nparallel: int = option(1, "Processes that share the work.", valid=between(1, 1024))
    batchsize: int = option(1000, "Lines that a process works on at a time.", valid=at_least(1))


@dataclass(frozen=True, kw_only=True)
class TokenizeOptions(TokenizerOptions, ParallelOptions, HookOptions):
    """Tokenize"""


SCRIPT = Script(
    name="tools/tokenize.py",
    summary="Cuts the lines of standard input into tokens, separated by blanks, on standard output.",
    choose=lambda words: hooked_options(TokenizeOptions, words),
    data_on_stdout=lambda _: True,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[TokenizeOptions], logger: Logger) -> None:
    """Write one line for every line read."""
    filter_lines(line_function(parsed.options, logger), parsed.options, "Tokenization", logger)


def filter_lines(function: LineFunction, options: ParallelOptions, what: str, logger: Logger) -> None:
    """Standard input through `function` to standard output, line by line; `what` was done is logged at the
    end.
    """
    start = time.perf_counter()
    lines = process_lines(
        sys.stdin.buffer,
        sys.stdout.buffer,
        function,
        name="standard input",
        processes=options.nparallel,
        batch_size=options.batchsize,
    )
    seconds = time.perf_counter() - start
    logger.info(f"{what} completed in {seconds:.3f} seconds - {lines} sentences")


def line_function(options: TokenizeOptions, logger: Logger) -> LineFunction:
    """The function that tokenizes lines."""
    hooks = tokenizer_hooks(load_hook_module(options.hook_file, logger), options)
    tokenizer = Tokenizer.of(options, hooks)

    def tokenize(lines: list[str]) -> Iterator[str]:
        for line in hooks.preprocessed(lines):
            yield " ".join(tokenizer.tokenize(line))

    return tokenize
