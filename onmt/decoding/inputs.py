"""Input files and the sentences in them, for translator, tagger and language model."""

import codecs
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import numpy as np
import numpy.typing as npt

from onmt.data.corpus import count_lines
from onmt.data.dataset import Batch, make_batch, pad_sequences
from onmt.data.indexed import read_archive
from onmt.data.sentences import SentenceEncoder, Sentences
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import DataError
from onmt.text.characters import named, unprotect, values_of
from onmt.text.lines import decode_line, split_features

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Input:
    """One thing to translate.

    text, or vectors (frames x dimension): the source; gold: the line with its reference translation, if
    references were given. key: with `-idx_files`. where: file and line, gold_where: the reference's, for
    messages.
    """

    where: str
    text: str | None = None
    vectors: npt.NDArray[np.float32] | None = None
    key: str | None = None
    gold: str | None = None
    gold_where: str = ""


class ResultFile:
    """A file of results: standard output for `-`, nothing at all for an empty name. Lines come in order.

    An existing file keeps its content until there is a first result: a run that fails before leaves
    everything as it was. Raises DataError when the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._existed = Path(path).exists()
        self._begun = path in ("", "-")

    def __enter__(self) -> Self:
        if self._path == "-":
            self._file = sys.stdout.buffer
        elif self._path:
            with self._writing():
                self._file = Path(self._path).open("ab")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is None or self._path == "-":
            return
        if error is None:
            self._begin()
        with self._writing():
            self._file.close()
        if not self._begun and not self._existed:
            Path(self._path).unlink(missing_ok=True)

    def write(self, text: str) -> None:
        """Add text."""
        if self._file is not None:
            self._begin()
            with self._writing():
                self._file.write(text.encode("utf-8"))

    def _begin(self) -> None:
        """Empty the file, once."""
        if self._file is not None and not self._begun:
            self._begun = True
            with self._writing():
                if Path(self._path).is_file():
                    self._file.truncate(0)

    def flush(self) -> None:
        """Flush, so that other programs can read the output so far."""
        if self._file is not None:
            with self._writing():
                self._file.flush()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # the reader has seen enough: no error to complain about
            raise
        except OSError as error:
            raise DataError(f"{self._path}: cannot write: {error.strerror}") from error


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A file to read, standard input for `-`. Raises DataError when it cannot be read."""
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from error
    with file:
        yield file


def read_inputs(src: str, tgt: str, keyed: bool, vectors: bool) -> Iterator[Input]:
    """All inputs of `src`, in order, each with its line of `tgt` if that is not empty.

    keyed: every line begins with a key and references are found by it. vectors: `src` is a Kaldi text
    archive. Raises DataError naming file and line.
    """
    with opened(src) as file:
        if not keyed and not vectors:
            yield from _read_lines(file, src, tgt)
            return
        inputs = _vector_inputs(file, src) if vectors else _keyed_inputs(file, src)
        yield from _with_references(inputs, tgt) if tgt else inputs


def require_same_length(src: str, tgt: str) -> None:
    """Raise DataError if two files have different numbers of lines; of what can be read only once nothing is
    known.
    """
    if Path(src).is_file() and Path(tgt).is_file():
        counts = count_lines(src), count_lines(tgt)
        if counts[0] != counts[1]:
            raise _unequal(src, counts[0], tgt, counts[1])


def windows(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    """The items in lists of `size`."""
    while window := list(islice(items, size)):
        yield window


def text_lines(file: BinaryIO, path: str) -> Iterator[str]:
    """The lines of a file without their ends; a carriage return counts as a blank, a byte order mark for
    nothing.
    """
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        yield decode_line(line, path, number).replace("\r", " ")


def _read_lines(file: BinaryIO, src: str, tgt: str) -> Iterator[Input]:
    sources = enumerate(text_lines(file, _shown(src)), start=1)
    if not tgt:
        for number, text in sources:
            yield Input(f"{_shown(src)}, line {number}", text)
        return
    with opened(tgt) as references:
        golds = text_lines(references, _shown(tgt))
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
    for number, line in enumerate(text_lines(file, _shown(path)), start=1):
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
    with opened(tgt) as file:
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
