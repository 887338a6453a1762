"""Recurrent layers: torch's own (cuDNN on a GPU), padded or packed, and ours with a hand-derived gradient.

torch's layers support no mask on the recurrent connection, and stop at each sentence's end only if sequences
are packed. Our function supports both. Its plain twin is the step-by-step loop in onmt/modules/rnn.py; tests
hold them equal.

Shapes, time-major: T or S steps, B sentences, H hidden, G width of the gates, X features, P positions of all
sentences together. `recurrent_mask` (1 or T, B, H) multiplies the previous output wherever the cell reads it.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from onmt.kernels.cells import CellSteps
from onmt.kernels.fused_cells import steps_of

_CUDNN_MODES: Final = {"lstm": 2, "gru": 3}  # of cudnnRNNMode_t


@dataclass(frozen=True)
class Packing:
    """The order of packed positions of sentences of unequal length: step by step, longest sentence first."""

    batch_sizes: Tensor
    order: Tensor
    ranks: Tensor
    places: Tensor


def pack(lengths: Tensor, host_lengths: Tensor | None, steps: int) -> Packing | None:
    """Return the packing for a GPU of sentences of these lengths (B each, on the device and on the CPU).

    None on the CPU, without padding (host_lengths None), or if a sentence is empty. The indices are computed
    on the device; the host knows their number without waiting for it.
    """
    if host_lengths is None or lengths.device.type == "cpu" or int(host_lengths.min()) < 1:
        return None
    batch, device = len(lengths), lengths.device
    longest, total = int(host_lengths.max()), int(host_lengths.sum())
    batch_sizes = (host_lengths > torch.arange(longest)[:, None]).sum(1)
    order = torch.argsort(lengths, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(0, order, torch.arange(batch, device=device))
    running = torch.arange(steps, device=device)[:, None] < lengths
    ends = running.sum(1).cumsum(0)
    slots = torch.where(running, (ends - running.sum(1))[:, None] + ranks, total).flatten()
    places = torch.empty(total + 1, dtype=torch.int64, device=device)
    places.scatter_(0, slots, torch.arange(steps * batch, device=device))  # padding goes to the last place
    return Packing(batch_sizes, order, ranks, places[:total])


class _Pack(torch.autograd.Function):
    """S B X -> P X."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, places: Tensor) -> Tensor:
        ctx.places, ctx.shape = places, padded.shape
        return padded.flatten(0, 1).index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _spread(grad, ctx.places, ctx.shape), None


class _Unpack(torch.autograd.Function):
    """P X -> S B X, zero at padding."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, places: Tensor, steps: int, batch: int) -> Tensor:
        ctx.places = places
        return _spread(packed, places, (steps, batch, packed.shape[1]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad.flatten(0, 1).index_select(0, ctx.places), None, None, None


class _Permute(torch.autograd.Function):
    """Reorder rows; `inverse` is the inverse of `order`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.inverse = inverse
        return rows.index_select(0, order)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad.index_select(0, ctx.inverse), None, None


def _spread(packed: Tensor, places: Tensor, shape: tuple[int, ...]) -> Tensor:
    rows = packed.new_zeros(shape[0] * shape[1], shape[2])
    return rows.index_copy_(0, places, packed).view(shape)


def run_layer(
    kind: str, inputs: Tensor, states: tuple[Tensor, ...], weights: list[Tensor], packing: Packing | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one layer over inputs S B X; return the outputs S B H and the final states.

    kind: `lstm` (states c, h) or `gru` (state h), B H each; weights: weight_ih, weight_hh, then their biases.
    With `packing` each sentence ends at its own length, and outputs after its end are zero.
    """
    if packing is None:
        outputs, final = _call(kind, (inputs,), states, weights, (False,))
        return outputs, final
    order, ranks = packing.order, packing.ranks
    own = tuple(_Permute.apply(state, order, ranks) for state in states)
    packed = _Pack.apply(inputs, packing.places)
    outputs, final = _call(kind, (packed, packing.batch_sizes), own, weights, ())
    padded = _Unpack.apply(outputs, packing.places, *inputs.shape[:2])
    return padded, tuple(_Permute.apply(state, ranks, order) for state in final)


def _call(
    kind: str,
    sequence: tuple[Tensor, ...],
    states: tuple[Tensor, ...],
    weights: list[Tensor],
    batch_first: tuple[bool, ...],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Call torch.lstm or torch.gru, with a padded or a packed sequence."""
    settings: Any = (True, 1, 0.0, torch.is_grad_enabled(), False, *batch_first)
    layer: Any = torch.lstm if kind == "lstm" else torch.gru
    if kind == "lstm":
        c, h = states
        outputs, h, c = layer(*sequence, [h[None], c[None]], weights, *settings)
        return outputs, (c.squeeze(0), h.squeeze(0))
    outputs, h = layer(*sequence, states[0][None], weights, *settings)
    return outputs, (h.squeeze(0),)


def in_one_chunk(weights: list[Tensor]) -> list[Tensor]:
    """Copy weights into one new tensor and return views of it: otherwise cuDNN copies each weight by
    itself.
    """
    chunk = torch.cat([weight.reshape(-1) for weight in weights])
    parts = chunk.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]


def move_into_one_chunk(kind: str, weights: list[Tensor]) -> None:
    """Move a layer's weights on a GPU into one block of memory, so that cuDNN uses them without a copy.

    weights: weight_ih (G I), weight_hh (G H), and their biases. All stay the same tensors with the same
    values. Does nothing without cuDNN.
    """
    flatten = getattr(torch, "_cudnn_rnn_flatten_weight", None)
    first = weights[0]
    if flatten is None or first.device.type != "cuda" or not torch.backends.cudnn.is_acceptable(first):
        return
    inputs, hidden = weights[0].shape[1], weights[1].shape[1]
    with torch.no_grad(), torch.cuda.device_of(first):
        flatten(weights, len(weights), inputs, _CUDNN_MODES[kind], hidden, 0, 1, False, False)


def mask_at(mask: Tensor | None, step: int) -> Tensor | None:
    """The part of a mask (1 or T, B, H) for one step, B H. A mask of size 1 serves all steps."""
    if mask is None:
        return None
    return mask[step if mask.shape[0] > 1 else 0]


class Readings:
    """Previous outputs as the cell reads them, masked and in the dtype of the products' factors, kept for the
    backward pass. They take new memory only where they differ from the outputs.
    """

    def __init__(
        self, cells: CellSteps, mask: Tensor | None, like: Tensor, steps: int, dtype: torch.dtype
    ) -> None:
        """mask: 1 or T, B, H; like: an output, B H; dtype: that of the factors."""
        self._cells = cells
        self._mask = mask
        shape = (steps, *like.shape)
        self._masked = None if mask is None else like.new_empty(shape)
        self._narrow = None if dtype == like.dtype else like.new_empty(shape, dtype=dtype)

    def at(self, t: int) -> tuple[Tensor, Tensor]:
        """The previous output that step t reads, B H, in the outputs' and in the factors' dtype."""
        read = self._cells.output(t)
        mask = mask_at(self._mask, t)
        if mask is not None:
            assert self._masked is not None
            read = torch.mul(read, mask, out=self._masked[t])
        return read, (read if self._narrow is None else self._narrow[t].copy_(read))

    def all(self) -> tuple[Tensor, Tensor]:
        """The previous outputs that all steps read, T B H, in both dtypes; available after the last step."""
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
        """Return the outputs T B H and the last states except the output.

        dtype: that of the products' factors (None: of the weight); projected: T B G, the gates' input part;
        bias_hh: G for the cell `gru`, else None; keep: T B 1; states: B H each.
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
