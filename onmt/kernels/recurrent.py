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

from onmt.kernels.cells import STEPS, CellSteps


def mask_at(mask: Tensor | None, step: int) -> Tensor | None:
    """The part of a mask (1 or T, B, H) for one step, B H: the same one for all if there is only one."""
    if mask is None:
        return None
    return mask[step if mask.shape[0] > 1 else 0]


def read_output(
    steps: CellSteps, t: int, mask: Tensor | None, previous: Tensor, narrow: Tensor
) -> tuple[Tensor, Tensor]:
    """The output before step t as the cell reads it, B H, in its own and in the factors' format.

    Both are views of the buffers, T B H each, that keep them for the backward pass: `previous` is used only
    under a mask, `narrow` only where the formats differ.
    """
    read = steps.outputs[t]
    if mask is not None:
        at = mask_at(mask, t)
        assert at is not None
        read = torch.mul(read, at, out=previous[t])
    return read, (read if narrow.dtype == read.dtype else narrow[t].copy_(read))


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
        steps = STEPS[kind](projected.clone(), weight, bias_hh, states)
        previous, narrow = read_buffers(steps, recurrent_mask, weight.dtype)
        for t in range(len(projected)):
            read = read_output(steps, t, recurrent_mask, previous, narrow)
            steps.forward(t, *read, None if keep is None else keep[t])
        ctx.run = steps, previous, narrow, keep, recurrent_mask
        return (steps.outputs[1:].clone(), *(state.clone() for state in steps.states()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor, *grad_states: Tensor) -> tuple[Tensor | None, ...]:
        steps, previous, narrow, keep, recurrent_mask = ctx.run
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


def read_buffers(steps: CellSteps, mask: Tensor | None, narrow: torch.dtype) -> tuple[Tensor, Tensor]:
    """Where `read_output` keeps what it read, T B H: new memory only where it is needed."""
    outputs = steps.outputs[:-1]
    previous = outputs if mask is None else torch.empty_like(outputs)
    return previous, (previous if narrow == outputs.dtype else torch.empty_like(outputs, dtype=narrow))
