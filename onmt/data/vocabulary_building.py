"""Building vocabularies from counts of words and features (Lua's onmt/data/Vocabulary.lua and Dict.lua)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import numpy as np

from onmt.constants import BOS, EOS, SPECIAL_WORDS, UNK
from onmt.data.corpus import Block, LineBlock
from onmt.data.reading import NO_CORPUS_HOOKS, CorpusHooks
from onmt.data.sentences import PlainSentences, Sentences, split_sentences
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError
from onmt.text.tokenizer import Tokenizer

COUNTED_AT_A_TIME: Final = 2 << 20  # bytes of text; to add up counts of less would take longer than counting


@dataclass
class Counts:
    """How often words and features occur, both in the order of their first appearance."""

    words: Counter[str] = field(default_factory=Counter)
    features: list[Counter[str]] = field(default_factory=list)
    lines: int = 0
    first_sentence: str = ""  # where the first sentence that was counted stands; empty when there was none

    def add(self, later: "Counts") -> None:
        """Add the counts of sentences that come later; DataError when they have other numbers of features."""
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
) -> Counts:
    """Count the sentences of 1 to `max_length` words; DataError where their numbers of features differ.

    Takes twice the memory of the words found: blocks of a long text should come in several calls.
    """
    total = Counts()
    plain: Counter[bytes] = Counter()  # words in UTF-8 that come after those in `total`
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
) -> tuple[Counts, Sentences | PlainSentences]:
    """The sentences to count, and what is known before their words are counted."""
    sentences = split_sentences(block, tokenizer)
    lengths = sentences.lengths()
    counted = np.flatnonzero((lengths > 0) & (lengths <= max_length))
    sentences = sentences.select(counted)
    counts = Counts(lines=len(block))
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
    """The four special words and those that the limits leave, with their numbers of occurrences.

    min_frequency > 0: the words that occur at least so often; otherwise size > 0: so many of the most
    frequent ones; otherwise all. Where that leaves out something, the order is by descending frequency and,
    among equals, by first appearance; else by first appearance only. What was left out counts as UNK.
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
    """The vocabulary of the words of `lines` lines, each of which begins with <s> and ends with </s>."""
    frequencies = list(vocabulary.frequencies or [0] * len(vocabulary))
    frequencies[BOS] = frequencies[EOS] = lines
    return Vocabulary(vocabulary.words, frequencies)


def with_frequencies(vocabulary: Vocabulary, counter: Counter[str]) -> Vocabulary:
    """A given vocabulary with the frequencies that its words have in the data."""
    frequencies = [counter[word] for word in vocabulary.words]
    frequencies[UNK] += counter.total() - sum(frequencies)
    return Vocabulary(vocabulary.words, frequencies)


def without_frequencies(vocabulary: Vocabulary) -> Vocabulary:
    """The same words without frequencies."""
    return Vocabulary(vocabulary.words)


def limit(values: Sequence[int], index: int) -> int:
    """The limit that a list option sets for the words (index 0) or a feature; 0, no limit, where it ends."""
    return values[index] if index < len(values) else 0


def total_counts(parts: Iterable[Counts]) -> Counts:
    """The counts of all parts, which come in the order of the text."""
    total = Counts()
    for part in parts:
        total.add(part)
    return total


def _different(expected: int, found: int, where: str) -> DataError:
    return DataError(f"{where}: {found} word features, but the sentences before it have {expected}")
