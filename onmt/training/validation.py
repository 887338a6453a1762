"""The history of validation scores: the best one, its age, and the models of epochs worth keeping."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from onmt.errors import CheckpointError
from onmt.training.learning_rate import HIGHER_IS_BETTER
from onmt.training.options import Metric


@dataclass
class ValidationHistory:
    """The scores of a training by one metric.

    best: None before the first finite score; since_best: validations since then; scores: by file name, those
    of the models of epochs that this training may remove.
    """

    metric: Metric = "perplexity"
    best: float | None = None
    since_best: int = 0
    scores: dict[str, float] = field(default_factory=dict)

    def record(self, metric: Metric, score: float | None) -> bool:
        """Take in a score, None if nothing was validated; says whether it is the best so far."""
        if metric != self.metric:  # scores of two metrics cannot be compared
            self.metric, self.best, self.since_best, self.scores = metric, None, 0, {}
        if score is None:
            return False
        if math.isfinite(score) and (self.best is None or self._is_better(score, self.best)):
            self.best, self.since_best = score, 0
            return True
        self.since_best += 1
        return False

    def best_models(self, count: int) -> list[str]:
        """The names of the best models of epochs, the best first; of equal ones the earlier."""
        finite = [name for name, score in self.scores.items() if math.isfinite(score)]
        sign = -1 if self.metric in HIGHER_IS_BETTER else 1
        return sorted(finite, key=lambda name: sign * self.scores[name])[:count]

    def _is_better(self, score: float, other: float) -> bool:
        return score > other if self.metric in HIGHER_IS_BETTER else score < other

    def to_state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "ValidationHistory":
        """Inverse of `to_state`. Raises CheckpointError for anything else."""
        try:
            return cls(**state)
        except TypeError as error:
            raise CheckpointError(f"the scores of the checkpoint are malformed: {error}") from error
