"""Data sets of encoded sentences, their batches, and the order of the batches in an epoch."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import PAD
from onmt.data.shards import SideArrays
from onmt.data.vocabulary import ImageSize, Vocabularies
from onmt.runtime.random import numpy_generator


@dataclass(frozen=True)
class CopyIds:
    """Word ids in the target vocabulary, extended per sentence by its unknown source words; see `CopySource`.

    source: B S int64, PAD after a sentence's end. target: B T int64, ids of the words of `tgt_output`.
    size: largest possible id + 1.
    """

    source: Tensor
    target: Tensor | None
    size: int


@dataclass(frozen=True)
class Batch:
    """A batch of B sentences as tensors: S and T are the longest lengths, F = 1 + number of word features.

    Sentences are padded on the right with PAD, vectors with zeros. Column 0 of F holds the words. An image
    is one source position.
    A language model has no target: it reads `<s> w1..wn </s>` as its source and predicts `src[:, 1:]`.
    """

    src: Tensor  # B S F int64; vectors: B S D float32; images: B 3 height width uint8
    src_lengths: Tensor  # B int64, without padding
    tgt_input: Tensor | None  # B T F int64, <s> w1..wn
    tgt_output: Tensor | None  # B T F int64, w1..wn </s>
    size: int  # B
    src_words: int  # sum of src_lengths
    tgt_words: int  # divisor of the perplexity: positions of tgt_output without padding, else src_words
    indices: Tensor  # B int64, the sentences' positions in the data set
    host_lengths: Tensor | None = None  # B int64, CPU copy of src_lengths if those are on another device
    host_tgt_lengths: Tensor | None = None  # B int64 on the CPU, lengths in tgt_output, if known
    copies: CopyIds | None = None  # for models that copy source words

    @property
    def lengths_on_host(self) -> Tensor:
        """src_lengths on the CPU, B int64."""
        return self.src_lengths.cpu() if self.host_lengths is None else self.host_lengths

    @property
    def lengths_if_uneven(self) -> Tensor | None:
        """`lengths_on_host`, or None if no sentence is padded."""
        return self.lengths_on_host if self.src_words < self.src.shape[0] * self.src.shape[1] else None

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch with its tensors on `device`; copies to a GPU are asynchronous."""
        device = torch.device(device)
        return replace(
            self,
            src=to_device(self.src, device),
            src_lengths=to_device(self.src_lengths, device),
            tgt_input=None if self.tgt_input is None else to_device(self.tgt_input, device),
            tgt_output=None if self.tgt_output is None else to_device(self.tgt_output, device),
            indices=to_device(self.indices, device),
            host_lengths=None if device.type == "cpu" else self.lengths_on_host,
            copies=None if self.copies is None else _copies_to(self.copies, device),
        )


def _copies_to(copies: CopyIds, device: torch.device) -> CopyIds:
    target = None if copies.target is None else to_device(copies.target, device)
    return CopyIds(to_device(copies.source, device), target, copies.size)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on `device`, without waiting for a copy to a GPU.

    A copy to a GPU is asynchronous only from pinned memory; from pageable memory it blocks, whatever
    `non_blocking` says.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        with torch.cuda.device(
            device
        ):  # a new thread starts on GPU 0; pinning there would create a useless CUDA context
            return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def make_batch(
    src: npt.NDArray[np.int64] | npt.NDArray[np.float32] | npt.NDArray[np.uint8],
    src_lengths: npt.NDArray[np.int64],
    tgt: npt.NDArray[np.int64] | None,
    tgt_lengths: npt.NDArray[np.int64] | None,
    indices: npt.NDArray[np.int64],
) -> Batch:
    """Build a batch from padded arrays.

    src: B S F ids, B S D vectors or B 3 height width images; src_lengths: B.
    indices: B, positions in the data set.
    tgt: B T+1 F ids, `<s> w1..wn </s>` padded with PAD; tgt_lengths: B, n + 2 each. Both None: no target.
    """
    src_words = int(src_lengths.sum())
    tgt_input = tgt_output = None
    tgt_words = src_words
    steps: Tensor | None = None
    if tgt is not None and tgt_lengths is not None:
        target = torch.from_numpy(tgt)
        steps = torch.from_numpy(tgt_lengths - 1)
        ended = torch.arange(tgt.shape[1] - 1) >= steps[:, None]
        tgt_output = target[:, 1:].contiguous()
        # The decoder predicts </s> but never reads it.
        tgt_input = target[:, :-1].masked_fill(ended[:, :, None], PAD)
        tgt_words = int(steps.sum())
    return Batch(
        src=torch.from_numpy(src),
        src_lengths=torch.from_numpy(src_lengths),
        tgt_input=tgt_input,
        tgt_output=tgt_output,
        size=len(indices),
        src_words=src_words,
        tgt_words=tgt_words,
        indices=torch.from_numpy(indices),
        host_tgt_lengths=steps,
    )


def pad_sequences(sequences: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Stack sequences of shape (length, F) to B L F, padded on the right with PAD."""
    longest = max(len(sequence) for sequence in sequences)
    padded = np.full((len(sequences), longest, sequences[0].shape[1]), PAD, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return padded


_VALUES_AT_A_TIME: Final = 1 << 16

_SENTENCES_AT_A_TIME: Final = 1 << 14

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class SentenceSet(Protocol):
    """An ordered set of N sentences, or pairs of sentences."""

    @property
    def src_lengths(self) -> npt.NDArray[np.int32]:
        """N, source lengths without padding; for a language model they include `<s>` and `</s>`."""

    @property
    def tgt_lengths(self) -> npt.NDArray[np.int32] | None:
        """N, stored target lengths, including `<s>` and `</s>`; None without a target."""

    def __len__(self) -> int:
        """N."""

    def batch(self, indices: npt.NDArray[np.integer]) -> Batch:
        """Return the sentences at `indices` (0 to N - 1), in that order, as one batch."""

    def predicted_words(self) -> npt.NDArray[np.int64]:
        """Return the sorted ids of all words that a model has to predict: those of the targets, or of the
        sentences themselves if there are no targets."""


class Dataset:
    """Read-only sentences, or pairs of sentences, in their stored order.

    src_lengths: N, source lengths without padding; for a language model they include `<s>` and `</s>`.
    tgt_lengths: N, stored target lengths, including `<s>` and `</s>`; None without a target.
    """

    def __init__(self, shards: Sequence[tuple[SideArrays, ...]], image_size: ImageSize | None = None) -> None:
        """`shards`: the sides of each shard, source first. `image_size`: for images as source."""
        self._shards = tuple(shards)
        self._image_size = image_size
        self._starts = np.cumsum([0, *(len(sides[0].lengths) for sides in shards)])
        self.src_lengths = _concatenated([sides[0].lengths for sides in shards])
        self.tgt_lengths: npt.NDArray[np.int32] | None = None
        if len(shards[0]) > 1:
            self.tgt_lengths = _concatenated([sides[1].lengths for sides in shards])

    def __len__(self) -> int:
        return len(self.src_lengths)

    def batch(self, indices: npt.NDArray[np.integer]) -> Batch:
        """Return the sentences at `indices` (positions in this data set), in that order, as one batch."""
        src, src_lengths = self._padded(0, indices)
        if self._image_size is not None:
            src = src.reshape(len(indices), 3, *self._image_size)
        tgt = tgt_lengths = None
        if self.tgt_lengths is not None:
            tgt, tgt_lengths = self._padded(1, indices)
        return make_batch(src, src_lengths, tgt, tgt_lengths, np.asarray(indices, dtype=np.int64))

    def predicted_words(self, indices: npt.NDArray[np.integer] | None = None) -> npt.NDArray[np.int64]:
        """See `SentenceSet.predicted_words`; for all sentences, or for those at `indices`."""
        side = 0 if self.tgt_lengths is None else 1
        chosen = np.arange(len(self)) if indices is None else indices
        found = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(chosen), _SENTENCES_AT_A_TIME):
            piece = chosen[start : start + _SENTENCES_AT_A_TIME]
            shard_of = np.searchsorted(self._starts, piece, side="right") - 1
            for number in np.unique(shard_of):
                rows = piece[shard_of == number] - self._starts[number]
                found.append(np.unique(self._shards[number][side].gather(rows)[:, 0]))
        return np.unique(np.concatenate(found))

    def _padded(
        self, side: int, indices: npt.NDArray[np.integer]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Return one side of the sentences, B L width, right-padded with zeros (PAD is 0), and lengths B."""
        all_lengths = self.src_lengths if side == 0 or self.tgt_lengths is None else self.tgt_lengths
        lengths = all_lengths[indices].astype(np.int64)
        first = self._shards[0][side]
        shape = (len(indices), int(lengths.max()), first.width)
        # Ids become int64, torch's dtype for indices; vectors and images keep their dtype.
        padded = np.zeros(shape, dtype=first.values.dtype if first.kind else np.int64)
        real = np.arange(shape[1]) < lengths[:, None]
        shard_of = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(shard_of):
            here = shard_of == number
            rows = indices[here] - self._starts[number]
            padded[real & here[:, None]] = self._shards[number][side].gather(rows)
        return padded, lengths


@dataclass(frozen=True)
class BatchPlan:
    """The sentences of each batch: batch i holds the stored sentences bounds[i] to bounds[i + 1] - 1."""

    bounds: npt.NDArray[np.int64]
    max_batch_size: int
    max_tokens: int
    uneven: bool

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int64]:
        return np.arange(self.bounds[index], self.bounds[index + 1])


def plan_batches(
    src_lengths: npt.NDArray[np.integer], max_batch_size: int, max_tokens: int, uneven: bool
) -> BatchPlan:
    """Cut the stored order into batches of at most `max_batch_size` sentences and `max_tokens` positions.

    Unless `uneven`, all sentences of a batch have the same length. A sentence of more than `max_tokens`
    source positions is a batch of its own. Padding isn't counted (Lua's onmt/data/Dataset.lua).
    """
    cut = _uneven_bounds if uneven else _even_bounds
    return BatchPlan(cut(src_lengths, max_batch_size, max_tokens), max_batch_size, max_tokens, uneven)


def _even_bounds(
    src_lengths: npt.NDArray[np.integer], max_batch_size: int, max_tokens: int
) -> npt.NDArray[np.int64]:
    """Cut each run of sentences of equal length into batches of as many sentences as fit."""
    run_starts = _run_starts(src_lengths)
    run_sizes = np.diff(run_starts, append=len(src_lengths))
    fitting = np.clip(max_tokens // src_lengths[run_starts].astype(np.int64), 1, max_batch_size)
    batches = -(-run_sizes // fitting)
    first_of_run = np.cumsum(batches) - batches
    number_in_run = np.arange(int(batches.sum())) - np.repeat(first_of_run, batches)
    starts = np.repeat(run_starts, batches) + number_in_run * np.repeat(fitting, batches)
    return np.append(starts, len(src_lengths))


def _uneven_bounds(
    src_lengths: npt.NDArray[np.integer], max_batch_size: int, max_tokens: int
) -> npt.NDArray[np.int64]:
    # No sentence is empty, so a batch has at most `max_tokens` sentences.
    most = max(1, min(max_batch_size, max_tokens))
    bounds = [0]
    while bounds[-1] < len(src_lengths):
        start = bounds[-1]
        ends = np.cumsum(src_lengths[start : start + most], dtype=np.int64)
        bounds.append(start + max(1, int(np.searchsorted(ends, max_tokens, side="right"))))
    return np.array(bounds, dtype=np.int64)


def _run_starts(values: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return index 0 and each index whose value differs from the one before it.

    Works in pieces: the values may be memory-mapped from a file that should not be in memory as a whole.
    """
    starts = [np.zeros(1, dtype=np.int64)]
    for first in range(1, len(values), _VALUES_AT_A_TIME):
        piece = values[first - 1 : first + _VALUES_AT_A_TIME]
        starts.append(np.flatnonzero(piece[1:] != piece[:-1]) + first)
    return np.concatenate(starts)


def epoch_order(number_of_batches: int, epoch: int, curriculum: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the order of the batches in an epoch (from 1): stored up to epoch `curriculum`, then random."""
    if epoch <= curriculum:
        return np.arange(number_of_batches)
    return numpy_generator(seed, "batch order", epoch).permutation(number_of_batches)


def prefetch(make: Callable[[_Item], _Made], items: Iterable[_Item], ahead: int = 2) -> Iterator[_Made]:
    """Yield `make(item)` for each item in order; a thread computes up to `ahead` results in advance.

    An exception in `make` is raised in place of its result. Closing the iterator stops the thread.
    """
    pending: deque[Future[_Made]] = deque()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        for item in items:
            pending.append(thread.submit(make, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        thread.shutdown(wait=True, cancel_futures=True)


def describe_dataset(dataset: SentenceSet, vocabularies: Vocabularies, plan: BatchPlan) -> list[str]:
    """Return the log lines that describe a training set, as Lua prints them before training."""
    sizes = np.diff(plan.bounds)
    longest = np.maximum.reduceat(dataset.src_lengths, plan.bounds[:-1]).astype(np.int64)
    capacity = 100 * int(dataset.src_lengths.sum(dtype=np.int64)) / int((sizes * longest).sum())
    source_size = (
        f"*{vocabularies.src_vector_size}" if not vocabularies.src else str(len(vocabularies.src[0]))
    )
    if vocabularies.src_image_size is not None:
        source_size = f"images of {vocabularies.src_image_size}"
    source_features = max(0, len(vocabularies.src) - 1)
    if vocabularies.tgt:
        words = f"source = {source_size}; target = {len(vocabularies.tgt[0])}"
        features = f"source = {source_features}; target = {len(vocabularies.tgt) - 1}"
    else:
        words, features = source_size, str(source_features)
    longest_target = 0 if dataset.tgt_lengths is None else int(dataset.tgt_lengths.max()) - 1
    return [
        f" * vocabulary size: {words}",
        f" * additional features: {features}",
        f" * maximum sequence length: source = {int(dataset.src_lengths.max())}; target = {longest_target}",
        f" * number of training sentences: {len(dataset)}",
        f" * number of batches: {len(plan)}",
        f"   - source sequence lengths: {'variable' if plan.uneven else 'equal'}",
        f"   - maximum size: {plan.max_batch_size} sentences / {plan.max_tokens} tokens",
        f"   - average size: {len(dataset) / len(plan):.2f}",
        f"   - capacity: {capacity:.2f}%",
    ]


def _concatenated(arrays: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.int32]:
    """Concatenate the arrays; a single one is not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class Selection:
    """A subset of a data set: its sentences at `indices`. Batches keep the data set's own indices."""

    def __init__(self, dataset: Dataset, indices: npt.NDArray[np.int64]) -> None:
        self._dataset = dataset
        self._indices = indices
        self.src_lengths = dataset.src_lengths[indices]
        self.tgt_lengths = None if dataset.tgt_lengths is None else dataset.tgt_lengths[indices]

    def __len__(self) -> int:
        return len(self._indices)

    def batch(self, indices: npt.NDArray[np.integer]) -> Batch:
        """See `SentenceSet.batch`."""
        return self._dataset.batch(self._indices[indices])

    def predicted_words(self) -> npt.NDArray[np.int64]:
        """See `SentenceSet.predicted_words`."""
        return self._dataset.predicted_words(np.unique(self._indices))
