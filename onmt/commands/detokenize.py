"""`tools/detokenize.py`: puts the tokens of each line of standard input together again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onmt.commandline.declare import not_empty, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.commands.tokenize import ParallelOptions, filter_lines
from onmt.constants import JOINER
from onmt.hooks import HookOptions, hooked_options, load_hook_module
from onmt.logger import Logger
from onmt.text.hooks import tokenizer_hooks
from onmt.text.lines import LineFunction, split_words
from onmt.text.tokenizer import Detokenizer


@dataclass(frozen=True, kw_only=True)
class DetokenizerOptions:
    """Detokenizer"""

    case_feature: bool = option(False, "The first feature of the words is their case: give it back to them.")
    joiner: str = option(JOINER, "The mark that joins tokens without a blank.", valid=not_empty)
    moses_language: str = option(
        "",
        "Two-letter code of a language: put words and punctuation together by its Moses rules. "
        "For text cut with -mode moses.",
    )


@dataclass(frozen=True, kw_only=True)
class DetokenizeOptions(DetokenizerOptions, ParallelOptions, HookOptions):
    """Detokenize"""


SCRIPT = Script(
    name="tools/detokenize.py",
    summary="Puts the tokens of each line of standard input together again, on standard output.",
    choose=lambda words: hooked_options(DetokenizeOptions, words),
    data_on_stdout=lambda _: True,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[DetokenizeOptions], logger: Logger) -> None:
    """Write one line for every line read."""
    filter_lines(line_function(parsed.options, logger), parsed.options, "Detokenization", logger)


def line_function(options: DetokenizeOptions, logger: Logger) -> LineFunction:
    """The function that detokenizes lines."""
    hooks = tokenizer_hooks(load_hook_module(options.hook_file, logger), options)
    detokenizer = Detokenizer(options.joiner, options.case_feature, options.moses_language, hooks)

    def detokenize(lines: list[str]) -> Iterator[str]:
        for line in lines:
            yield detokenizer.detokenize(split_words(line))

    return detokenize
