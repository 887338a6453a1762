"""Sentences on their way into a model: words, features or vectors, and the batches that they make."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from onmt.constants import BOS, EOS
from onmt.data.batch import Batch, make_batch, pad_sequences
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import DataError
from onmt.text.features import split_features
from onmt.text.placeholders import is_placeholder, name_and_value

Vectors = npt.NDArray[np.float32]
Features = tuple[tuple[str, ...], ...]
Progress = Callable[[int], object]  # is told how many more sources are done


def ignore(done: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Source:
    """One input: words and, per feature, the label of every word; or vectors, frames x dimension.

    placeholders: the values of the placeholders among the words, by the names the words have.
    """

    words: tuple[str, ...] = ()
    features: Features = ()
    placeholders: Mapping[str, str] = field(default_factory=dict)
    vectors: Vectors | None = None

    def __len__(self) -> int:
        return len(self.words) if self.vectors is None else len(self.vectors)


@dataclass(frozen=True)
class Reference:
    """A given translation to score: words and, per feature, the label of every word."""

    words: tuple[str, ...]
    features: Features = ()


def make_source(tokens: Sequence[str], vocabularies: Sequence[Vocabulary]) -> Source:
    """Tokens, with features attached, as a source. DataError if there are not as many features as
    vocabularies.
    """
    words, features = _parse(tokens, vocabularies, "source")
    named = [name_and_value(word) for word in words]
    return Source(
        tuple(name for name, _ in named),
        features,
        {name: value for name, value in named if is_placeholder(name)},
    )


def make_vector_source(vectors: Vectors, size: int) -> Source:
    """Frames x dimension as a source. DataError if the dimension is not `size`."""
    if len(vectors) > 0 and vectors.shape[1] != size:
        raise DataError(f"vectors of {vectors.shape[1]} numbers, but the model reads {size}")
    return Source(vectors=vectors)


def make_reference(tokens: Sequence[str], vocabularies: Sequence[Vocabulary]) -> Reference:
    """Tokens as a reference. DataError if there are not as many features as vocabularies."""
    return Reference(*_parse(tokens, vocabularies, "target"))


def _parse(
    tokens: Sequence[str], vocabularies: Sequence[Vocabulary], side: str
) -> tuple[tuple[str, ...], Features]:
    words, features = split_features(tokens)
    expected = len(vocabularies) - 1
    if words and len(features) != expected:
        raise DataError(
            f"{len(features)} features per word, but the model's {side} has {expected} (word￨feature...)"
        )
    return tuple(words), tuple(tuple(values) for values in features)


def batch_of(
    sources: Sequence[Source],
    references: Sequence[Reference] | None,
    vocabularies: Vocabularies,
    shifted: bool,
) -> Batch:
    """A batch of sources that are not empty. shifted: a target word's features come one position after it."""
    src: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    if vocabularies.src:
        src = pad_sequences([ids_of(vocabularies.src, source.words, source.features) for source in sources])
    else:
        src = _padded_vectors([source.vectors for source in sources if source.vectors is not None])
    lengths = np.array([len(source) for source in sources], dtype=np.int64)
    tgt = tgt_lengths = None
    if references is not None:
        targets = [marked_ids(vocabularies.tgt, one.words, one.features, shifted) for one in references]
        tgt = pad_sequences(targets)
        tgt_lengths = np.array([len(target) for target in targets], dtype=np.int64)
    return make_batch(src, lengths, tgt, tgt_lengths, np.arange(len(sources)))


def by_length(sources: Sequence[Source], batch_size: int) -> Iterable[list[int]]:
    """Places of the sources that are not empty, in batches of similar length, so that none waits long."""
    places = [place for place, source in enumerate(sources) if len(source) > 0]
    places.sort(key=lambda place: len(sources[place]), reverse=True)
    for start in range(0, len(places), batch_size):
        yield places[start : start + batch_size]


def ids_of(
    vocabularies: Sequence[Vocabulary], words: Sequence[str], features: Features
) -> npt.NDArray[np.int64]:
    """Length x F."""
    columns = [
        vocabulary.ids(values) for vocabulary, values in zip(vocabularies, (words, *features), strict=True)
    ]
    return np.array(columns, dtype=np.int64).T


def marked_ids(
    vocabularies: Sequence[Vocabulary], words: Sequence[str], features: Features, shifted: bool
) -> npt.NDArray[np.int64]:
    """`<s> w1..wn </s>` beside each feature's labels, `</s> <s> f1..fn` if features come one step late, else
    `<s> f1..fn </s>`; length n + 2 x F. Without words there may be no features.
    """
    columns = [[BOS, *vocabularies[0].ids(words), EOS]]
    for vocabulary, values in zip(vocabularies[1:], features or ((),) * (len(vocabularies) - 1), strict=True):
        labels = vocabulary.ids(values)
        columns.append([EOS, BOS, *labels] if shifted else [BOS, *labels, EOS])
    return np.array(columns, dtype=np.int64).T


def _padded_vectors(sequences: list[Vectors]) -> npt.NDArray[np.float32]:
    """B S D, zeros behind the shorter ones."""
    longest = max(len(sequence) for sequence in sequences)
    padded = np.zeros((len(sequences), longest, sequences[0].shape[1]), dtype=np.float32)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return padded
