"""The scripts that work on text: `tools/tokenize.py`, `detokenize.py`, `build_vocab.py`, `learn_bpe.py`."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from onmt.commandline.declare import at_least, between, existing_file, group, not_empty, option
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.constants import JOINER, SPECIAL_WORDS
from onmt.errors import DataError, OptionError
from onmt.files import replacing
from onmt.hooks import HookOptions, hooked_options, load_hook_module, tokenizer_hooks
from onmt.logger import Logger, LoggerOptions
from onmt.text.bpe import BpeSettings, learn_merges
from onmt.text.lines import LineFunction, decode_lines, process_lines, split_features, split_words
from onmt.text.options import BEGIN_OF_TOKEN, END_OF_TOKEN, SegmentationOptions, TokenizerOptions
from onmt.text.tokenizer import Detokenizer, Tokenizer

if TYPE_CHECKING:
    from onmt.data.corpus import LineBlock
    from onmt.data.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class ParallelOptions:
    """Parallel"""

    nparallel: int = option(1, "Number of parallel processes.", valid=between(1, 1024))
    batchsize: int = option(1000, "Number of lines that a process handles at a time.", valid=at_least(1))


@dataclass(frozen=True, kw_only=True)
class TokenizeOptions(TokenizerOptions, ParallelOptions, HookOptions):
    """Tokenize"""


def _tokenize(parsed: Parsed[TokenizeOptions], logger: Logger) -> None:
    """Write one line for every line read."""
    filter_lines(tokenizing(parsed.options, logger), parsed.options, "Tokenization", logger)


tokenize = Command(
    Script(
        name="tools/tokenize.py",
        summary="Tokenizes the lines of standard input; writes tokens separated by blanks to standard "
        "output.",
        choose=lambda words: hooked_options(TokenizeOptions, words),
        data_on_stdout=lambda _: True,
    ),
    _tokenize,
)


def filter_lines(function: LineFunction, options: ParallelOptions, what: str, logger: Logger) -> None:
    """Apply `function` to the lines of standard input and write the results to standard output.

    what: name of the work in the log line at the end.
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


def tokenizing(options: TokenizeOptions, logger: Logger) -> LineFunction:
    """Return the function that tokenizes lines."""
    hooks = tokenizer_hooks(load_hook_module(options.hook_file, logger), options)
    tokenizer = Tokenizer.of(options, hooks)

    def tokenize(lines: list[str]) -> Iterator[str]:
        for line in hooks.preprocessed(lines):
            yield " ".join(tokenizer.tokenize(line))

    return tokenize


@dataclass(frozen=True, kw_only=True)
class DetokenizerOptions:
    """Detokenizer"""

    case_feature: bool = option(False, "The first feature of each word is its case: restore it.")
    joiner: str = option(JOINER, "Joiner that marks tokens to be joined without a blank.", valid=not_empty)
    moses_language: str = option(
        "",
        "Two-letter code of the language by whose Moses rules words and punctuation are joined, for text "
        "tokenized with -mode moses; empty: no such rules.",
    )


@dataclass(frozen=True, kw_only=True)
class DetokenizeOptions(DetokenizerOptions, ParallelOptions, HookOptions):
    """Detokenize"""


def _detokenize(parsed: Parsed[DetokenizeOptions], logger: Logger) -> None:
    """Write one line for every line read."""
    filter_lines(detokenizing(parsed.options, logger), parsed.options, "Detokenization", logger)


detokenize = Command(
    Script(
        name="tools/detokenize.py",
        summary="Detokenizes the lines of standard input; writes plain text to standard output.",
        choose=lambda words: hooked_options(DetokenizeOptions, words),
        data_on_stdout=lambda _: True,
    ),
    _detokenize,
)


def detokenizing(options: DetokenizeOptions, logger: Logger) -> LineFunction:
    """Return the function that detokenizes lines."""
    hooks = tokenizer_hooks(load_hook_module(options.hook_file, logger), options)
    detokenizer = Detokenizer(options.joiner, options.case_feature, options.moses_language, hooks)

    def detokenize(lines: list[str]) -> Iterator[str]:
        for line in lines:
            yield detokenizer.detokenize(split_words(line))

    return detokenize


@dataclass(frozen=True, kw_only=True)
class VocabularyOptions:
    """Vocabulary"""

    data: str = option("", "Tokenized text.", required=True, valid=existing_file)
    save_vocab: str = option(
        "",
        "Prefix of the files to write: `PREFIX.dict`, `PREFIX_feature_1.dict` and so on.",
        required=True,
        valid=not_empty,
        writes=("{}.dict", "{}_feature_*.dict"),
    )
    vocab_size: tuple[int, ...] = option(
        (50000,),
        "Number of words to keep, the most frequent ones; further numbers are for the labels of each word "
        "feature. The four special words are not counted. 0 keeps all.",
        valid=at_least(0),
    )
    words_min_frequency: tuple[int, ...] = option(
        (0,),
        "Keep words that occur at least this many times, however many they are; further numbers are for the "
        "labels of each word feature. 0 leaves it to -vocab_size.",
        valid=at_least(0),
    )
    keep_frequency: bool = option(False, "Also write the frequency of each word.")
    idx_files: bool = option(
        False, "Each line starts with a key and a blank; the key is not counted as a word."
    )


@dataclass(frozen=True, kw_only=True)
class BuildVocabOptions(VocabularyOptions, LoggerOptions):
    """Build vocabulary"""


def _build_vocab(parsed: Parsed[BuildVocabOptions], logger: Logger) -> None:
    """Build the vocabularies and write them."""
    options = parsed.options
    logger.info(" * Building source vocabularies...")
    vocabularies = build(options, logger)
    logger.info("")
    for number, vocabulary in enumerate(vocabularies):
        path = f"{options.save_vocab}_feature_{number}.dict" if number else f"{options.save_vocab}.dict"
        logger.info(f"Saving data{f' feature {number}' if number else ''} vocabulary to '{path}'...")
        vocabulary.write(path)


build_vocab = Command(
    Script(
        name="tools/build_vocab.py",
        summary="Builds the vocabularies of a text's words and word features, for preprocess.py and "
        "train.py.",
        choose=lambda _: BuildVocabOptions,
    ),
    _build_vocab,
)


def build(options: BuildVocabOptions, logger: Logger) -> "list[Vocabulary]":
    """Return the vocabulary of the words, then that of each feature.

    Raises DataError for malformed text, naming the line, and for text without any word.
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


_SENTENCES_PER_REPORT = 100_000
_MERGES_PER_REPORT = 1000


@dataclass(frozen=True, kw_only=True)
class BpeLearningOptions:
    """BPE"""

    size: int = option(30000, "Number of merge operations to learn.", valid=at_least(1))
    bpe_mode: Literal["suffix", "prefix", "both", "none"] = option(
        "suffix",
        "Word boundaries to mark, so that subwords there differ from those inside a word: the end "
        "(`suffix`), the beginning (`prefix`), `both` or `none`.",
    )
    bpe_eot_marker: str = option(
        END_OF_TOKEN, "Marker of the end of a word.", valid=not_empty, flag="bpe_EOT_marker"
    )
    bpe_bot_marker: str = option(
        BEGIN_OF_TOKEN, "Marker of the beginning of a word.", valid=not_empty, flag="bpe_BOT_marker"
    )
    save_bpe: str = option("", "BPE model file to write.", required=True, valid=not_empty, writes=("{}",))

    def check(self) -> None:
        """Refuse markers that the model file cannot hold."""
        for flag, marker in (("EOT", self.bpe_eot_marker), ("BOT", self.bpe_bot_marker)):
            if any(character in marker for character in " ;\r\n"):
                raise OptionError(
                    f"-bpe_{flag}_marker: must not contain blanks, line breaks or semicolons, which separate "
                    "fields in the model file"
                )


@dataclass(frozen=True, kw_only=True)
class LearnBpeOptions(BpeLearningOptions, HookOptions, LoggerOptions):
    """Learn BPE"""

    tok: SegmentationOptions = group(SegmentationOptions, prefix="tok_", defaults={"mode": "space"})


def _learn_bpe(parsed: Parsed[LearnBpeOptions], logger: Logger) -> None:
    """Count the words, learn the merges, write the model."""
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


learn_bpe = Command(
    Script(
        name="tools/learn_bpe.py",
        summary="Learns a BPE model for -bpe_model from the text on standard input.",
        choose=lambda words: hooked_options(LearnBpeOptions, words),
    ),
    _learn_bpe,
)


def _count_words(options: LearnBpeOptions, source: IO[bytes], logger: Logger) -> Counter[str]:
    """Return the number of occurrences of each word of the text, without features."""
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
    """Write header and merges; return the number of merges."""
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
    """Yield the merges, with a progress bar on a terminal."""
    from tqdm import tqdm  # here, because it is slow to import

    return tqdm(merges, total=size, unit="merge", disable=None, leave=False)
