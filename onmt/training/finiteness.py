"""Losses, gradients and parameters that are not finite: skipped, told, and never saved.

The decision about a step stays on the device, see `Optimizer.step`; it is read with the reports.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from onmt.errors import OnmtError
from onmt.logger import Logger
from onmt.models.loading import first_not_finite
from onmt.training.distributed import Replicas

_MOST_IN_A_ROW: Final = 10
"""So many skipped steps in a row end a training."""

_ADVICE: Final = (
    "start again with a smaller -learning_rate or -max_grad_norm (with -model, optimizer.learning_rate or "
    "optimizer.clip_gradients)"
)
_UNREAD: Final = {"cpu": 1}  # steps between two looks where looking is free
_UNREAD_ELSEWHERE: Final = 1000
_TOLD: Final = 20  # skipped steps that are told one by one between two reports


class NotFiniteError(OnmtError):
    """A training whose numbers are not finite any more; what was saved before is as it was."""


@dataclass(frozen=True)
class Attempt:
    """A step that was taken unless something was not finite.

    norm: of the gradients, 0-dim; finite: whether the step was taken, 0-dim; indices (B; None without a
    batch), loss (0-dim), words: of this replica's batch; lowered: whether an overflow lowered the loss scale,
    0-dim, None without one.
    """

    epoch: int
    iteration: int
    indices: Tensor | None
    learning_rate: float
    loss: Tensor
    norm: Tensor
    finite: Tensor
    words: int
    lowered: Tensor | None = None


class SkippedSteps:
    """Tells which steps were skipped. All replicas must record and read at the same steps."""

    def __init__(self, replicas: Replicas, logger: Logger, device: torch.device) -> None:
        self.in_a_row = 0
        """Up to the last step that was read."""
        self._words = 0
        self._told = 0
        self._replicas = replicas
        self._logger = logger
        self._unread = _UNREAD.get(device.type, _UNREAD_ELSEWHERE)
        self._attempts: list[Attempt] = []

    def record(self, attempt: Attempt) -> None:
        """Take note of a step; waits for the device only where that costs nothing, or after very many."""
        self._attempts.append(attempt)
        if len(self._attempts) >= self._unread:
            self.read()

    def read(self, loss: Tensor | None = None) -> float | None:
        """Log the steps skipped since the last call. Raises NotFiniteError after MOST_IN_A_ROW.

        loss: a float64 scalar to read at the same time, so that the host waits once; its value is returned.
        """
        attempts, self._attempts = self._attempts, []
        finite = [attempt.finite for attempt in attempts]
        lowered = [attempt.finite if attempt.lowered is None else attempt.lowered for attempt in attempts]
        values = [flag.double() for flag in (*finite, *lowered)] + ([] if loss is None else [loss])
        if not values:
            return None
        numbers = torch.stack(values).tolist()
        count = len(attempts)
        flags = zip(attempts, numbers[:count], numbers[count : 2 * count], strict=True)
        self._judge((attempt, bool(taken), bool(fell)) for attempt, taken, fell in flags)
        return None if loss is None else float(numbers[-1])

    def _judge(self, attempts: Iterable[tuple[Attempt, bool, bool]]) -> None:
        """Attempts, whether each was taken, and whether it lowered the loss scale."""
        for attempt, finite, lowered in attempts:
            if finite:
                self.in_a_row = 0
                continue
            self._words += attempt.words
            told = self._describe(attempt)
            if lowered:  # says nothing about the model: the next step has a smaller scale
                self._tell(told, "the loss scale of -fp16 was too large and is halved")
                continue
            self.in_a_row += 1
            if self.in_a_row == _MOST_IN_A_ROW:
                raise NotFiniteError(
                    f"{_MOST_IN_A_ROW} steps in a row had a loss or a gradient that is not finite, the last "
                    f"one was {told}; {_ADVICE}"
                )
            self._tell(told, "its loss or gradient is not finite")

    def take_words(self) -> int:
        """The number of this replica's words that were skipped since the last call."""
        words, self._words, self._told = self._words, 0, 0
        return words

    def _tell(self, told: str, reason: str) -> None:
        self._told += 1
        if self._told <= _TOLD:
            self._logger.warning(f"Skipped a step, {reason}: {told}")
        if self._told == _TOLD:
            self._logger.warning("More skipped steps up to the next report are not told")

    def _describe(self, attempt: Attempt) -> str:
        mine = [] if attempt.indices is None else attempt.indices.tolist()
        lines = sorted(index + 1 for indices in self._replicas.gather(mine) for index in indices)
        return (
            f"epoch {attempt.epoch}, iteration {attempt.iteration} (lines {_ranges(lines)} of the data as it "
            f"is stored, learning rate {attempt.learning_rate:g}, loss {float(attempt.loss):g}, "
            f"gradient norm {float(attempt.norm):g})"
        )


def require_finite(tensors: Mapping[str, Tensor], replicas: Replicas, last_saved: str) -> None:
    """Raise NotFiniteError, on all replicas, if a tensor of one of them has a number that is not finite."""
    name = first_not_finite(tensors)
    if replicas.largest(int(name is not None)):
        where = f"'{name}'" if name is not None else "the model of another replica"
        raise NotFiniteError(f"not saved: {where} has numbers that are not finite{last_saved}; {_ADVICE}")


def _ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers as `3-7, 9`; the first few ranges only."""
    parts = [f"{first}-{last}" if last > first else str(first) for first, last in _runs(numbers)]
    return ", ".join(parts if len(parts) <= 8 else [*parts[:7], "..."])


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if last is not None and number <= last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


_INITIAL: Final = 2.0**16
_SMALLEST: Final = 1.0
_LARGEST: Final = 2.0**24
_PATIENCE: Final = 2000  # steps without overflow before the scale is doubled


class LossScale:
    """A factor of the loss that grows until gradients overflow (Micikevicius et al. 2018).

    Scale and counter stay on the device: nothing waits for it. An overflow halves the scale; the optimiser
    skips the step, as every step whose gradients are not finite.
    """

    def __init__(self, device: torch.device, state: Mapping[str, Any] | None) -> None:
        """state: what `to_state` gave, None at the start of a training."""
        scale, steps = (_INITIAL, 0) if state is None else (state["scale"], state["steps"])
        self.scale = torch.full((), float(scale), device=device)
        self._steps = torch.full((), int(steps), device=device)

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to compute gradients of."""
        return loss * self.scale

    def divisor(self, divisor: float | Tensor) -> Tensor:
        """The divisor of the scaled loss's gradients, where `divisor` is that of the loss."""
        return self.scale * divisor

    def update(self, norm: Tensor) -> Tensor:
        """Choose the next step's scale by the norm of this step's gradients (0-dim).

        Returns whether an overflow lowered the scale, 0-dim; false where the scale was the smallest already.
        """
        overflow = ~torch.isfinite(norm)
        lowered = overflow & (self.scale > _SMALLEST)
        steps = torch.where(overflow, 0, self._steps + 1)
        grown = torch.where(steps >= _PATIENCE, self.scale * 2, self.scale)
        self.scale = torch.where(overflow, self.scale / 2, grown).clamp(_SMALLEST, _LARGEST)
        self._steps = torch.where(steps >= _PATIENCE, 0, steps)
        return lowered

    def to_state(self) -> dict[str, Any]:
        """Plain values for a checkpoint; waits for the device."""
        return {"scale": float(self.scale), "steps": int(self._steps)}
