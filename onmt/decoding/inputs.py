"""Input files and the sentences in them, for translator, tagger and language model."""

import codecs
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from onmt.data.corpus import count_lines
from onmt.data.dataset import Batch, make_batch, pad_sequences
from onmt.data.indexed import read_archive
from onmt.data.sentences import SentenceEncoder, Sentences
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import DataError
from onmt.text.lines import decode_line, join_features, split_features, unescape, values_of, without_values

_BATCHES: Final = 20
"""Batches read at a time from a file."""


@dataclass(frozen=True)
class Input:
    """A line or matrix of an input file, not tokenised yet, with its reference if there is one.

    text, or vectors (frames x dimension): the source; gold: the line of its reference. key: with
    `-idx_files`. where: file and line of the source, gold_where: those of the reference, for messages.
    """

    where: str
    text: str | None = None
    vectors: npt.NDArray[np.float32] | None = None
    key: str | None = None
    gold: str | None = None
    gold_where: str = ""


def read_lines(path: str) -> list[str]:
    """The lines of a file, standard input for `-`. Raises DataError when it cannot be read."""
    with _opened(path) as file:
        return list(_text_lines(file, path))


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Open a file to read, standard input for `-`. Raises DataError when it cannot be read."""
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from error
    with file:
        yield file


def read_windows(
    src: str,
    tgt: str,
    batch_size: int,
    *,
    keyed: bool = False,
    vectors: bool = False,
    ahead: bool = True,
) -> Iterator[list[Input]]:
    """Read the inputs of `src` in order, each with its line of `tgt` if that is not empty.

    keyed: every line begins with a key and references are found by it. vectors: `src` is a Kaldi text
    archive. ahead: read several batches at a time, so that sentences of similar length can share a batch;
    from standard input it is always one batch, so that an answer comes as soon as possible.
    Raises DataError naming file and line; at once, if files of lines differ in length.
    """
    if tgt and not keyed and not vectors:
        _require_same_length(src, tgt)
    inputs = _read_inputs(src, tgt, keyed, vectors)
    return _windows(inputs, batch_size * (_BATCHES if ahead and src != "-" else 1))


def _windows(inputs: Iterator[Input], size: int) -> Iterator[list[Input]]:
    while window := list(islice(inputs, size)):
        yield window


def _read_inputs(src: str, tgt: str, keyed: bool, vectors: bool) -> Iterator[Input]:
    with _opened(src) as file:
        if not keyed and not vectors:
            yield from _read_pairs(file, src, tgt)
            return
        inputs = _vector_inputs(file, src) if vectors else _keyed_inputs(file, src)
        yield from _with_references(inputs, tgt) if tgt else inputs


def _require_same_length(src: str, tgt: str) -> None:
    """Raise DataError if two regular files have different numbers of lines. A pipe cannot be read twice."""
    if Path(src).is_file() and Path(tgt).is_file():
        counts = count_lines(src), count_lines(tgt)
        if counts[0] != counts[1]:
            raise _unequal(src, counts[0], tgt, counts[1])


def _text_lines(file: BinaryIO, path: str) -> Iterator[str]:
    """The lines of a file without their ends.

    Carriage returns become blanks, a byte order mark is dropped.
    """
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        yield decode_line(line, path, number).replace("\r", " ")


def _read_pairs(file: BinaryIO, src: str, tgt: str) -> Iterator[Input]:
    sources = enumerate(_text_lines(file, _shown(src)), start=1)
    if not tgt:
        for number, text in sources:
            yield Input(f"{_shown(src)}, line {number}", text)
        return
    with _opened(tgt) as references:
        golds = _text_lines(references, _shown(tgt))
        number = 0
        for number, text in sources:
            gold = next(golds, None)
            if gold is None:
                raise _unequal(src, number + sum(1 for _ in sources), tgt, number - 1)
            yield Input(
                f"{_shown(src)}, line {number}", text, gold=gold, gold_where=f"{_shown(tgt)}, line {number}"
            )
        more = sum(1 for _ in golds)
        if more:
            raise _unequal(src, number, tgt, number + more)


def _unequal(src: str, sources: int, tgt: str, references: int) -> DataError:
    return DataError(
        f"{_shown(tgt)} has {references} lines but {_shown(src)} has {sources}: both must have the same "
        "number of lines"
    )


def _keyed_inputs(file: BinaryIO, path: str) -> Iterator[Input]:
    for where, key, rest in _keyed_lines(file, path):
        yield Input(where, rest, key=key)


def _keyed_lines(file: BinaryIO, path: str) -> Iterator[tuple[str, str, str]]:
    """Place, key and rest of every line; each key once."""
    seen: set[str] = set()
    for number, line in enumerate(_text_lines(file, _shown(path)), start=1):
        where = f"{_shown(path)}, line {number}"
        key, _, rest = line.strip(" ").partition(" ")
        if not key:
            raise DataError(f"{where}: expected a key and a blank before the sentence, found nothing")
        if key in seen:
            raise DataError(f"{where}: the key '{key}' appears for the second time")
        seen.add(key)
        yield where, key, rest


def _vector_inputs(file: BinaryIO, path: str) -> Iterator[Input]:
    seen: set[str] = set()
    for entry in read_archive(file, _shown(path)):
        where = f"{_shown(path)}, {entry.unit} {entry.number}"
        if entry.key in seen:
            raise DataError(f"{where}: the key '{entry.key}' appears for the second time")
        seen.add(entry.key)
        yield Input(where, vectors=entry.matrix, key=entry.key)


def _with_references(inputs: Iterator[Input], tgt: str) -> Iterator[Input]:
    with _opened(tgt) as file:
        references = {key: (where, rest) for where, key, rest in _keyed_lines(file, tgt)}
    for one in inputs:
        if one.key not in references:
            raise DataError(f"{one.where}: the key '{one.key}' is not in {_shown(tgt)}")
        where, gold = references.pop(one.key)
        yield Input(one.where, one.text, one.vectors, one.key, gold, where)
    if references:
        key, (where, _) = next(iter(references.items()))
        raise DataError(f"{where}: the key '{key}' is not among the sources")


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path


_Vectors = npt.NDArray[np.float32]
_Features = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """An image: its name, and its colours x height x width."""

    name: str
    colours: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """A tokenised source: words and, per feature, the label of every word; or vectors, frames x dimension; or
    an image.

    placeholders: the values of the placeholders in the words, by `｟name｠`. number: of the sentence in its
    file, call or request; seeds the draws of sampling.
    """

    words: tuple[str, ...] = ()
    features: _Features = ()
    placeholders: Mapping[str, str] = field(default_factory=dict)
    vectors: _Vectors | None = None
    picture: Picture | None = None
    number: int = 0

    def __len__(self) -> int:
        if self.picture is not None:
            return 1
        return len(self.words) if self.vectors is None else len(self.vectors)

    @classmethod
    def of(cls, tokens: Sequence[str], vocabularies: Sequence[Vocabulary]) -> "Source":
        """Tokens, with features attached, as a source.

        Raises DataError unless there is a feature for each of the vocabularies but the first.
        """
        words, features = _parse(tokens, vocabularies, "source")
        values = {name: unescape(value) for word in words for name, value in values_of(word)}
        return cls(tuple(map(without_values, words)), features, values)

    @classmethod
    def of_vectors(cls, vectors: _Vectors, size: int) -> "Source":
        """Frames x dimension as a source. Raises DataError if the dimension is not `size`."""
        if len(vectors) > 0 and vectors.shape[1] != size:
            raise DataError(f"vectors of {vectors.shape[1]} numbers, but the model reads {size}")
        return cls(vectors=vectors)

    @property
    def text(self) -> str:
        """The words with their features, joined by blanks."""
        return " ".join(join_features(self.words, self.features))

    def ids(self, encoder: SentenceEncoder) -> npt.NDArray[np.int64]:
        """The ids of the words and labels: stored length x F."""
        return _ids(encoder, self.words, self.features)


@dataclass(frozen=True)
class Reference:
    """A given translation: words and, per feature, the label of every word."""

    words: tuple[str, ...]
    features: _Features = ()

    @classmethod
    def of(cls, tokens: Sequence[str], vocabularies: Sequence[Vocabulary]) -> "Reference":
        """Tokens, with features attached, as a reference; errors as in `Source.of`."""
        return cls(*_parse(tokens, vocabularies, "target"))

    @property
    def text(self) -> str:
        """The words with their features, joined by blanks."""
        return " ".join(join_features(self.words, self.features))

    def ids(self, encoder: SentenceEncoder) -> npt.NDArray[np.int64]:
        """The ids of the words and labels: stored length x F."""
        return _ids(encoder, tuple(map(without_values, self.words)), self.features)


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


@contextmanager
def errors_at(where: str) -> Iterator[None]:
    """Put the place in front of the message of a DataError that the block raises."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def batch_of(
    sources: Sequence[Source],
    references: Sequence[Reference] | None,
    vocabularies: Vocabularies,
    shifted: bool,
) -> Batch:
    """Make a batch of sources that are not empty.

    shifted: a target word's features stand one position after it.
    """
    src: npt.NDArray[np.int64] | npt.NDArray[np.float32] | npt.NDArray[np.uint8]
    if vocabularies.src_image_size is not None:
        src = np.stack([source.picture.colours for source in sources if source.picture is not None])
    elif vocabularies.src:
        encoder = SentenceEncoder(vocabularies.src, marked=False, shifted=shifted)
        src = pad_sequences([source.ids(encoder) for source in sources])
    else:
        src = _padded_vectors([source.vectors for source in sources if source.vectors is not None])
    lengths = np.array([len(source) for source in sources], dtype=np.int64)
    tgt = tgt_lengths = None
    if references is not None:
        encoder = SentenceEncoder(vocabularies.tgt, marked=True, shifted=shifted)
        targets = [reference.ids(encoder) for reference in references]
        tgt = pad_sequences(targets)
        tgt_lengths = np.array([len(target) for target in targets], dtype=np.int64)
    return make_batch(src, lengths, tgt, tgt_lengths, np.arange(len(sources)))


def by_length(sources: Sequence[Source], batch_size: int) -> Iterable[list[int]]:
    """Indices of the sources that are not empty, in batches of similar length, so that little is padded."""
    places = [place for place, source in enumerate(sources) if len(source) > 0]
    places.sort(key=lambda place: len(sources[place]), reverse=True)
    for start in range(0, len(places), batch_size):
        yield places[start : start + batch_size]


def _ids(encoder: SentenceEncoder, words: Sequence[str], features: _Features) -> npt.NDArray[np.int64]:
    """The ids of one sentence: stored length x F."""
    # A sentence without words does not show how many features it has.
    labels = [list(values) for values in features] or [[] for _ in encoder.vocabularies[1:]]
    return encoder.encode(Sentences([list(words)], [labels])).astype(np.int64)


def _padded_vectors(sequences: list[_Vectors]) -> npt.NDArray[np.float32]:
    """The sequences as one array, B S D, padded with zeros."""
    longest = max(len(sequence) for sequence in sequences)
    padded = np.zeros((len(sequences), longest, sequences[0].shape[1]), dtype=np.float32)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return padded
