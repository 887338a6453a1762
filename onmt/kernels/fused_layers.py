"""torch's own recurrent layers, cuDNN's on a GPU: a whole sequence in one call, padded or packed.

S steps, B sentences, X features, P positions of all sentences together.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_CUDNN_MODES: Final = {"lstm": 2, "gru": 3}  # of cudnnRNNMode_t


@dataclass(frozen=True)
class Packing:
    """Where positions of sentences of unequal length lie once packed: step by step, longest sentence first.

    batch_sizes: on the CPU, sentences that run in each step; order B: sentences, longest first; ranks B: its
    inverse; places P: step * B + sentence of each packed position.
    """

    batch_sizes: Tensor
    order: Tensor
    ranks: Tensor
    places: Tensor


def pack(lengths: Tensor, host_lengths: Tensor | None, steps: int) -> Packing | None:
    """How to pack sentences of these lengths (B each, on the device and on the CPU) for a GPU.

    None where there is nothing to gain: on the CPU, or without padding (host_lengths None). The indices are
    computed on the device; the host knows their number.
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
    places.scatter_(0, slots, torch.arange(steps * batch, device=device))  # padding falls into the last one
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
    """Rows in another order; `inverse` undoes it."""

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
    """One layer over inputs S B X; kind `lstm` (states c, h) or `gru` (state h), B H each; weights: of inputs
    and state, then their biases.

    Outputs S B H and the states at the end. With `packing` each sentence ends at its own length, and outputs
    after it are zero.
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
    """torch.lstm or torch.gru, which take a padded or a packed sequence."""
    settings: Any = (True, 1, 0.0, torch.is_grad_enabled(), False, *batch_first)
    layer: Any = torch.lstm if kind == "lstm" else torch.gru
    if kind == "lstm":
        c, h = states
        outputs, h, c = layer(*sequence, [h[None], c[None]], weights, *settings)
        return outputs, (c.squeeze(0), h.squeeze(0))
    outputs, h = layer(*sequence, states[0][None], weights, *settings)
    return outputs, (h.squeeze(0),)


def in_one_chunk(weights: list[Tensor]) -> list[Tensor]:
    """Views of one new tensor, as cuDNN wants a layer's weights; it would otherwise copy each of them."""
    chunk = torch.cat([weight.reshape(-1) for weight in weights])
    parts = chunk.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]


def move_into_one_chunk(kind: str, weights: list[Tensor]) -> None:
    """Let a layer's weights on a GPU share one piece of memory, so that cuDNN takes them as they are.

    weights: of inputs (G I) and state (G H), and their biases, which stay the same tensors with the same
    values. Does nothing without cuDNN.
    """
    flatten = getattr(torch, "_cudnn_rnn_flatten_weight", None)
    first = weights[0]
    if flatten is None or first.device.type != "cuda" or not torch.backends.cudnn.is_acceptable(first):
        return
    inputs, hidden = weights[0].shape[1], weights[1].shape[1]
    with torch.no_grad(), torch.cuda.device_of(first):
        flatten(weights, len(weights), inputs, _CUDNN_MODES[kind], hidden, 0, 1, False, False)
