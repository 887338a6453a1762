"""What a training run tells while it runs: the report lines, the bar on a terminal, the curves."""

import math
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from onmt.logger import Logger
from onmt.training.phases import Phases
from onmt.training.replicas import Replicas


def perplexity(loss: float, words: int) -> float:
    """exp of the mean loss; infinite where that overflows, or without a word."""
    try:
        return math.exp(loss / words)
    except (OverflowError, ZeroDivisionError):
        return math.inf


class Curves(Protocol):
    """Where figures go that a person may want to see drawn."""

    def add(self, name: str, value: float, step: int) -> None:
        """Record one point of the curve `name`."""

    def close(self) -> None:
        """Write what is pending."""


@dataclass
class _Counts:
    """Since the last report; the loss (0-dim float64) stays on the device until it is read."""

    loss: Tensor | None = None
    words: int = 0
    src_words: int = 0
    since: float = field(default_factory=time.perf_counter)


class Progress:
    """The running account of a training; only the first replica shows a bar."""

    def __init__(
        self,
        logger: Logger,
        replicas: Replicas,
        optimizer_name: str,
        curves: Curves | None,
        phases: Phases,
    ) -> None:
        self.logger = logger
        self.phases = phases
        self._replicas = replicas
        self._optimizer_name = optimizer_name
        self._curves = curves
        self._bar: tqdm[Any] | None = None
        self._counts = _Counts()
        self._epoch = self._iterations = 0
        self._warned = False

    def start_epoch(self, epoch: int, iterations: int, first: int) -> None:
        """Begin an epoch of `iterations` at iteration `first`."""
        self.logger.info("")
        self._epoch, self._iterations = epoch, iterations
        hidden = None if self._replicas.is_first else True  # None: shown on a terminal only
        self._bar = tqdm(
            total=iterations,
            initial=first - 1,
            desc=f"Epoch {epoch}",
            unit="batch",
            leave=False,
            disable=hidden,
        )
        self._counts = _Counts()

    def add(self, loss: Tensor, words: int, src_words: int) -> None:
        """One step: its summed loss (0-dim), the words that the loss is about, the source words read."""
        counts = self._counts
        counts.loss = loss.double() if counts.loss is None else counts.loss + loss
        counts.words += words
        counts.src_words += src_words
        if self._bar is not None:
            self._bar.update()

    def report(self, iteration: int, learning_rate: float) -> None:
        """Log the line of the steps since the last report, if there were any."""
        counts = self._counts
        if counts.loss is None:
            return
        sums = torch.tensor([float(counts.loss), counts.words, counts.src_words], dtype=torch.double)
        loss, words, src_words = self._replicas.sum(sums).tolist()
        speed = src_words / max(time.perf_counter() - counts.since, 1e-9)
        value = perplexity(loss, int(words))
        rate = "" if self._optimizer_name == "adadelta" else f" LR {learning_rate:.6f}"
        self.logger.info(
            f"Epoch {self._epoch} ; Iteration {iteration}/{self._iterations} ; "
            f"Optim {self._optimizer_name.upper()}{rate} ; Source tokens/s {int(speed)} ; Perplexity "
            f"{value:.2f}"
        )
        if math.isnan(loss) and not self._warned:
            self._warned = True
            self.logger.warning(
                "The loss is not a number any more; start again with a smaller -learning_rate or "
                "-max_grad_norm (with -model, optimizer.learning_rate or optimizer.clip_gradients)"
            )
        if self._curves is not None:
            step = (self._epoch - 1) * self._iterations + iteration
            self._curves.add("learning_rate", learning_rate, step)
            self._curves.add("perplexity", value, step)
            self._curves.add("token_per_sec", speed, step)
        self._counts = _Counts()

    def validated(self, name: str, score: float) -> None:
        """Log a validation score; the curve's step is the last iteration of the epoch."""
        self.logger.info(f"Validation {name}: {score:.2f}")
        if self._curves is not None:
            self._curves.add(f"validation_{name}", score, self._epoch * self._iterations)

    def profiled(self) -> None:
        """Log where the time went, if that was measured."""
        summary = self.phases.summary()
        if summary is not None:
            self.logger.info(summary)

    def end_epoch(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Take the bar away, write pending curves."""
        self.end_epoch()
        if self._curves is not None:
            self._curves.close()
