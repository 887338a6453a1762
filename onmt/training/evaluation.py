"""Measuring a model on the validation data."""

from collections.abc import Callable, Iterable
from typing import Protocol

import torch

from onmt.data.batch import Batch
from onmt.models.base import Model
from onmt.training.progress import perplexity


class Evaluator(Protocol):
    """A metric on a fixed set of sentences. `name` is how the log calls it."""

    name: str

    def score(self, model: Model, epoch: int, between_batches: Callable[[], None]) -> float:
        """The model's score; `between_batches` is called often, and may raise to stop."""


class LossEvaluator:
    """Perplexity, or the mean loss per word (its logarithm), of the validation set; without dropout or
    sampling."""

    def __init__(self, batches: Iterable[Batch], logarithm: bool) -> None:
        self.name = "loss" if logarithm else "perplexity"
        self._batches = batches
        self._logarithm = logarithm

    def score(self, model: Model, epoch: int, between_batches: Callable[[], None]) -> float:
        """See `Evaluator.score`."""
        words = 0
        losses = []
        with torch.inference_mode():
            for batch in self._batches:
                measured = model.loss(batch, None)
                losses.append(measured.total.double())
                words += measured.words
                between_batches()
        total = float(torch.stack(losses).sum())
        return total / words if self._logarithm else perplexity(total, words)
