"""From lines to words and features, and from these to ids; a block at a time, because that is quicker."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from onmt.constants import BOS, EOS, FEATURE_MARKER, PLACEHOLDER_OPEN
from onmt.data.corpus import LineBlock, split_blanks
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError
from onmt.text.features import split_features
from onmt.text.placeholders import name_and_value
from onmt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Sentences:
    """The sentences of a block.

    words: of each sentence, as vocabularies have them (placeholders without their values).
    features: of each sentence, a list of labels per feature; empty lists where there are none.
    """

    words: Sequence[list[str]]
    features: Sequence[list[list[str]]]

    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of words of each sentence."""
        return np.fromiter(map(len, self.words), dtype=np.int64, count=len(self.words))

    def select(self, indices: npt.NDArray[np.int64]) -> "Sentences":
        """Some of the sentences."""
        chosen = indices.tolist()
        return Sentences([self.words[i] for i in chosen], [self.features[i] for i in chosen])


def read_sentences(block: LineBlock, tokenizer: Tokenizer | None) -> Sentences:
    """The sentences of a block, one per line. Without tokenizer, tokens stand between blanks.

    Raises DataError naming a line whose words have different numbers of features.
    """
    lines = block.lines()
    if tokenizer is None:
        tokens = [split_blanks(line) for line in lines]
        texts = lines
    else:
        tokens = [tokenizer.tokenize(line) for line in lines]
        texts = ["".join(one) for one in tokens]
    features: list[list[list[str]]] = [[]] * len(lines)
    # To look through the text of a sentence is quicker than to look at each of its tokens.
    for index, text in enumerate(texts):
        if FEATURE_MARKER in text:
            tokens[index], features[index] = _split(tokens[index], block, index)
        if PLACEHOLDER_OPEN in text:
            tokens[index] = [name_and_value(token)[0] for token in tokens[index]]
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
    """Turns the sentences of one side into ids.

    marked: the sentence is stored between <s> and </s>.
    shifted: with `marked`, features stand one position later than their words: `</s> <s> f1..fn`.
    """

    vocabularies: tuple[Vocabulary, ...]  # words, then features
    marked: bool
    shifted: bool

    def stored_lengths(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many positions sentences of so many words take."""
        return lengths + 2 if self.marked else lengths

    def encode(self, sentences: Sentences) -> npt.NDArray[np.int32]:
        """The ids of the sentences, one after the other: stored positions x (1 + features)."""
        lengths = sentences.lengths()
        ends = np.cumsum(self.stored_lengths(lengths))
        columns = [self._column(self.vocabularies[0], sentences.words, lengths, ends, shifted=False)]
        for feature, vocabulary in enumerate(self.vocabularies[1:]):
            labels = [features[feature] for features in sentences.features]
            columns.append(self._column(vocabulary, labels, lengths, ends, self.shifted))
        return np.stack(columns, axis=1)

    def _column(
        self,
        vocabulary: Vocabulary,
        texts: Sequence[list[str]],
        lengths: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
        shifted: bool,
    ) -> npt.NDArray[np.int32]:
        """The ids of words, or of one feature, of all sentences; `ends`: where each ends when stored."""
        ids = np.array(vocabulary.ids(chain.from_iterable(texts)), dtype=np.int32)
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
