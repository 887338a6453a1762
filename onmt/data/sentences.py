"""Split lines into words and features, and encode these as ids; a block at a time, which is faster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from typing import Final

import numpy as np
import numpy.typing as npt

from onmt.constants import BOS, EOS, FEATURE_MARKER, PLACEHOLDER_OPEN
from onmt.data.corpus import LineBlock
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError
from onmt.text.lines import split_features, split_words, without_values
from onmt.text.tokenizer import Tokenizer

_BLANK: Final = ord(" ")
_LINE_END: Final = ord("\n")
_MARKERS: Final = tuple(marker.encode("utf-8") for marker in (FEATURE_MARKER, PLACEHOLDER_OPEN))


@dataclass(frozen=True)
class Sentences:
    """The sentences of a block.

    words: per sentence, in the form that vocabularies hold (placeholders without their values).
    features: per sentence, a list of labels per feature; an empty list for a sentence without features.
    """

    words: Sequence[list[str]]
    features: Sequence[list[list[str]]]

    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of words of each sentence."""
        return np.fromiter(map(len, self.words), dtype=np.int64, count=len(self.words))

    def select(self, indices: npt.NDArray[np.int64]) -> "Sentences":
        """Return a subset of the sentences; `indices` are in ascending order."""
        chosen = indices.tolist()
        return Sentences([self.words[i] for i in chosen], [self.features[i] for i in chosen])

    def feature_counts(self) -> list[int]:
        """The number of features of each sentence."""
        return list(map(len, self.features))


@dataclass(frozen=True)
class PlainSentences:
    """The sentences of a block that has neither features nor placeholders.

    One list of undecoded words for all sentences takes half the time of a list of strings per sentence.
    """

    words: list[bytes]  # of all sentences, concatenated, in UTF-8
    sizes: npt.NDArray[np.int64]  # the number of words of each sentence

    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of words of each sentence."""
        return self.sizes

    def select(self, indices: npt.NDArray[np.int64]) -> "PlainSentences":
        """Return a subset of the sentences; `indices` are in ascending order."""
        if len(indices) == len(self.sizes):
            return self
        chosen = np.zeros(len(self.sizes), dtype=bool)
        chosen[indices] = True
        words = compress(self.words, np.repeat(chosen, self.sizes).tolist())
        return PlainSentences(list(words), self.sizes[indices])

    def feature_counts(self) -> list[int]:
        """The number of features of each sentence."""
        return [0] * len(self.sizes)


def split_sentences(block: LineBlock, tokenizer: Tokenizer | None) -> Sentences | PlainSentences:
    """Split a block into sentences, in the faster form if possible. Raises DataError as `read_sentences`."""
    if tokenizer is None and not any(marker in block.data for marker in _MARKERS):
        return _split_plain(block)
    return read_sentences(block, tokenizer)


def _split_plain(block: LineBlock) -> PlainSentences:
    block.text()  # only for its check: raises DataError for invalid UTF-8
    data = block.data.replace(b"\r", b" ")
    values = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero((values == _BLANK) | (values == _LINE_END))
    is_word = np.diff(ends, prepend=-1) > 1
    words_until = np.cumsum(is_word)[values[ends] == _LINE_END]
    words = data.replace(b"\n", b" ").split(b" ")
    words.pop()  # the empty piece after the last line
    if not is_word.all():
        words = list(filter(None, words))
    return PlainSentences(words, np.diff(words_until, prepend=0))


def read_sentences(block: LineBlock, tokenizer: Tokenizer | None) -> Sentences:
    """Split a block into sentences, one per line. Without tokenizer, lines are split at blanks.

    Raises DataError naming a line whose words have different numbers of features, or an empty one.
    """
    lines = block.lines()
    if tokenizer is None:
        tokens = [split_words(line) for line in lines]
        texts = lines
    else:
        tokens = [tokenizer.tokenize(line) for line in lines]
        texts = ["".join(one) for one in tokens]
    features: list[list[list[str]]] = [[]] * len(lines)
    # Searching a sentence's whole text is faster than searching each of its tokens.
    for index, text in enumerate(texts):
        if FEATURE_MARKER in text:
            tokens[index], features[index] = _split(tokens[index], block, index)
        if PLACEHOLDER_OPEN in text:
            tokens[index] = [without_values(token) for token in tokens[index]]
    return Sentences(tokens, features)


def _split(tokens: list[str], block: LineBlock, index: int) -> tuple[list[str], list[list[str]]]:
    try:
        words, features = split_features(tokens)
    except DataError as error:
        raise DataError(f"{block.where(index)}: {error}") from error
    if any("" in labels for labels in features):
        raise DataError(f"{block.where(index)}: a word has an empty feature")
    return words, features


@dataclass(frozen=True)
class SentenceEncoder:
    """Encodes the sentences of one side as ids.

    marked: sentences are stored between <s> and </s>.
    shifted: with `marked`, features are stored one position later than their words: `</s> <s> f1..fn`.
    """

    vocabularies: tuple[Vocabulary, ...]  # words, then features
    marked: bool
    shifted: bool

    def stored_lengths(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the stored lengths of sentences with these numbers of words."""
        return lengths + 2 if self.marked else lengths

    @cached_property
    def _utf8_ids(self) -> Mapping[bytes, int]:
        return self.vocabularies[0].utf8_ids()

    def encode(self, sentences: Sentences | PlainSentences) -> npt.NDArray[np.int32]:
        """Return the ids of the sentences, concatenated: stored positions x (1 + features)."""
        lengths = sentences.lengths()
        ids = self._ids(sentences)
        ends = np.cumsum(self.stored_lengths(lengths))
        columns = [self._column(ids[0], lengths, ends, shifted=False)]
        columns += [self._column(one, lengths, ends, self.shifted) for one in ids[1:]]
        return np.stack(columns, axis=1)

    def _ids(self, sentences: Sentences | PlainSentences) -> list[npt.NDArray[np.int32]]:
        """Return an array with the ids of all words, then one per feature."""
        if isinstance(sentences, PlainSentences):
            words = sentences.words
            found = np.fromiter(map(self._utf8_ids.__getitem__, words), dtype=np.int32, count=len(words))
            return [found, *(np.empty(0, dtype=np.int32) for _ in self.vocabularies[1:])]
        texts = [sentences.words]
        for feature in range(len(self.vocabularies) - 1):
            texts.append([features[feature] for features in sentences.features])
        return [
            np.array(vocabulary.ids(chain.from_iterable(one)), dtype=np.int32)
            for vocabulary, one in zip(self.vocabularies, texts, strict=True)
        ]

    def _column(
        self,
        ids: npt.NDArray[np.int32],
        lengths: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
        shifted: bool,
    ) -> npt.NDArray[np.int32]:
        """Add marks to the `ids` of the words or of one feature; `ends`: the stored end of each sentence."""
        if not self.marked or not len(lengths):
            return ids
        column = np.empty(ends[-1], dtype=np.int32)
        starts = ends - lengths - 2
        first, second, last = (EOS, BOS, None) if shifted else (BOS, None, EOS)
        inside = np.ones(len(column), dtype=bool)
        for mark, places in ((first, starts), (second, starts + 1), (last, ends - 1)):
            if mark is not None:
                column[places] = mark
                inside[places] = False
        column[inside] = ids
        return column
