"""Dynamic loss scaling, so that small gradients survive in 16-bit floats."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

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
