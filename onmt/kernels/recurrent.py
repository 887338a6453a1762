"""A recurrent layer over a padded sequence, as one function with a hand-derived gradient.

torch's own fused layers know no per-sentence end and no mask on the recurrent connection; this one does. The
plain twin is the step-by-step loop in `onmt.modules.rnn`; the tests hold both equal. Time-major throughout: T
steps, B batch, H hidden, G width of the gates. `recurrent_mask` (1 or T, B, H) multiplies the previous output
wherever the cell reads it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from onmt.kernels.cells import CellSteps
from onmt.kernels.fused_cells import steps_of


def mask_at(mask: Tensor | None, step: int) -> Tensor | None:
    """The part of a mask (1 or T, B, H) for one step, B H: the same one for all if there is only one."""
    if mask is None:
        return None
    return mask[step if mask.shape[0] > 1 else 0]


class Readings:
    """Previous outputs as the cell reads them, under a mask and in the format of the products' factors, kept
    for the backward pass: in new memory only where they differ from the outputs.
    """

    def __init__(
        self, cells: CellSteps, mask: Tensor | None, like: Tensor, steps: int, dtype: torch.dtype
    ) -> None:
        """mask 1 or T, B, H; like B H: an output; dtype: format of the factors."""
        self._cells = cells
        self._mask = mask
        shape = (steps, *like.shape)
        self._masked = None if mask is None else like.new_empty(shape)
        self._narrow = None if dtype == like.dtype else like.new_empty(shape, dtype=dtype)

    def at(self, t: int) -> tuple[Tensor, Tensor]:
        """What step t reads, B H, in the outputs' and in the factors' format."""
        read = self._cells.output(t)
        mask = mask_at(self._mask, t)
        if mask is not None:
            assert self._masked is not None
            read = torch.mul(read, mask, out=self._masked[t])
        return read, (read if self._narrow is None else self._narrow[t].copy_(read))

    def all(self) -> tuple[Tensor, Tensor]:
        """What all steps read, T B H, in both formats; after the last step."""
        read = self._cells.all_outputs()[:-1] if self._masked is None else self._masked
        return read, (read if self._narrow is None else self._narrow)


class RecurrentSequence(torch.autograd.Function):
    """All steps of one layer whose cell is in `cells.STEPS`."""

    @staticmethod
    def forward(
        ctx: Any,
        kind: str,
        dtype: torch.dtype | None,
        projected: Tensor,
        weight_hh: Tensor,
        bias_hh: Tensor | None,
        keep: Tensor | None,
        recurrent_mask: Tensor | None,
        *states: Tensor,
    ) -> tuple[Tensor, ...]:
        """dtype: format of the products' factors; projected T B G, the gates' input part; bias_hh G for the
        cell `gru`, else None; keep T B 1; states B H each -> outputs T B H, the last states but the output.
        """
        weight = weight_hh if dtype is None else weight_hh.to(dtype)
        steps = steps_of(kind, projected.clone(), weight, bias_hh, states)
        readings = Readings(steps, recurrent_mask, states[-1], len(projected), weight.dtype)
        for t in range(len(projected)):
            steps.forward(t, *readings.at(t), None if keep is None else keep[t])
        ctx.run = steps, readings, keep, recurrent_mask
        return (steps.all_outputs()[1:].clone(), *(state.clone() for state in steps.states()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor, *grad_states: Tensor) -> tuple[Tensor | None, ...]:
        steps, readings, keep, recurrent_mask = ctx.run
        previous, narrow = readings.all()
        steps.start_backward(previous, keep, grad_states)
        grad = torch.zeros_like(grad_outputs[0])
        for t in range(len(grad_outputs) - 1, -1, -1):
            grad = grad + grad_outputs[t]
            through = steps.backward(t, grad)
            mask = mask_at(recurrent_mask, t)
            if mask is not None:
                through.mul_(mask)
            grad = through if keep is None else through.addcmul_(grad, 1 - keep[t])
        weight_grads = steps.weight_grads(narrow)
        return None, None, steps.input_grads, *weight_grads, None, None, *steps.state_grads(), grad
