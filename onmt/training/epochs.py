"""What each epoch trains on: all of the data or a sample of it, and among which words it predicts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from onmt.constants import PAD
from onmt.data.batch import Batch, to_device
from onmt.data.dataset import Dataset, SentenceSet
from onmt.data.selection import Selection
from onmt.logger import Logger
from onmt.training.batches import EpochBatches
from onmt.training.sampling import Sampler
from onmt.training.steps import StepBatches

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
        """What a checkpoint must keep of the sampler."""
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
