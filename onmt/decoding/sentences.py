"""Sentences on their way into a model: words, features or vectors, and the batches that they make."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from onmt.data.batch import Batch, make_batch, pad_sequences
from onmt.data.sentences import SentenceEncoder, Sentences
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import DataError
from onmt.text.lines import split_features
from onmt.text.placeholders import named, unprotect, values_of

_Parsed = TypeVar("_Parsed")
Vectors = npt.NDArray[np.float32]
_Features = tuple[tuple[str, ...], ...]
Progress = Callable[[int], object]  # is told how many more sources are done


def ignore(done: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True)
class Picture:
    """An image: its name, and its colours x height x width."""

    name: str
    colours: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """One input: words and, per feature, the label of every word; vectors, frames x dimension; or an image.

    placeholders: the values of the placeholders in the words, by `｟name｠`. number: of the sentence in its
    file, call or request; decides what sampling draws.
    """

    words: tuple[str, ...] = ()
    features: _Features = ()
    placeholders: Mapping[str, str] = field(default_factory=dict)
    vectors: Vectors | None = None
    picture: Picture | None = None
    number: int = 0

    def __len__(self) -> int:
        if self.picture is not None:
            return 1
        return len(self.words) if self.vectors is None else len(self.vectors)


@dataclass(frozen=True)
class Reference:
    """A given translation to score: words and, per feature, the label of every word."""

    words: tuple[str, ...]
    features: _Features = ()


def make_source(tokens: Sequence[str], vocabularies: Sequence[Vocabulary]) -> Source:
    """Tokens, with features attached, as a source. DataError if there are not as many features as
    vocabularies.
    """
    words, features = _parse(tokens, vocabularies, "source")
    values = {name: unprotect(value) for word in words for name, value in values_of(word)}
    return Source(tuple(map(named, words)), features, values)


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
) -> tuple[tuple[str, ...], _Features]:
    words, features = split_features(tokens)
    expected = len(vocabularies) - 1
    if words and len(features) != expected:
        raise DataError(
            f"{len(features)} features per word, but the model's {side} has {expected} (word￨feature...)"
        )
    if any("" in values for values in features):
        raise DataError("a word has an empty feature")
    return tuple(words), tuple(tuple(values) for values in features)


def placed(where: str, parse: Callable[[], _Parsed]) -> _Parsed:
    """parse(), whose DataError also says where."""
    try:
        return parse()
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def batch_of(
    sources: Sequence[Source],
    references: Sequence[Reference] | None,
    vocabularies: Vocabularies,
    shifted: bool,
) -> Batch:
    """A batch of sources that are not empty. shifted: a target word's features come one position after it."""
    src: npt.NDArray[np.int64] | npt.NDArray[np.float32] | npt.NDArray[np.uint8]
    if vocabularies.src_image_size is not None:
        src = np.stack([source.picture.colours for source in sources if source.picture is not None])
    elif vocabularies.src:
        encoder = SentenceEncoder(vocabularies.src, marked=False, shifted=shifted)
        src = pad_sequences([ids_of(encoder, source.words, source.features) for source in sources])
    else:
        src = _padded_vectors([source.vectors for source in sources if source.vectors is not None])
    lengths = np.array([len(source) for source in sources], dtype=np.int64)
    tgt = tgt_lengths = None
    if references is not None:
        encoder = SentenceEncoder(vocabularies.tgt, marked=True, shifted=shifted)
        targets = [
            ids_of(encoder, tuple(map(named, reference.words)), reference.features)
            for reference in references
        ]
        tgt = pad_sequences(targets)
        tgt_lengths = np.array([len(target) for target in targets], dtype=np.int64)
    return make_batch(src, lengths, tgt, tgt_lengths, np.arange(len(sources)))


def by_length(sources: Sequence[Source], batch_size: int) -> Iterable[list[int]]:
    """Places of the sources that are not empty, in batches of similar length, so that none waits long."""
    places = [place for place, source in enumerate(sources) if len(source) > 0]
    places.sort(key=lambda place: len(sources[place]), reverse=True)
    for start in range(0, len(places), batch_size):
        yield places[start : start + batch_size]


def ids_of(encoder: SentenceEncoder, words: Sequence[str], features: _Features) -> npt.NDArray[np.int64]:
    """One sentence's ids: its stored length x F."""
    # A sentence without words does not show how many features it has.
    labels = [list(values) for values in features] or [[] for _ in encoder.vocabularies[1:]]
    return encoder.encode(Sentences([list(words)], [labels])).astype(np.int64)


def _padded_vectors(sequences: list[Vectors]) -> npt.NDArray[np.float32]:
    """B S D, zeros behind the shorter ones."""
    longest = max(len(sequence) for sequence in sequences)
    padded = np.zeros((len(sequences), longest, sequences[0].shape[1]), dtype=np.float32)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return padded
