"""Batches of an epoch, of a fixed number of steps, of resampled epochs; batches that memory cannot hold."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import PAD
from onmt.data.batch import Batch, to_device
from onmt.data.dataset import BatchPlan, Dataset, Selection, SentenceSet, epoch_order, prefetch
from onmt.errors import DataError, OnmtError, is_out_of_memory
from onmt.logger import Logger
from onmt.training.distributed import Replicas
from onmt.training.sampling import Sampler


class _BatchTooLargeError(OnmtError):
    """A training step found no memory; the message names its batches and the flags to lower."""


def largest_batch(
    plan: BatchPlan, src_lengths: npt.NDArray[np.integer], tgt_lengths: npt.NDArray[np.integer] | None
) -> int:
    """The index of the batch with the most positions, padding and both sides counted; the first of several.

    src_lengths, tgt_lengths: of all sentences in stored order.
    """
    starts = plan.bounds[:-1]
    longest = np.maximum.reduceat(src_lengths, starts).astype(np.int64)
    if tgt_lengths is not None:
        longest = longest + np.maximum.reduceat(tgt_lengths, starts)
    return int(np.argmax(longest * np.diff(plan.bounds)))


@contextmanager
def naming_batches(batches: Sequence[Batch], when: str) -> Iterator[None]:
    """Turn an allocation failure into BatchTooLargeError; when: the step, as `epoch 1, iteration 2`."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        detail = str(error).partition("\n")[0]
        raise _BatchTooLargeError(
            f"out of memory at {when}, with {' and '.join(map(_describe, batches)) or 'no batch'}: lower "
            "-max_batch_size or -max_tokens (-accum_count keeps the sentences per update), the lengths that "
            "preprocessing keeps (-src_seq_length, -tgt_seq_length), or the model's -rnn_size and -layers"
            + (f" ({detail})" if detail else "")
        ) from error


def _describe(batch: Batch) -> str:
    target = "" if batch.tgt_output is None else f" and target length {batch.tgt_output.shape[1]}"
    return f"a batch of {batch.size} sentences of source length {batch.src.shape[1]}{target}"


class EpochBatches:
    """The batches of a training set, epoch by epoch: as stored for the first `curriculum` epochs, then
    shuffled.

    With N replicas an iteration takes N x `accumulated` consecutive batches of that order, every N-th of them
    for one replica.
    """

    def __init__(
        self,
        dataset: SentenceSet,
        plan: BatchPlan,
        curriculum: int,
        accumulated: int,
        seed: int,
        replicas: Replicas,
        device: torch.device,
    ) -> None:
        self._accumulated = accumulated
        self._dataset = dataset
        self.plan = plan
        self._curriculum = curriculum
        self._seed = seed
        self._replicas = replicas
        self._device = device

    @property
    def iterations(self) -> int:
        """Per epoch."""
        return -(-len(self.plan) // (self._replicas.size * self._accumulated))

    def take(self, epoch: int, first: int) -> Iterator[tuple[Batch, ...]]:
        """This replica's batches of each iteration from `first` (from 1) on, on its device.

        The last iteration may have fewer of them, or none.
        """
        size, rank = self._replicas.size, self._replicas.rank
        order = epoch_order(len(self.plan), epoch, self._curriculum, self._seed)
        mine = range((first - 1) * size * self._accumulated + rank, len(order), size)
        batches = prefetch(lambda place: self._batch(int(order[place])), mine)
        for _ in range(first, self.iterations + 1):
            yield tuple(islice(batches, self._accumulated))

    def _batch(self, index: int) -> Batch:
        return self._dataset.batch(self.plan[index]).to(self._device)


class StoredBatches:
    """All batches of a data set in stored order, read anew each time."""

    def __init__(self, dataset: Dataset, plan: BatchPlan, device: torch.device) -> None:
        self._dataset = dataset
        self._plan = plan
        self._device = device

    def __iter__(self) -> Iterator[Batch]:
        return prefetch(
            lambda index: self._dataset.batch(self._plan[index]).to(self._device), range(len(self._plan))
        )


class StepBatches:
    """The batches of passes over the data that follow on one another, `iterations` of them per epoch.

    total: number of steps after which there are no more batches, from the first epoch on; 0: no end. Like the
    order of a pass, which batch a step takes depends on the step's number alone.
    """

    def __init__(self, passes: EpochBatches, iterations: int, total: int) -> None:
        self._passes = passes
        self._total = total
        self.iterations = iterations

    @property
    def plan(self) -> BatchPlan:
        """The batches of a pass."""
        return self._passes.plan

    def take(self, epoch: int, first: int) -> Iterator[tuple[Batch, ...]]:
        """See `EpochBatches.take`."""
        step, end = (epoch - 1) * self.iterations + first - 1, epoch * self.iterations
        if self._total > 0:
            end = min(end, self._total)
        while step < end:
            number, place = divmod(step, self._passes.iterations)
            for batches in self._passes.take(number + 1, place + 1):
                yield batches
                step += 1
                if step >= end:
                    return


_WORDS_IN: Final = {False: "source", True: "target"}  # by whether there is a target


@dataclass(frozen=True)
class Epoch:
    """The batches of an epoch; output_words: see `TrainingStep`."""

    sentences: SentenceSet
    batches: EpochBatches | StepBatches
    output_words: Tensor | None


class Epochs:
    """Finds what an epoch trains on; the same for the same epoch, however often a run is stopped.

    data: the data set of an epoch (from 1); resampled: whether it differs between epochs. sampler: which of
    its sentences the epoch takes, None for all. batches: makes batches of sentences. restricted: predict
    only among the words of the sentences taken.
    """

    def __init__(
        self,
        data: Callable[[int], Dataset],
        resampled: bool,
        sampler: Sampler | None,
        batches: Callable[[SentenceSet], EpochBatches | StepBatches],
        restricted: bool,
        logger: Logger,
        device: torch.device,
    ) -> None:
        self._data = data
        self._sampler = sampler
        self._batches = batches
        self._restricted = restricted
        self._logger = logger
        self._device = device
        self._current: tuple[int, Epoch] | None = None
        self.vary = resampled or sampler is not None

    def start(self, number: int) -> Epoch:
        """The epoch of this number, from 1. With several replicas all of them must call this."""
        if self._current is None or (self.vary and self._current[0] != number):
            self._current = None  # its room can be used again
            self._current = (number, self._epoch(number))
        return self._current[1]

    def measure(self, iteration: int, batch: Batch, losses: Tensor) -> None:
        """Tell the sampler what a training step measured, see `Sampler.measure`."""
        if self._sampler is not None:
            self._sampler.measure(iteration, batch, losses)

    def merge(self) -> None:
        """Before `sampler_state`; all replicas must call this."""
        if self._sampler is not None:
            self._sampler.merge()

    def sampler_state(self) -> dict[str, Any] | None:
        """The state of the sampler for a checkpoint."""
        return None if self._sampler is None else self._sampler.to_state()

    def _epoch(self, number: int) -> Epoch:
        data = self._data(number)
        sentences: SentenceSet = data
        if self._sampler is not None:
            drawn = self._sampler.draw(number, len(data))
            self._logger.info(f" * sampled {len(drawn)} of {len(data)} sentences for epoch {number}")
            sentences = Selection(data, drawn)
        return Epoch(sentences, self._batches(sentences), self._output_words(sentences))

    def _output_words(self, sentences: SentenceSet) -> Tensor | None:
        if not self._restricted:
            return None
        words = np.union1d([PAD], sentences.predicted_words())
        side = _WORDS_IN[sentences.tgt_lengths is not None]
        self._logger.info(f" * importance sampling: keeping {len(words)} {side} words")
        return to_device(torch.from_numpy(words), self._device)


def or_failure(batches: Iterator[Sequence[Batch]]) -> Iterator[Sequence[Batch] | DataError]:
    """The batches; data that cannot be read comes as the last item, so that replicas can agree to stop."""
    try:
        yield from batches
    except DataError as error:
        yield error
