"""`tools/learn_bpe.py`: learns a model of subwords from standard input."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from onmt.commandline.declare import at_least, group, not_empty, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.errors import DataError, OptionError
from onmt.files import replacing
from onmt.hooks import HookOptions, hooked_options, load_hook_module
from onmt.logger import Logger, LoggerOptions
from onmt.text.bpe import BpeSettings, learn_merges
from onmt.text.hooks import tokenizer_hooks
from onmt.text.lines import decode_lines, split_features
from onmt.text.options import BEGIN_OF_TOKEN, END_OF_TOKEN, SegmentationOptions
from onmt.text.tokenizer import Tokenizer

_SENTENCES_PER_REPORT = 100_000
_MERGES_PER_REPORT = 1000


@dataclass(frozen=True, kw_only=True)
class BpeOptions:
    """BPE"""

    size: int = option(30000, "How many merges of neighbouring symbols to learn.", valid=at_least(1))
    bpe_mode: Literal["suffix", "prefix", "both", "none"] = option(
        "suffix",
        "Which ends of words are marked, so that subwords there differ from those inside: the end "
        "(`suffix`), the beginning (`prefix`), `both` or `none`.",
    )
    bpe_eot_marker: str = option(
        END_OF_TOKEN, "Marks the end of a word.", valid=not_empty, flag="bpe_EOT_marker"
    )
    bpe_bot_marker: str = option(
        BEGIN_OF_TOKEN, "Marks the beginning of a word.", valid=not_empty, flag="bpe_BOT_marker"
    )
    save_bpe: str = option("", "The model file to write.", required=True, valid=not_empty, writes=("{}",))

    def check(self) -> None:
        """Refuse markers that the model file cannot hold."""
        for flag, marker in (("EOT", self.bpe_eot_marker), ("BOT", self.bpe_bot_marker)):
            if any(character in marker for character in " ;\r\n"):
                raise OptionError(
                    f"-bpe_{flag}_marker: blanks and semicolons separate things in the model file"
                )


@dataclass(frozen=True, kw_only=True)
class LearnBpeOptions(BpeOptions, HookOptions, LoggerOptions):
    """Learn BPE"""

    tok: SegmentationOptions = group(SegmentationOptions, prefix="tok_", defaults={"mode": "space"})


SCRIPT = Script(
    name="tools/learn_bpe.py",
    summary="Learns from the text on standard input into which subwords -bpe_model cuts words.",
    choose=lambda words: hooked_options(LearnBpeOptions, words),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[LearnBpeOptions], logger: Logger) -> None:
    """Count the words, find the merges, write the model."""
    options = parsed.options
    settings = BpeSettings(
        mode=options.bpe_mode,
        case_insensitive=options.tok.case_feature,
        begin_marker=options.bpe_bot_marker,
        end_marker=options.bpe_eot_marker,
    )
    with replacing(options.save_bpe) as file:
        frequencies = _count_words(options, sys.stdin.buffer, logger)
        if not frequencies:
            raise DataError("standard input has no words to learn from")
        logger.info("Getting pair statistics from vocabulary")
        merges = _write_model(file, frequencies, settings, options.size, logger)
    if merges < options.size:
        logger.warning("No pair has frequency > 1. Stopping")
    logger.info(f"Wrote {merges} merges to {options.save_bpe}")


def _count_words(options: LearnBpeOptions, source: IO[bytes], logger: Logger) -> Counter[str]:
    """How often each word of the text occurs, features left out."""
    hooks = tokenizer_hooks(load_hook_module(options.hook_file, logger), options)
    tokenizer = Tokenizer(options.tok, hooks=hooks)
    logger.info(f"Using on-the-fly '{options.tok.mode}' tokenization for input")
    logger.info("Building vocabulary from STDIN")
    frequencies: Counter[str] = Counter()
    for number, line in enumerate(decode_lines(source, "standard input"), start=1):
        try:
            words, _ = split_features(tokenizer.tokenize(line))
        except DataError as error:
            raise DataError(f"standard input, line {number}: {error}") from error
        frequencies.update(words)
        if number % _SENTENCES_PER_REPORT == 0:
            logger.info(f"... {number} sentences processed")
    return frequencies


def _write_model(
    file: IO[bytes], frequencies: Counter[str], settings: BpeSettings, size: int, logger: Logger
) -> int:
    """Write header and merges, and return the number of merges."""
    logger.info("Generating merge operations to output")
    file.write(f"{settings.header()}\n".encode())
    written = 0
    for left, right in _progress(learn_merges(frequencies, settings, size), size):
        file.write(f"{left} {right}\n".encode())
        written += 1
        if written % _MERGES_PER_REPORT == 0:
            logger.info(f"... {written} merge operations generated")
    return written


def _progress(merges: Any, size: int) -> Any:
    """The merges, with a bar on a terminal."""
    from tqdm import tqdm  # here, because it is slow to import

    return tqdm(merges, total=size, unit="merge", disable=None, leave=False)
