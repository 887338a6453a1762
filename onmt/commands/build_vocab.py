"""`tools/build_vocab.py`: builds the vocabularies of a text and its word features."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onmt.commandline.declare import at_least, existing_file, not_empty, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.constants import SPECIAL_WORDS
from onmt.errors import DataError
from onmt.logger import Logger, LoggerOptions

if TYPE_CHECKING:
    from onmt.data.corpus import LineBlock
    from onmt.data.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class VocabularyOptions:
    """Vocabulary"""

    data: str = option("", "The text, tokenized.", required=True, valid=existing_file)
    save_vocab: str = option(
        "",
        "Beginning of the names of the files to write: `PREFIX.dict`, `PREFIX_feature_1.dict` and so on.",
        required=True,
        valid=not_empty,
        writes=("{}.dict", "{}_feature_*.dict"),
    )
    vocab_size: tuple[int, ...] = option(
        (50000,),
        "How many of the most frequent words to keep, then of the labels of each feature; 0: all. "
        "The four special words come on top.",
        valid=at_least(0),
    )
    words_min_frequency: tuple[int, ...] = option(
        (0,),
        "Keep words, and labels of each feature, that occur at least this many times, instead of a number "
        "of them; 0: -vocab_size decides.",
        valid=at_least(0),
    )
    keep_frequency: bool = option(False, "Write the number of occurrences of each word too.")
    idx_files: bool = option(False, "Each line begins with a key and a blank, which are no words.")


@dataclass(frozen=True, kw_only=True)
class BuildVocabOptions(VocabularyOptions, LoggerOptions):
    """Build vocabulary"""


SCRIPT = Script(
    name="tools/build_vocab.py",
    summary="Builds the vocabularies of a text and its word features, for preprocess.py and train.py.",
    choose=lambda _: BuildVocabOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[BuildVocabOptions], logger: Logger) -> None:
    """Count, select, write."""
    options = parsed.options
    logger.info(" * Building source vocabularies...")
    vocabularies = build(options, logger)
    logger.info("")
    for number, vocabulary in enumerate(vocabularies):
        path = f"{options.save_vocab}_feature_{number}.dict" if number else f"{options.save_vocab}.dict"
        logger.info(f"Saving data{f' feature {number}' if number else ''} vocabulary to '{path}'...")
        vocabulary.write(path)


def build(options: BuildVocabOptions, logger: Logger) -> "list[Vocabulary]":
    """The vocabulary of the words, then that of each feature.

    Raises DataError, naming the line, for text that is malformed, and for text without any word.
    """
    from onmt.data.corpus import grouped
    from onmt.data.vocabulary_building import (
        COUNTED_AT_A_TIME,
        build_vocabulary,
        count_blocks,
        limit,
        total_counts,
        with_sentence_marks,
        without_frequencies,
    )

    groups = grouped(_blocks(options), COUNTED_AT_A_TIME, lambda block: block.size())
    counts = total_counts(count_blocks(group, None, max_length=sys.maxsize) for group in groups)
    if not counts.words:
        raise DataError(f"{options.data}: there is no word in this file")
    vocabularies = [
        build_vocabulary(counter, limit(options.vocab_size, index), limit(options.words_min_frequency, index))
        for index, counter in enumerate([counts.words, *counts.features])
    ]
    for number, (vocabulary, counter) in enumerate(
        zip(vocabularies, [counts.words, *counts.features], strict=True)
    ):
        what = f"feature {number}" if number else "word"
        found = len({*SPECIAL_WORDS, *counter})
        logger.info(f" * Created {what} dictionary of size {len(vocabulary)} (pruned from {found})")
    vocabularies[0] = with_sentence_marks(vocabularies[0], counts.lines)
    return vocabularies if options.keep_frequency else [without_frequencies(one) for one in vocabularies]


def _blocks(options: BuildVocabOptions) -> "Iterable[LineBlock]":
    from onmt.data.corpus import LineBlock
    from onmt.data.reading import Reading

    reading = Reading("text", by_key=options.idx_files)
    for (block,) in reading.blocks([options.data], progress=lambda size: None):
        assert isinstance(block, LineBlock)
        yield block
