"""Read the vocabulary files that the user names and build the other vocabularies from the training data."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import Final

import numpy as np

from onmt.constants import BOS, EOS, SPECIAL_WORDS, UNK
from onmt.data.corpus import Block, LineBlock, grouped
from onmt.data.options import DataOptions, Side
from onmt.data.reading import NO_CORPUS_HOOKS, CorpusHooks
from onmt.data.sentences import PlainSentences, Sentences, read_sentences, split_sentences
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError
from onmt.logger import Logger
from onmt.runtime.processes import map_in_order
from onmt.text.tokenizer import Tokenizer
from onmt.text.words import CASE_FEATURES


def read_vocabulary(path: str | Path) -> Vocabulary:
    """Read a vocabulary in OpenNMT Lua's format or in google/seq2seq's.

    Lua's format has an index after each word, separated by a blank. A file without a blank in its first
    lines is read as google/seq2seq's list of words. Raises DataError naming file and line.
    """
    try:
        with open(path, "rb") as file:
            first = b"".join(islice(file, len(SPECIAL_WORDS)))
    except OSError as error:
        raise DataError(f"{path}: cannot read the vocabulary: {error.strerror}") from error
    if not first:
        raise DataError(f"{path}: the vocabulary holds no words")
    return Vocabulary.read(path) if b" " in first or not first.strip() else _read_word_list(path)


def _read_word_list(path: str | Path) -> Vocabulary:
    """Read google/seq2seq's format: on each line a word, optionally followed by a tab and its count.

    The special words get the first ids, as in all our vocabularies, not the last ones. Empty lines and
    special words in the file are skipped. Counts are kept if every word has one. Raises DataError naming
    file and line.
    """
    try:
        lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot read the vocabulary: {error.strerror}") from error
    words: dict[str, int | None] = dict.fromkeys(SPECIAL_WORDS, 0)
    for number, line in enumerate(lines, start=1):
        word, count = _entry(line.removesuffix(b"\r"), f"{path}, line {number}")
        if not word or word in SPECIAL_WORDS:
            continue
        if word in words:
            raise DataError(f"{path}, line {number}: the word '{word}' appears twice")
        words[word] = count
    counts = [count for count in words.values() if count is not None]
    return Vocabulary(tuple(words), counts if len(counts) == len(words) else None)


def _entry(line: bytes, where: str) -> tuple[str, int | None]:
    try:
        word, tab, count = line.decode("utf-8").partition("\t")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}, byte offset {error.start}: not valid UTF-8") from error
    if not tab:
        return word, None
    if not (count.isascii() and count.isdigit() and len(count) < 19):
        found = f"{word}\t{count}"[:80]
        raise DataError(f"{where}: expected a word, or a word, a tab and its count, found {found!r}")
    return word, int(count)


COUNTED_AT_A_TIME: Final = 2 << 20  # bytes of text; for less, adding the counts takes longer than counting


@dataclass
class _Counts:
    """Counts of words and features, in the order of their first appearance."""

    words: Counter[str] = field(default_factory=Counter)
    features: list[Counter[str]] = field(default_factory=list)
    lines: int = 0
    first_sentence: str = ""  # file and line of the first counted sentence; empty if none was counted

    def add(self, later: "_Counts") -> None:
        """Add the counts of later sentences. Raises DataError if their number of features differs."""
        both = self.first_sentence and later.first_sentence
        if both and len(self.features) != len(later.features):
            raise _different(len(self.features), len(later.features), later.first_sentence)
        if not self.first_sentence:
            self.first_sentence = later.first_sentence
            self.features = [Counter() for _ in later.features]
        self.words.update(later.words)
        for mine, theirs in zip(self.features, later.features, strict=False):
            mine.update(theirs)
        self.lines += later.lines


def count_blocks(
    blocks: Iterable[Block],
    tokenizer: Tokenizer | None,
    max_length: int,
    hooks: CorpusHooks = NO_CORPUS_HOOKS,
) -> _Counts:
    """Count words and features in the sentences of 1 to `max_length` words.

    Takes twice the memory of the distinct words: split the blocks of a long text over several calls. Raises
    DataError if sentences have different numbers of features.
    """
    total = _Counts()
    plain: Counter[bytes] = Counter()  # words in UTF-8, not yet in `total`, and later in the text
    for block in blocks:
        [hooked] = hooks.apply([block])
        assert isinstance(hooked, LineBlock), "vectors have no vocabulary"
        counts, sentences = _counted(hooked, tokenizer, max_length)
        if isinstance(sentences, PlainSentences):
            plain.update(sentences.words)
        else:
            total.words.update(_decoded(plain))
            plain.clear()
            for feature, counter in enumerate(counts.features):
                counter.update(chain.from_iterable(labels[feature] for labels in sentences.features))
            counts.words.update(chain.from_iterable(sentences.words))
        total.add(counts)
    total.words.update(_decoded(plain))
    return total


def _counted(
    block: LineBlock, tokenizer: Tokenizer | None, max_length: int
) -> tuple[_Counts, Sentences | PlainSentences]:
    """Return the sentences to count, and counts with all fields set except the frequencies."""
    sentences = split_sentences(block, tokenizer)
    lengths = sentences.lengths()
    counted = np.flatnonzero((lengths > 0) & (lengths <= max_length))
    sentences = sentences.select(counted)
    counts = _Counts(lines=len(block))
    if len(counted):
        expected, *_ = numbers_of_features = sentences.feature_counts()
        counts.first_sentence = block.where(int(counted[0]))
        counts.features = [Counter() for _ in range(expected)]
        for place, found in enumerate(numbers_of_features):
            if found != expected:
                raise _different(expected, found, block.where(int(counted[place])))
    return counts, sentences


def _decoded(words: Mapping[bytes, int]) -> dict[str, int]:
    return {word.decode("utf-8"): count for word, count in words.items()}


def build_vocabulary(counter: Counter[str], size: int, min_frequency: int) -> Vocabulary:
    """Build a vocabulary of the four special words and the words that the limits keep, with frequencies.

    min_frequency > 0 keeps the words that occur at least this many times. Otherwise size > 0 keeps the
    `size` most frequent words, and 0 keeps all. If words are dropped, the kept ones are sorted by descending
    frequency, ties by first appearance; otherwise all are in order of first appearance. Dropped words count
    as UNK.
    """
    found = [word for word in counter if word not in SPECIAL_WORDS]
    kept = found
    if min_frequency > 0:
        kept = [word for word in found if counter[word] >= min_frequency]
    elif 0 < size < len(found):
        kept = sorted(found, key=counter.__getitem__, reverse=True)[:size]
    if len(kept) < len(found):
        kept.sort(key=counter.__getitem__, reverse=True)
    frequencies = [counter[word] for word in (*SPECIAL_WORDS, *kept)]
    frequencies[UNK] += sum(counter[word] for word in found) - sum(frequencies[len(SPECIAL_WORDS) :])
    return Vocabulary([*SPECIAL_WORDS, *kept], frequencies)


def with_sentence_marks(vocabulary: Vocabulary, lines: int) -> Vocabulary:
    """Return the vocabulary with the number of lines of the text as the frequencies of <s> and </s>."""
    frequencies = list(vocabulary.frequencies or [0] * len(vocabulary))
    frequencies[BOS] = frequencies[EOS] = lines
    return Vocabulary(vocabulary.words, frequencies)


def _with_frequencies(vocabulary: Vocabulary, counter: Counter[str]) -> Vocabulary:
    """Return a given vocabulary with the frequencies of its words in the data; other words count as UNK."""
    frequencies = [counter[word] for word in vocabulary.words]
    frequencies[UNK] += counter.total() - sum(frequencies)
    return Vocabulary(vocabulary.words, frequencies)


def without_frequencies(vocabulary: Vocabulary) -> Vocabulary:
    """Return the vocabulary without its frequencies."""
    return Vocabulary(vocabulary.words)


def limit(values: Sequence[int], index: int) -> int:
    """Return a list option's limit for the words (index 0) or a feature; 0 (no limit) past the list's end."""
    return values[index] if index < len(values) else 0


def total_counts(parts: Iterable[_Counts]) -> _Counts:
    """Add up the counts of all parts, which come in the order of the text."""
    total = _Counts()
    for part in parts:
        total.add(part)
    return total


def _different(expected: int, found: int, where: str) -> DataError:
    return DataError(f"{where}: {found} word features, but the sentences before it have {expected}")


@dataclass(frozen=True)
class SideVocabularies:
    """The vocabularies of one side, words first. built: which of them were built and have to be saved."""

    vocabularies: tuple[Vocabulary, ...]
    built: tuple[bool, ...]


class VocabularySetup:
    """Reads or builds the vocabularies of one side with text."""

    def __init__(
        self,
        options: DataOptions,
        side: Side,
        tokenizer: Tokenizer | None,
        hooks: CorpusHooks,
        logger: Logger,
    ) -> None:
        self._options = options
        self._side = side
        self._tokenizer = tokenizer
        self._hooks = hooks
        self._logger = logger

    def run(self, read: Callable[[], Iterable[Block]], workers: int) -> SideVocabularies:
        """Read or build the vocabularies. `read` starts a pass over the side's training data.

        Raises DataError for a malformed vocabulary file, or for vocabularies that do not fit the data.
        """
        number_of_features = self._number_of_features(read())
        words = self._given_words()
        features = self._given_features(number_of_features)
        missing = words is None or len(features) < number_of_features
        counts = _Counts()
        if missing or self._options.keep_frequency:
            if missing:
                self._logger.info(f" * Building {self._side.name} vocabularies...")
            count_group = partial(
                count_blocks,
                tokenizer=self._tokenizer,
                max_length=self._side.max_length,
                hooks=self._hooks,
            )
            groups = grouped(read(), COUNTED_AT_A_TIME, lambda block: block.size())
            with closing(map_in_order(count_group, groups, workers)) as results:
                counts = total_counts(results)
        built = [words is None, *([not features] * number_of_features)]
        words = self._build_words(counts) if words is None else self._count_given(words, counts.words)
        features = features or [self._build_feature(counts, j) for j in range(number_of_features)]
        return SideVocabularies((words, *features), tuple(built))

    def _number_of_features(self, blocks: Iterable[Block]) -> int:
        """Return the number of features of the first sentence that has words."""
        for one in blocks:
            for block in self._hooks.apply([one]):
                assert isinstance(block, LineBlock), "vectors have no vocabulary"
                sentences = read_sentences(block, self._tokenizer)
                for words, features in zip(sentences.words, sentences.features, strict=True):
                    if words:
                        return len(features)
        return 0

    def _given_words(self) -> Vocabulary | None:
        if not self._side.vocab:
            return None
        self._logger.info(f" * Reading {self._side.name} vocabulary from '{self._side.vocab}'...")
        vocabulary = read_vocabulary(self._side.vocab)
        self._logger.info(f" * Loaded {len(vocabulary)} {self._side.name} words")
        return vocabulary

    def _given_features(self, expected: int) -> list[Vocabulary]:
        """Read the feature vocabularies of `-features_vocabs_prefix`; none without a prefix."""
        prefix = self._options.features_vocabs_prefix
        if not prefix:
            return []
        paths = []
        for feature in count(1):
            # Lua reads only the first name, but saves under the second if there is only one side of text.
            candidates = [
                f"{prefix}.{self._side.name}_feature_{feature}.dict",
                f"{prefix}_feature_{feature}.dict",
            ]
            found = next((path for path in candidates if Path(path).is_file()), None)
            if found is None:
                break
            paths.append(found)
        if len(paths) != expected:
            raise DataError(
                f"-features_vocabs_prefix {prefix}: there are {len(paths)} vocabularies of {self._side.name} "
                f"features ('{candidates[0]}' is missing), but the data has {expected} features"
            )
        vocabularies = []
        for feature, path in enumerate(paths, start=1):
            self._logger.info(f" * Reading {self._side.name} feature {feature} vocabulary from '{path}'...")
            vocabularies.append(Vocabulary.read(path))
            self._logger.info(f" * Loaded {len(vocabularies[-1])} labels")
        return vocabularies

    def _build_words(self, counts: _Counts) -> Vocabulary:
        side = self._side
        size, frequency = limit(side.vocab_size, 0), limit(side.words_min_frequency, 0)
        vocabulary = with_sentence_marks(build_vocabulary(counts.words, size, frequency), counts.lines)
        self._log_created("word", vocabulary, counts.words.keys())
        return vocabulary if self._options.keep_frequency else Vocabulary(vocabulary.words)

    def _build_feature(self, counts: _Counts, feature: int) -> Vocabulary:
        side = self._side
        counter = counts.features[feature] if counts.features else Counter()
        if side.tokenizer is not None and side.tokenizer.case_feature and feature == 0:
            # All case labels, even those absent here: another text may have them.
            self._logger.info(" * Building default case feature vocabularies...")
            return _with_frequencies(Vocabulary([*SPECIAL_WORDS, *CASE_FEATURES]), counter)
        size, frequency = (
            limit(side.vocab_size, feature + 1),
            limit(side.words_min_frequency, feature + 1),
        )
        vocabulary = build_vocabulary(counter, size, frequency)
        self._log_created(f"feature {feature + 1}", vocabulary, counter.keys())
        return vocabulary

    def _count_given(self, vocabulary: Vocabulary, counter: Counter[str]) -> Vocabulary:
        return _with_frequencies(vocabulary, counter) if self._options.keep_frequency else vocabulary

    def _log_created(self, what: str, vocabulary: Vocabulary, found: Iterable[str]) -> None:
        everything = len({*SPECIAL_WORDS, *found})
        self._logger.info(
            f" * Created {what} dictionary of size {len(vocabulary)} (pruned from {everything})"
        )
