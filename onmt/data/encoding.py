"""The second pass over a corpus: filter, encode, and count what was kept and what was dropped and why."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onmt.constants import UNK
from onmt.data.corpus import Block, LineBlock, VectorBlock
from onmt.data.reading import NO_CORPUS_HOOKS, CorpusHooks
from onmt.data.sentences import Sentence, SentenceEncoder, read_sentences
from onmt.errors import DataError
from onmt.text.tokenizer import Tokenizer

BINS: Final = 10  # of sentence lengths, ten wide each; the last one is open

Vectors = npt.NDArray[np.float32]  # frames x dimension


@dataclass(frozen=True)
class SideRules:
    """How the entries of one side are read, filtered and stored."""

    name: str
    max_length: int  # words or frames
    encoder: SentenceEncoder | None  # None: vectors, stored as they are
    tokenizer: Tokenizer | None = None
    vector_size: int = 0


@dataclass
class SideTally:
    """What was seen in the kept entries of one side."""

    length_sum: int = 0
    length_bins: list[int] = field(default_factory=lambda: [0] * BINS)
    unknown_sum: float = 0.0  # of the fraction of UNK in each stored sentence

    def count(self, length: int, unknown: float) -> None:
        """Count one entry of `length` words or frames."""
        self.length_sum += length
        self.length_bins[min(length // 10, BINS - 1)] += 1
        self.unknown_sum += unknown

    def add(self, other: "SideTally") -> None:
        """Add what was seen elsewhere."""
        self.length_sum += other.length_sum
        self.length_bins = [a + b for a, b in zip(self.length_bins, other.length_bins, strict=True)]
        self.unknown_sum += other.unknown_sum


@dataclass
class Tally:
    """How many entries were read, kept, and dropped for which reason."""

    sides: list[SideTally]
    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add the entries counted elsewhere."""
        for mine, theirs in zip(self.sides, other.sides, strict=True):
            mine.add(theirs)
        self.read += other.read
        self.kept += other.kept
        self.dropped.update(other.dropped)


@dataclass(frozen=True)
class EncodedBlock:
    """The kept entries of a block. Per side: their lengths, and their values (positions x width) joined."""

    lengths: list[npt.NDArray[np.int32]]
    values: list[npt.NDArray[Any]]
    tally: Tally
    warnings: list[str]


@dataclass(frozen=True)
class BlockEncoder:
    """Filters and encodes entries, a block of each side at a time."""

    rules: tuple[SideRules, ...]
    same_length: bool  # keep only pairs of equal length
    hooks: CorpusHooks = NO_CORPUS_HOOKS

    def encode(self, blocks: Sequence[Block]) -> EncodedBlock:
        """The kept entries of the blocks (one per side, of equal size), and what became of the others."""
        blocks = self.hooks.apply(blocks)
        tally = Tally([SideTally() for _ in self.rules])
        sinks = [_sink(rules, block) for rules, block in zip(self.rules, blocks, strict=True)]
        warnings = []
        for index, items in enumerate(zip(*(sink.items for sink in sinks), strict=True)):
            tally.read += 1
            reason = self._reason_to_drop([len(item) for item in items])
            if reason == _NOT_ALIGNED:
                sizes = "/".join(str(len(item)) for item in items)
                warnings.append(f"SENT {blocks[0].numbers[index]}: source/target not aligned ({sizes})")
            if reason:
                tally.dropped[reason] += 1
                continue
            tally.kept += 1
            for sink, side, item in zip(sinks, tally.sides, items, strict=True):
                side.count(len(item), sink.store(item, index))
        return EncodedBlock(
            lengths=[np.array(sink.lengths, dtype=np.int32) for sink in sinks],
            values=[sink.values() for sink in sinks],
            tally=tally,
            warnings=warnings,
        )

    def _reason_to_drop(self, lengths: Sequence[int]) -> str:
        for rules, length in zip(self.rules, lengths, strict=True):
            if length == 0:
                return f"{rules.name} empty"
            if length > rules.max_length:
                return f"{rules.name} longer than {rules.max_length}"
        return _NOT_ALIGNED if self.same_length and lengths[0] != lengths[-1] else ""


_NOT_ALIGNED: Final = "source and target of different lengths"


class _SentenceSink:
    """Reads and encodes the sentences of one block."""

    def __init__(self, encoder: SentenceEncoder, tokenizer: Tokenizer | None, block: LineBlock) -> None:
        self.items: Iterable[Sentence] = read_sentences(block, tokenizer)
        self.lengths: list[int] = []
        self._encoder = encoder
        self._block = block
        self._ids = array("i")

    def store(self, item: Sentence, index: int) -> float:
        """Keep a sentence; returns the fraction of its stored positions that are unknown words."""
        if len(item.features) != len(self._encoder.vocabularies) - 1:
            raise DataError(
                f"{self._block.where(index)}: {len(item.features)} word features, "
                f"but the vocabularies are for {len(self._encoder.vocabularies) - 1}"
            )
        columns = self._encoder.encode(item)
        words = columns[0]
        self._ids.extend(
            words if len(columns) == 1 else [id for ids in zip(*columns, strict=True) for id in ids]
        )
        self.lengths.append(len(words))
        return words.count(UNK) / len(words)

    def values(self) -> npt.NDArray[Any]:
        """All that was stored: positions x (1 + features)."""
        return np.frombuffer(self._ids, dtype=np.int32).reshape(-1, len(self._encoder.vocabularies))


class _VectorSink:
    """Keeps the vectors of one block."""

    def __init__(self, vector_size: int, block: VectorBlock) -> None:
        self.items: Iterable[Vectors] = block.matrices
        self.lengths: list[int] = []
        self._vector_size = vector_size
        self._block = block
        self._stored: list[Vectors] = []

    def store(self, item: Vectors, index: int) -> float:
        """Keep a sequence of vectors, in which nothing is unknown."""
        if item.shape[1] != self._vector_size:
            raise DataError(
                f"{self._block.where(index)}: vectors of {item.shape[1]} numbers, "
                f"but those of the training data have {self._vector_size}"
            )
        self._stored.append(item)
        self.lengths.append(len(item))
        return 0.0

    def values(self) -> npt.NDArray[Any]:
        """All that was stored: frames x dimension."""
        return np.concatenate([np.zeros((0, self._vector_size), dtype=np.float32), *self._stored])


def _sink(rules: SideRules, block: Block) -> _SentenceSink | _VectorSink:
    if isinstance(block, VectorBlock):
        return _VectorSink(rules.vector_size, block)
    assert rules.encoder is not None, "text needs an encoder"
    return _SentenceSink(rules.encoder, rules.tokenizer, block)
