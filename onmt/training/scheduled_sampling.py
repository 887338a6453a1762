"""How the chance of feeding the gold previous word falls from epoch to epoch (Bengio et al. 2015)."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScheduledSampling:
    """`initial`: chance of the gold word in epoch 1, falling by `rate` as `decay` says.

    With i = epoch - 1: `linear` max(0, initial - i rate); `invsigmoid` initial k / (k + exp(i / k) - 1), k
    = rate. `scope`: whether the coin falls for each word or once per sentence.
    """

    initial: float = 1.0
    scope: Literal["token", "sentence"] = "token"
    decay: Literal["linear", "invsigmoid"] = "linear"
    rate: float = 0.0

    def gold_probability(self, epoch: int) -> float:
        """In this epoch (from 1). A rate of 0 keeps the initial value."""
        done = epoch - 1
        if self.rate == 0:
            return self.initial
        if self.decay == "linear":
            return min(1.0, max(0.0, self.initial - done * self.rate))
        try:
            growth = math.exp(done / self.rate)
        except OverflowError:
            return 0.0
        return min(1.0, self.initial * self.rate / (self.rate + growth - 1))
