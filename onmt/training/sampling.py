"""Sampling of the sentences that an epoch trains on (OpenNMT Lua's onmt/data/SampledDataset.lua).

Draws depend on the seed, the epoch and, when sampling by perplexity, on the perplexities before the epoch,
which a checkpoint stores.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import PAD
from onmt.data.dataset import Batch
from onmt.errors import CheckpointError
from onmt.logger import Logger
from onmt.runtime.random import numpy_generator
from onmt.training.distributed import Replicas
from onmt.training.options import SampledDatasetOptions

_LARGEST: Final = 80.0  # mean loss per word; its exponential is still a float32

_Indices = npt.NDArray[np.int64]
_Perplexities = npt.NDArray[np.float32]


@dataclass
class _Measured:
    """The state of sampling by perplexity.

    perplexities: N, of each sentence when it was last trained on; NaN before. started: whether sentences are
    drawn by perplexity already. epoch, drawn: the epoch of the last draw, and the sentences drawn.
    """

    perplexities: _Perplexities
    started: bool = False
    epoch: int = 0
    drawn: _Indices = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def to_state(self) -> dict[str, Any]:
        """Return plain values and tensors, for a checkpoint."""
        return {
            "perplexities": torch.from_numpy(self.perplexities),
            "started": self.started,
            "epoch": self.epoch,
            "drawn": torch.from_numpy(self.drawn),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], sentences: int) -> "_Measured":
        """Inverse of `to_state`. Raises CheckpointError for another number of sentences."""
        found = len(state["perplexities"])
        if found != sentences:
            raise CheckpointError(
                f"the checkpoint has the perplexities of {found} sentences, but the data has {sentences}"
            )
        return cls(
            state["perplexities"].numpy().copy(), state["started"], state["epoch"], state["drawn"].numpy()
        )


class Sampler:
    """Draws the sentences of an epoch."""

    @staticmethod
    def of(
        options: SampledDatasetOptions,
        seed: int,
        replicas: Replicas,
        logger: Logger,
        state: Mapping[str, Any] | None,
    ) -> "Sampler":
        """Return the sampler of `-sample` and `-sample_type`; `state`: what `to_state` returned."""
        if options.sample_type == "partition":
            return _PartitionSampler(options.sample)
        if options.sample_type == "uniform":
            return _UniformSampler(options.sample, seed)
        return _PerplexitySampler(options, seed, replicas, logger, state)

    def draw(self, epoch: int, sentences: int) -> _Indices:
        """Return indices of the sentences, out of this many, that the epoch trains on.

        They are sorted, and may repeat.
        """
        raise NotImplementedError

    def measure(self, iteration: int, batch: Batch, losses: Tensor) -> None:
        """Record the losses of a training step, B, summed over the words of each sentence, without
        synchronising with the device."""

    def gather_losses(self) -> None:
        """Exchange the recorded losses between replicas; all of them must call this."""

    def to_state(self) -> dict[str, Any] | None:
        """Return the state for a checkpoint, after `merge`."""
        return None


class _UniformSampler(Sampler):
    """Draws any sentence, with replacement."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = seed

    def draw(self, epoch: int, sentences: int) -> _Indices:
        """See `Sampler.draw`."""
        return np.sort(_generator(self._seed, epoch).integers(0, sentences, self._size))


class _PartitionSampler(Sampler):
    """Visits every n-th sentence, then shifts by one: every sentence is seen once before any is repeated."""

    def __init__(self, size: int) -> None:
        self._size = size

    def draw(self, epoch: int, sentences: int) -> _Indices:
        """See `Sampler.draw`."""
        step = max(1, sentences // self._size)
        # The walk visits offset, offset + step, ... for each offset below the step; it has no end.
        visits = -(-(sentences - np.arange(step)) // step)
        starts = np.concatenate(([0], np.cumsum(visits)))
        places = np.arange((epoch - 1) * self._size, epoch * self._size) % sentences
        offsets = np.searchsorted(starts, places, side="right") - 1
        return np.sort(offsets + (places - starts[offsets]) * step)


class _PerplexitySampler(Sampler):
    """Draws with replacement, weighted by the perplexity of each sentence when it was last trained on.

    A sentence not trained on yet counts as `-sample_perplexity_init`. Sentences are drawn uniformly until the
    mean is below that. Sentences above the threshold of `-sample_perplexity_max` weigh 1.
    """

    def __init__(
        self,
        options: SampledDatasetOptions,
        seed: int,
        replicas: Replicas,
        logger: Logger,
        state: Mapping[str, Any] | None,
    ) -> None:
        """`state`: what `to_state` returned, None for a new training."""
        self._options = options
        self._seed = seed
        self._replicas = replicas
        self._logger = logger
        self._state = state
        self._measured: _Measured | None = None
        self._pending: list[tuple[int, Tensor, Tensor, Tensor]] = []

    def draw(self, epoch: int, sentences: int) -> _Indices:
        """See `Sampler.draw`. A resumed epoch gets the sentences that it drew before.

        Raises CheckpointError if the state is that of another number of sentences.
        """
        measured = self._of(sentences)
        self.gather_losses()
        if measured.epoch != epoch:
            weights = self._weights(measured)
            ends = np.cumsum(weights, dtype=np.float64)
            points = _generator(self._seed, epoch).random(self._options.sample) * ends[-1]
            drawn = np.searchsorted(ends, points, side="right")
            measured.drawn = np.sort(np.minimum(drawn, sentences - 1))
            measured.epoch = epoch
        return measured.drawn

    def measure(self, iteration: int, batch: Batch, losses: Tensor) -> None:
        """See `Sampler.measure`. Losses are divided by words; word features count in the loss only."""
        words = batch.src_lengths
        if batch.tgt_output is not None:
            words = (batch.tgt_output[..., 0] != PAD).sum(1)
        self._pending.append((iteration, batch.indices, losses.detach(), words))

    def gather_losses(self) -> None:
        """See `Sampler.merge`; the last loss of a sentence counts, in the order of iterations."""
        mine = [
            (iteration, indices.cpu().numpy(), (losses.double() / words).cpu().numpy())
            for iteration, indices, losses, words in self._pending
        ]
        self._pending = []
        notes = [note for notes in self._replicas.all_gather(mine) for note in notes]
        for _, indices, losses in sorted(notes, key=lambda note: note[0]):
            assert self._measured is not None
            finite = np.isfinite(losses)
            values = np.exp(np.minimum(losses[finite], _LARGEST))
            self._measured.perplexities[indices[finite]] = values

    def to_state(self) -> dict[str, Any] | None:
        """See `Sampler.to_state`."""
        return None if self._measured is None else self._measured.to_state()

    def _of(self, sentences: int) -> _Measured:
        if self._measured is None:
            if self._state is None:
                self._measured = _Measured(np.full(sentences, np.nan, dtype=np.float32))
            else:
                self._measured = _Measured.from_state(self._state, sentences)
        return self._measured

    def _weights(self, measured: _Measured) -> npt.NDArray[np.float64]:
        known = ~np.isnan(measured.perplexities)
        weights = np.where(known, measured.perplexities, self._options.sample_perplexity_init).astype(
            np.float64
        )
        if not measured.started and weights.mean() < self._options.sample_perplexity_init:
            self._logger.info("Beginning to sample by perplexity...")
            measured.started = True
        if not measured.started:
            return np.ones_like(weights)
        threshold = _perplexity_threshold(weights[known], self._options.sample_perplexity_max)
        self._logger.info(f" * perplexities above {threshold:.2f} are taken for noise")
        weights[known & (weights > threshold)] = 1.0
        return weights


def _perplexity_threshold(perplexities: npt.NDArray[np.float64], limit: float) -> float:
    """Return the perplexity above which a sentence is taken for noise: `limit`, if that is positive.

    Otherwise it is the most frequent perplexity (rounded to hundredths) plus -limit standard deviations. The
    deviation is that of the perplexities above the most frequent one, measured from it.
    """
    if limit > 0:
        return limit
    values, counts = np.unique(np.round(perplexities, 2), return_counts=True)
    mode = float(values[np.argmax(counts)])
    above = perplexities[perplexities > mode]
    deviation = math.sqrt(float(((above - mode) ** 2).sum()) / (len(above) - 1)) if len(above) > 1 else 0.0
    return mode - limit * deviation


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return numpy_generator(seed, "sample", epoch)
