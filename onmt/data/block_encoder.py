"""The second pass over a corpus: filter and encode entries, and report how many were dropped and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onmt.constants import UNK
from onmt.data.corpus import Block, ImageBlock, LineBlock, VectorBlock
from onmt.data.images import read_image
from onmt.data.reading import NO_CORPUS_HOOKS, CorpusHooks
from onmt.data.sentences import SentenceEncoder, split_sentences
from onmt.data.vocabulary import ImageSize
from onmt.errors import DataError
from onmt.text.tokenizer import Tokenizer

_BINS: Final = 10  # for the histogram of sentence lengths: 0-9, 10-19, ..., 90 or more

_Lengths = npt.NDArray[np.int64]
_Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SideRules:
    """How the entries of one side are read, filtered and stored."""

    name: str
    max_length: int  # words or frames
    encoder: SentenceEncoder | None  # None: vectors or images, stored as they are
    tokenizer: Tokenizer | None = None
    vector_size: int = 0
    image_size: ImageSize | None = None

    @property
    def dtype(self) -> type[np.generic]:
        """The dtype of the stored values: ids, vectors or the colours of pixels."""
        if self.image_size is not None:
            return np.uint8
        return np.float32 if self.encoder is None else np.int32

    @property
    def width(self) -> int:
        """Values per position; an image is one position."""
        if self.image_size is not None:
            return self.image_size.values
        return self.vector_size if self.encoder is None else len(self.encoder.vocabularies)


@dataclass
class SideTally:
    """Statistics of the kept entries of one side."""

    length_sum: int = 0
    length_bins: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, dtype=np.int64))
    unknown_sum: float = 0.0  # sum over sentences of the fraction of UNK in the stored sentence

    def add(self, other: "SideTally") -> None:
        """Add the statistics of other entries."""
        self.length_sum += other.length_sum
        self.length_bins = self.length_bins + other.length_bins
        self.unknown_sum += other.unknown_sum


@dataclass
class Tally:
    """Numbers of entries read, kept, and dropped by reason, and statistics of each side."""

    sides: list[SideTally]
    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add the counts of other entries."""
        for mine, theirs in zip(self.sides, other.sides, strict=True):
            mine.add(theirs)
        self.read += other.read
        self.kept += other.kept
        self.dropped.update(other.dropped)


@dataclass(frozen=True)
class EncodedBlock:
    """The kept entries of a block. Per side: lengths, and concatenated values (positions x width)."""

    lengths: list[npt.NDArray[np.int32]]
    values: list[npt.NDArray[Any]]
    tally: Tally
    warnings: list[str]


@dataclass(frozen=True)
class BlockEncoder:
    """Filters and encodes entries, one block per side at a time."""

    rules: tuple[SideRules, ...]
    same_length: bool  # keep only pairs of equal length
    hooks: CorpusHooks = NO_CORPUS_HOOKS

    def encode_all(self, group: Iterable[Sequence[Block]]) -> list[EncodedBlock]:
        """Encode several blocks in one call: sending a worker process each block alone would cost more."""
        return [self.encode(blocks) for blocks in group]

    def encode(self, blocks: Sequence[Block]) -> EncodedBlock:
        """Filter and encode the entries of parallel blocks (one per side, of equal size); count them all."""
        blocks = self.hooks.apply(blocks)
        sides = [_entries(rules, block) for rules, block in zip(self.rules, blocks, strict=True)]
        kept, dropped = self._filter([side.lengths for side in sides])
        stored = [side.store(kept) for side in sides]
        warnings = []
        for index in dropped.get(_NOT_ALIGNED, ()):
            sizes = "/".join(str(side.lengths[index]) for side in sides)
            warnings.append(f"SENT {blocks[0].numbers[index]}: source/target not aligned ({sizes})")
        tally = Tally(
            sides=[_tally(side.lengths[kept], one) for side, one in zip(sides, stored, strict=True)],
            read=len(blocks[0]),
            kept=len(kept),
            dropped=Counter({reason: len(indices) for reason, indices in dropped.items() if len(indices)}),
        )
        return EncodedBlock([one.lengths for one in stored], [one.values for one in stored], tally, warnings)

    def _filter(self, lengths: Sequence[_Lengths]) -> tuple[_Indices, dict[str, _Indices]]:
        """Return the indices to keep, and those dropped by reason; only an entry's first reason counts."""
        reasons = []
        for rules, of_side in zip(self.rules, lengths, strict=True):
            reasons.append((f"{rules.name} empty", of_side == 0))
            reasons.append((f"{rules.name} longer than {rules.max_length}", of_side > rules.max_length))
        if self.same_length:
            reasons.append((_NOT_ALIGNED, lengths[0] != lengths[-1]))
        remaining = np.ones(len(lengths[0]), dtype=bool)
        dropped = {}
        for reason, applies in reasons:
            dropped[reason] = np.flatnonzero(remaining & applies)
            remaining &= ~applies
        return np.flatnonzero(remaining), dropped


_NOT_ALIGNED: Final = "source and target of different lengths"


@dataclass(frozen=True)
class _Stored:
    """The kept entries of one side of a block. unknown: the fraction of UNK in each sentence."""

    lengths: npt.NDArray[np.int32]
    values: npt.NDArray[Any]
    unknown: npt.NDArray[np.float64]


class _SentenceEntries:
    """The sentences of one block."""

    def __init__(self, encoder: SentenceEncoder, tokenizer: Tokenizer | None, block: LineBlock) -> None:
        self._encoder = encoder
        self._block = block
        self._sentences = split_sentences(block, tokenizer)
        self.lengths = self._sentences.lengths()

    def store(self, kept: _Indices) -> _Stored:
        """Encode the sentences at `kept`. Raises DataError if their number of features isn't that of the
        vocabularies.
        """
        features = len(self._encoder.vocabularies) - 1
        chosen = self._sentences.select(kept)
        for place, found in enumerate(chosen.feature_counts()):
            if found != features:
                where = self._block.where(int(kept[place]))
                raise DataError(f"{where}: {found} word features, but the vocabularies are for {features}")
        values = self._encoder.encode(chosen)
        lengths = self._encoder.stored_lengths(self.lengths[kept])
        if not len(kept):
            return _Stored(lengths.astype(np.int32), values, np.zeros(0))
        unknown = np.add.reduceat(values[:, 0] == UNK, np.cumsum(lengths) - lengths, dtype=np.int64)
        return _Stored(lengths.astype(np.int32), values, unknown / lengths)


class _VectorEntries:
    """The sequences of vectors of one block."""

    def __init__(self, vector_size: int, block: VectorBlock) -> None:
        self._vector_size = vector_size
        self._block = block
        self.lengths = np.array([len(matrix) for matrix in block.matrices], dtype=np.int64)

    def store(self, kept: _Indices) -> _Stored:
        """Concatenate the vectors at `kept`. Raises DataError if a vector's length isn't `vector_size`."""
        matrices = [np.zeros((0, self._vector_size), dtype=np.float32)]
        for index in kept:
            matrix = self._block.matrices[index]
            if matrix.shape[1] != self._vector_size:
                raise DataError(
                    f"{self._block.where(index)}: vectors of {matrix.shape[1]} numbers, "
                    f"but those of the training data have {self._vector_size}"
                )
            matrices.append(matrix)
        return _Stored(self.lengths[kept].astype(np.int32), np.concatenate(matrices), np.zeros(len(kept)))


class _ImageEntries:
    """The images of one block, each of length 1; only the kept ones are read."""

    def __init__(self, size: ImageSize, block: ImageBlock) -> None:
        self._size = size
        self._block = block
        self.lengths = np.ones(len(block), dtype=np.int64)

    def store(self, kept: _Indices) -> _Stored:
        """Read the images at `kept`. Raises DataError naming the line of an image that can't be read."""
        images = np.zeros((len(kept), self._size.values), dtype=np.uint8)
        for row, index in zip(images, kept.tolist(), strict=True):
            row[:] = read_image(self._block.images[index], self._size, self._block.where(index)).reshape(-1)
        return _Stored(self.lengths[kept].astype(np.int32), images, np.zeros(len(kept)))


def _entries(rules: SideRules, block: Block) -> _SentenceEntries | _VectorEntries | _ImageEntries:
    if isinstance(block, VectorBlock):
        return _VectorEntries(rules.vector_size, block)
    if isinstance(block, ImageBlock):
        assert rules.image_size is not None, "images need a size"
        return _ImageEntries(rules.image_size, block)
    assert rules.encoder is not None, "text needs an encoder"
    return _SentenceEntries(rules.encoder, rules.tokenizer, block)


def _tally(lengths: _Lengths, stored: _Stored) -> SideTally:
    bins = np.bincount(np.minimum(lengths // 10, _BINS - 1), minlength=_BINS)
    return SideTally(int(lengths.sum()), bins, float(stored.unknown.sum()))


_WORTH_A_WARNING: Final = 0.05  # fraction of sentences dropped


def describe_file(path: str, total: int, tally: Tally, rules: Sequence[SideRules]) -> str:
    """Return the log line about one file (the source's path): its sentences, how many were drawn and kept."""
    unknown = ", ".join(
        f"{side.name} = {100 * seen.unknown_sum / max(tally.kept, 1):.1f}%"
        for side, seen in zip(rules, tally.sides, strict=True)
        if side.encoder is not None
    )
    counts = f"{total} total, {tally.read} drawn, {tally.kept} kept"
    return f" * [-] file '{path}' (): {counts} - unknown words: {unknown}"


def describe_tally(tally: Tally, rules: Sequence[SideRules]) -> list[str]:
    """Return the log lines about all sentences together."""
    sides = list(zip(rules, tally.sides, strict=True))
    averages = ", ".join(f"{side.name} = {seen.length_sum / tally.kept:.1f}" for side, seen in sides)
    return [
        f"Prepared {tally.kept} sentences:",
        f" * {tally.dropped.total()} sequences not validated (length, other)",
        *(
            f"   - {reason}: {count} ({100 * count / tally.read:.1f}%)"
            for reason, count in tally.dropped.most_common()
        ),
        f" * average sequence length: {averages}",
        *(f" * {side.name} sentence length (range of 10): {_bins(seen, tally.kept)}" for side, seen in sides),
    ]


def worth_a_warning(tally: Tally) -> str | None:
    """Return a warning if many sentences were dropped, else None."""
    dropped = tally.dropped.total()
    if dropped <= _WORTH_A_WARNING * tally.read:
        return None
    return f"{dropped} of {tally.read} sentences were dropped ({100 * dropped / tally.read:.1f}%)"


def _bins(side: SideTally, kept: int) -> str:
    return "[ " + " ; ".join(f"{100 * count // kept}%" for count in side.length_bins) + " ]"
