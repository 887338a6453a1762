"""Hand-derived LSTM and GRU over a padded sequence.

torch's own fused layers know no per-sentence end and no mask on the recurrent connection; these do. The plain
twin of each function is the step-by-step loop in `onmt.modules.rnn`; the tests hold them equal. Time-major
throughout: S steps, B batch, H hidden. `keep` is S B 1, 1.0 where a sentence still runs and 0.0 after its
end: there the states stay as they were. `recurrent_mask` (1 or S, B, H) multiplies the previous output
wherever the cell reads it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def mask_at(mask: Tensor | None, step: int) -> Tensor | None:
    """The part of a mask (1 or S, B, H) for one step, B H: the same one for all if there is only one."""
    if mask is None:
        return None
    return mask[step if mask.shape[0] > 1 else 0]


class LstmSequence(torch.autograd.Function):
    """h_t = o * tanh(c_t), c_t = f * c_{t-1} + i * g (Hochreiter, Schmidhuber 1997); gate rows i, f, g, o."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        weight_hh: Tensor,
        h: Tensor,
        c: Tensor,
        keep: Tensor | None,
        recurrent_mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """projected S B 4H (input part of the gates, biases included), h and c B H -> outputs S B H, last
        cell B H.
        """
        steps, batch, width = projected.shape
        hidden = width // 4
        gates = projected.clone()
        outputs = projected.new_empty(steps + 1, batch, hidden)
        cells = projected.new_empty(steps + 1, batch, hidden)
        squashed = projected.new_empty(steps, batch, hidden)
        outputs[0], cells[0] = h, c
        transposed = weight_hh.t()
        for t in range(steps):
            mask = mask_at(recurrent_mask, t)
            gate = gates[t]
            gate.addmm_(outputs[t] if mask is None else outputs[t] * mask, transposed)
            gate[:, : 2 * hidden].sigmoid_()
            gate[:, 2 * hidden : 3 * hidden].tanh_()
            gate[:, 3 * hidden :].sigmoid_()
            i, f, g, o = gate.split(hidden, 1)
            cell = torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, g)
            torch.tanh(cell, out=squashed[t])
            output = torch.mul(o, squashed[t], out=outputs[t + 1])
            if keep is not None:
                cell.copy_(torch.lerp(cells[t], cell, keep[t]))
                output.copy_(torch.lerp(outputs[t], output, keep[t]))
        ctx.save_for_backward(gates, weight_hh, outputs, cells, squashed, keep, recurrent_mask)
        return outputs[1:].clone(), cells[steps].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor, grad_cell: Tensor) -> tuple[Tensor | None, ...]:
        gates, weight_hh, outputs, cells, squashed, keep, recurrent_mask = ctx.saved_tensors
        steps, batch, width = gates.shape
        hidden = width // 4
        grads = torch.empty_like(gates)
        grad_h = gates.new_zeros(batch, hidden)
        grad_c = grad_cell
        for t in range(steps - 1, -1, -1):
            grad_h = grad_h + grad_outputs[t]
            frozen_h = frozen_c = None
            if keep is not None:
                frozen_h, frozen_c = grad_h * (1 - keep[t]), grad_c * (1 - keep[t])
                grad_h, grad_c = grad_h * keep[t], grad_c * keep[t]
            i, f, g, o = gates[t].split(hidden, 1)
            grad_i, grad_f, grad_g, grad_o = grads[t].split(hidden, 1)
            torch.mul(grad_h * squashed[t], o * (1 - o), out=grad_o)
            grad_c = torch.addcmul(grad_c, grad_h * o, 1 - squashed[t].square())
            torch.mul(grad_c * g, i * (1 - i), out=grad_i)
            torch.mul(grad_c * cells[t], f * (1 - f), out=grad_f)
            torch.mul(grad_c * i, 1 - g.square(), out=grad_g)
            grad_c = grad_c * f
            grad_h = grads[t] @ weight_hh
            mask = mask_at(recurrent_mask, t)
            if mask is not None:
                grad_h = grad_h * mask
            if frozen_h is not None and frozen_c is not None:
                grad_h, grad_c = grad_h + frozen_h, grad_c + frozen_c
        previous = outputs[:-1] if recurrent_mask is None else outputs[:-1] * recurrent_mask
        grad_weight = grads.reshape(-1, width).t() @ previous.reshape(-1, hidden)
        return grads, grad_weight, grad_h, grad_c, None, None


class GruSequence(torch.autograd.Function):
    """n = tanh(x_n + r * (W_n h + b_n)), h' = n + z * (h - n) (Cho et al. 2014, reset after the product),
    rows r, z, n.
    """

    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        weight_hh: Tensor,
        bias_hh: Tensor,
        h: Tensor,
        keep: Tensor | None,
        recurrent_mask: Tensor | None,
    ) -> Tensor:
        """projected S B 3H (input part of the gates, its bias included), h B H -> outputs S B H."""
        steps, batch, width = projected.shape
        hidden = width // 3
        gates = projected.clone()
        candidates = projected.new_empty(steps, batch, hidden)
        outputs = projected.new_empty(steps + 1, batch, hidden)
        outputs[0] = h
        transposed = weight_hh.t()
        for t in range(steps):
            mask = mask_at(recurrent_mask, t)
            previous = outputs[t] if mask is None else outputs[t] * mask
            recurrent = torch.addmm(bias_hh, previous, transposed)
            gate = gates[t]
            gate[:, : 2 * hidden].add_(recurrent[:, : 2 * hidden]).sigmoid_()
            r, z, n = gate.split(hidden, 1)
            candidates[t] = recurrent[:, 2 * hidden :]
            n.addcmul_(r, candidates[t]).tanh_()
            output = torch.lerp(n, previous, z)
            outputs[t + 1] = output if keep is None else torch.lerp(outputs[t], output, keep[t])
        ctx.save_for_backward(gates, weight_hh, candidates, outputs, keep, recurrent_mask)
        return outputs[1:].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        gates, weight_hh, candidates, outputs, keep, recurrent_mask = ctx.saved_tensors
        steps, batch, width = gates.shape
        hidden = width // 3
        grads = torch.empty_like(gates)
        recurrent_grads = torch.empty_like(gates)
        grad_h = gates.new_zeros(batch, hidden)
        for t in range(steps - 1, -1, -1):
            grad_h = grad_h + grad_outputs[t]
            frozen = None
            if keep is not None:
                frozen = grad_h * (1 - keep[t])
                grad_h = grad_h * keep[t]
            mask = mask_at(recurrent_mask, t)
            previous = outputs[t] if mask is None else outputs[t] * mask
            r, z, n = gates[t].split(hidden, 1)
            grad_r, grad_z, grad_n = grads[t].split(hidden, 1)
            torch.mul(grad_h * (previous - n), z * (1 - z), out=grad_z)
            torch.mul(grad_h * (1 - z), 1 - n.square(), out=grad_n)
            torch.mul(grad_n * candidates[t], r * (1 - r), out=grad_r)
            recurrent_grads[t, :, : 2 * hidden] = grads[t, :, : 2 * hidden]
            recurrent_grads[t, :, 2 * hidden :] = grad_n * r
            grad_h = torch.addmm(grad_h * z, recurrent_grads[t], weight_hh)
            if mask is not None:
                grad_h = grad_h * mask
            if frozen is not None:
                grad_h = grad_h + frozen
        previous = outputs[:-1] if recurrent_mask is None else outputs[:-1] * recurrent_mask
        flat = recurrent_grads.reshape(-1, width)
        return grads, flat.t() @ previous.reshape(-1, hidden), flat.sum(0), grad_h, None, None
