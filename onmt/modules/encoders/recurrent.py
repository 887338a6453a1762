"""Recurrent encoders: one stack, two independent stacks, and GNMT's mixture (OpenNMT-lua Encoder, BiEncoder,
GoogleEncoder).
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from onmt.kernels.fused_layers import Packing, pack
from onmt.models.encoder_spec import Merge, RecurrentEncoderSpec
from onmt.models.recurrent_spec import StackSpec
from onmt.modules.encoding import Encoding, HostLengths, padding_mask
from onmt.modules.noise import Noise
from onmt.modules.rnn import RecurrentStack, States


def reverse(sequence: Tensor, lengths: Tensor | None) -> Tensor:
    """sequence S B X with each sentence's own positions in reverse order; its padding stays where it is. Its
    own inverse.
    """
    if lengths is None:
        return sequence.flip(0)
    positions = torch.arange(sequence.shape[0], device=lengths.device)[:, None]
    order = torch.where(positions < lengths, lengths - 1 - positions, positions)
    return sequence.gather(0, order[..., None].expand_as(sequence))


def merge(forward: Tensor, backward: Tensor, how: Merge) -> Tensor:
    """Join what the two directions computed, forward first."""
    return torch.cat([forward, backward], dim=-1) if how == "concat" else forward + backward


def direction(stack: StackSpec, how: Merge) -> StackSpec:
    """The stack of one direction: half as wide where the two are concatenated."""
    if how != "concat":
        return stack
    cell = replace(stack.cell, projection=stack.cell.projection // 2)
    return replace(stack, cell=cell, hidden_size=stack.hidden_size // 2)


class BidirectionalStack(nn.Module):
    """Two independent stacks, one reading backwards from each sentence's end, joined at the top and state by
    state.
    """

    def __init__(self, stack: StackSpec, how: Merge, input_size: int) -> None:
        super().__init__()
        self.merge = how
        self.forwards = RecurrentStack(direction(stack, how), input_size)
        self.backwards = RecurrentStack(direction(stack, how), input_size)

    def forward(
        self, inputs: Tensor, lengths: Tensor | None, noise: Noise | None, packing: Packing | None = None
    ) -> tuple[Tensor, States]:
        """inputs S B I -> outputs S B H, states B H each. packing: see RecurrentLayer."""
        forward_outputs, forward_states = _run(self.forwards, inputs, lengths, noise, packing)
        outputs, states = _run(self.backwards, reverse(inputs, lengths), lengths, noise, packing)
        merged = tuple(merge(*pair, self.merge) for pair in zip(forward_states, states, strict=True))
        return merge(forward_outputs, reverse(outputs, lengths), self.merge), merged


class RecurrentEncoder(nn.Module):
    """`rnn`, `brnn` or `gnmt`, as the spec says."""

    def __init__(self, spec: RecurrentEncoderSpec, input_size: int) -> None:
        super().__init__()
        self.bidirectional: BidirectionalStack | None = None
        self.stack: RecurrentStack | None = None
        stack = spec.stack
        if spec.kind == "rnn":
            self.stack = RecurrentStack(stack, input_size)
        elif spec.kind == "brnn":
            self.bidirectional = BidirectionalStack(stack, spec.merge, input_size)
        else:
            first = replace(stack, layers=1, residual="none")
            upper = replace(
                stack, layers=stack.layers - 1, residual="lower", input_dropout=stack.layer_dropout
            )
            self.bidirectional = BidirectionalStack(first, spec.merge, input_size)
            self.stack = RecurrentStack(upper, stack.layer_size)

    def forward(
        self, inputs: Tensor, lengths: Tensor, host_lengths: HostLengths, noise: Noise | None
    ) -> Encoding:
        """inputs B S I, lengths B, host_lengths: see `encoding.HostLengths` -> Encoding."""
        sequence = inputs.transpose(0, 1)
        padded = lengths if host_lengths is not None else None
        packing = pack(lengths, host_lengths, len(sequence))
        states: States = ()
        if self.bidirectional is not None:
            sequence, states = self.bidirectional(sequence, padded, noise, packing)
        if self.stack is not None:
            sequence, upper = _run(self.stack, sequence, padded, noise, packing)
            states = states + upper
        memory = sequence.transpose(0, 1)
        mask = padding_mask(lengths, memory.shape[1]) if host_lengths is not None else None
        return Encoding(memory, lengths, mask, states)


def _run(
    stack: RecurrentStack,
    inputs: Tensor,
    lengths: Tensor | None,
    noise: Noise | None,
    packing: Packing | None,
) -> tuple[Tensor, States]:
    steps, batch = inputs.shape[:2]
    masks = stack.draw_masks(noise, steps, batch)
    outputs, states = stack(inputs, stack.zero_states(batch), lengths, masks, packing)
    return outputs, states
