"""From a line to words and features, and from these to ids."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onmt.constants import BOS, EOS, FEATURE_MARKER, PLACEHOLDER_OPEN
from onmt.data.corpus import LineBlock, split_blanks
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError
from onmt.text.features import split_features
from onmt.text.placeholders import name_and_value
from onmt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Sentence:
    """Words as vocabularies have them (placeholders without their values), and the labels of each feature."""

    words: list[str]
    features: list[list[str]]

    def __len__(self) -> int:
        return len(self.words)


def read_sentences(block: LineBlock, tokenizer: Tokenizer | None) -> Iterator[Sentence]:
    """The sentences of a block, one per line. Without tokenizer, tokens stand between blanks.

    Raises DataError naming a line whose words have different numbers of features.
    """
    for index, line in enumerate(block.lines()):
        tokens = split_blanks(line) if tokenizer is None else tokenizer.tokenize(line)
        yield _sentence(tokens, block, index)


def _sentence(tokens: list[str], block: LineBlock, index: int) -> Sentence:
    text = "".join(tokens)
    features: list[list[str]] = []
    if FEATURE_MARKER in text:
        try:
            tokens, features = split_features(tokens)
        except DataError as error:
            raise DataError(f"{block.where(index)}: {error}") from error
        if any("" in labels for labels in features):
            raise DataError(f"{block.where(index)}: a word has an empty feature")
    if PLACEHOLDER_OPEN in text:
        tokens = [name_and_value(token)[0] for token in tokens]
    return Sentence(tokens, features)


@dataclass(frozen=True)
class SentenceEncoder:
    """Turns the sentences of one side into ids.

    marked: the sentence is stored between <s> and </s>.
    shifted: with `marked`, features stand one position later than their words: `</s> <s> f1..fn`.
    """

    vocabularies: tuple[Vocabulary, ...]  # words, then features
    marked: bool
    shifted: bool

    def encode(self, sentence: Sentence) -> list[list[int]]:
        """The ids of the words, then of each feature; `marked` makes each list longer by 2."""
        words, *features = self.vocabularies
        columns = [words.ids(sentence.words)]
        columns += [labels.ids(values) for labels, values in zip(features, sentence.features, strict=True)]
        if not self.marked:
            return columns
        return [[BOS, *columns[0], EOS], *(self._mark(column) for column in columns[1:])]

    def _mark(self, features: Sequence[int]) -> list[int]:
        return [EOS, BOS, *features] if self.shifted else [BOS, *features, EOS]
