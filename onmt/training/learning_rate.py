"""The learning rate: decay by epoch and score (onmt/train/Optim.lua), and schedules by step."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from onmt.errors import CheckpointError
from onmt.training.options import Metric, OptimOptions

HIGHER_IS_BETTER: Final[frozenset[Metric]] = frozenset({"bleu"})


class Schedule(Protocol):
    """A learning rate that depends on the number of updates."""

    def after(self, steps: int) -> float:
        """The rate of the next update when this many have been made."""


@dataclass(frozen=True)
class InverseRootSchedule:
    """rate * min(t / warmup, sqrt(warmup / t)) for update t, counted from 1 (after Vaswani et al. 2017)."""

    rate: float
    warmup: int

    def after(self, steps: int) -> float:
        """See `Schedule.after`."""
        step = steps + 1
        return self.rate * min(step / self.warmup, math.sqrt(self.warmup / step))


@dataclass
class LearningRate:
    """The learning rate of the next step, with what the decay rules remember.

    Lua forgets the last score and the latch when training is continued from a file; here they are part of
    it, so a continued training decays where an uninterrupted one does.
    """

    value: float
    last_score: float | None = None
    decaying: bool = False
    metric: Metric = "perplexity"
    """Of the last score; scores of another metric cannot be compared with it."""

    def after_epoch(self, options: OptimOptions, metric: Metric, epoch: int, score: float | None) -> bool:
        """Apply the decay rules after `epoch` (from 1) with its score; says whether the rate decayed.

        `score` is None without validation data: no rule by score then applies.
        """
        if metric != self.metric:
            self.last_score, self.metric = None, metric
        by_epoch = epoch >= options.start_decay_at
        by_score = self._disappointing(score, metric, options.start_decay_score_delta)
        if score is None or not math.isnan(score):  # nothing can be compared with it
            self.last_score = score
        if options.decay == "score_only":
            decay = by_score
        elif options.decay == "epoch_only":
            decay = by_epoch
        else:
            self.decaying = self.decaying or by_epoch or by_score
            decay = self.decaying
        if decay:
            self.value *= options.learning_rate_decay
        return decay

    def _disappointing(self, score: float | None, metric: Metric, delta: float) -> bool:
        if score is not None and not math.isfinite(score):
            return True
        if score is None or self.last_score is None:
            return False
        if metric in HIGHER_IS_BETTER:
            return score < self.last_score + delta
        return score > self.last_score - delta

    def to_state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "LearningRate":
        """Inverse of `to_state`. Raises CheckpointError for anything else."""
        try:
            return cls(**state)
        except TypeError as error:
            raise CheckpointError(f"the learning rate of the checkpoint is malformed: {error}") from error
