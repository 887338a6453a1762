"""Recurrent encoders: one stack, two independent stacks, GNMT's bidirectional layer below a stack, and
pyramids (OpenNMT-lua Encoder, BiEncoder, GoogleEncoder, DBiEncoder, PDBiEncoder).

The pyramid (Chan et al. 2015, "Listen, Attend and Spell") reduces the number of frames from layer to layer.
Frames are grouped from the sentence's end. If the length is no multiple of the reduction, zeros are added in
front of the first group, as Lua's left padding does.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from onmt.kernels.recurrent import Packing, pack
from onmt.modules.encoding import Encoding, HostLengths, padding_mask
from onmt.modules.noise import Noise
from onmt.modules.rnn import RecurrentStack, States
from onmt.spec.layers import Merge, PyramidalEncoderSpec, RecurrentEncoderSpec, StackSpec


def reverse(sequence: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse the positions of each sentence in sequence S B X; padding stays in place. The function is its
    own inverse.
    """
    if lengths is None:
        return sequence.flip(0)
    positions = torch.arange(sequence.shape[0], device=lengths.device)[:, None]
    order = torch.where(positions < lengths, lengths - 1 - positions, positions)
    return sequence.gather(0, order[..., None].expand_as(sequence))


def merge_directions(forward: Tensor, backward: Tensor, how: Merge) -> Tensor:
    """Join the outputs of the two directions, forward first."""
    return torch.cat([forward, backward], dim=-1) if how == "concat" else forward + backward


class BidirectionalStack(nn.Module):
    """Two independent stacks, one of which reads backwards from each sentence's end. Top outputs and states
    are merged.
    """

    def __init__(self, stack: StackSpec, how: Merge, input_size: int) -> None:
        super().__init__()
        self.merge = how
        self.forwards = RecurrentStack(stack.one_direction(how), input_size)
        self.backwards = RecurrentStack(stack.one_direction(how), input_size)

    def forward(
        self, inputs: Tensor, lengths: Tensor | None, noise: Noise | None, packing: Packing | None = None
    ) -> tuple[Tensor, States]:
        """inputs S B I -> outputs S B H, states B H each. packing: see RecurrentLayer."""
        forward_outputs, forward_states = _run(self.forwards, inputs, lengths, noise, packing)
        outputs, states = _run(self.backwards, reverse(inputs, lengths), lengths, noise, packing)
        merged = tuple(
            merge_directions(*pair, self.merge) for pair in zip(forward_states, states, strict=True)
        )
        return merge_directions(forward_outputs, reverse(outputs, lengths), self.merge), merged


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
        lengths_if_padded = lengths if host_lengths is not None else None
        packing = pack(lengths, host_lengths, len(sequence))
        states: States = ()
        if self.bidirectional is not None:
            sequence, states = self.bidirectional(sequence, lengths_if_padded, noise, packing)
        if self.stack is not None:
            sequence, upper = _run(self.stack, sequence, lengths_if_padded, noise, packing)
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
    """Draw dropout masks and run the stack from zero states."""
    steps, batch = inputs.shape[:2]
    masks = stack.draw_masks(noise, steps, batch)
    outputs, states = stack(inputs, stack.zero_states(batch), lengths, masks, packing)
    return outputs, states


def group_positions(
    lengths: Tensor, padded_lengths: Tensor, steps: int, reduction: int, strided: bool
) -> tuple[Tensor, Tensor]:
    """Return the frames of which each reduced frame consists: positions B S' r (negative: no frame), and the
    new lengths B.

    lengths B: true frames; padded_lengths B: frames with padding in front, a multiple of `reduction`; steps:
    the longest length. With `strided`, the frames of a group are padded / r apart, as Lua's `sum` merge
    computes; otherwise they are adjacent: 5 frames become [[none, 0], [1, 2], [3, 4]] with a reduction of 2.
    """
    shorter = (lengths + reduction - 1) // reduction
    frames = torch.arange((steps + reduction - 1) // reduction, device=lengths.device)
    members = torch.arange(reduction, device=lengths.device)
    group = (padded_lengths // reduction - shorter)[:, None] + frames
    if strided:
        wanted = group[..., None] + members * (padded_lengths // reduction)[:, None, None]
    else:
        wanted = group[..., None] * reduction + members
    positions = wanted - (padded_lengths - lengths)[:, None, None]
    return positions.masked_fill((frames >= shorter[:, None])[..., None], -1), shorter


def gather_frames(frames: Tensor, positions: Tensor) -> Tensor:
    """frames B S H, positions B S' r -> B S' r H, zero where a position is negative."""
    batch, _, width = frames.shape
    index = positions.clamp(min=0).reshape(batch, -1, 1).expand(-1, -1, width)
    gathered = frames.gather(1, index).reshape(*positions.shape, width)
    return gathered * (positions >= 0).to(frames.dtype)[..., None]


class PyramidalEncoder(nn.Module):
    """A pyramid with one bidirectional layer per level, and time reduction between levels."""

    def __init__(self, spec: PyramidalEncoderSpec, input_size: int) -> None:
        super().__init__()
        self.spec = spec
        frames_per_input = spec.reduction if spec.reduction_merge == "concat" else 1
        stack = spec.stack
        upper = replace(stack, layers=1, input_dropout=stack.layer_dropout)
        levels = [BidirectionalStack(replace(stack, layers=1), spec.merge, input_size)]
        for _ in range(stack.layers - 1):
            levels.append(BidirectionalStack(upper, spec.merge, stack.layer_size * frames_per_input))
        self.levels = nn.ModuleList(levels)

    def forward(
        self, inputs: Tensor, lengths: Tensor, host_lengths: HostLengths, noise: Noise | None
    ) -> Encoding:
        """inputs B S I, lengths B, host_lengths: see `encoding.HostLengths` -> Encoding of ceil(S /
        reduction^(L-1)) frames.
        """
        reduction = self.spec.reduction
        total_reduction = reduction ** (len(self.levels) - 1)
        padded_lengths = (lengths + total_reduction - 1) // total_reduction * total_reduction
        sequence = inputs.transpose(0, 1)
        states: States = ()
        for index, level in enumerate(self.levels):
            if index > 0 and reduction > 1:
                sequence, lengths = self._reduce(sequence, lengths, padded_lengths)
                padded_lengths = padded_lengths // reduction
                if host_lengths is not None:
                    host_lengths = (host_lengths + reduction - 1) // reduction
            packing = pack(lengths, host_lengths, len(sequence))
            lengths_if_padded = lengths if host_lengths is not None else None
            sequence, level_states = level(sequence, lengths_if_padded, noise, packing)
            states = states + level_states
        memory = sequence.transpose(0, 1)
        mask = padding_mask(lengths, memory.shape[1]) if host_lengths is not None else None
        return Encoding(memory, lengths, mask, states)

    def _reduce(self, sequence: Tensor, lengths: Tensor, padded_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """sequence S B H -> the reduced sequence S' B (H or H r), its lengths."""
        reduction, how = self.spec.reduction, self.spec.reduction_merge
        steps = sequence.shape[0]
        positions, shorter = group_positions(lengths, padded_lengths, steps, reduction, how == "strided_sum")
        groups = gather_frames(sequence.transpose(0, 1), positions)
        frames = groups.flatten(2) if how == "concat" else groups.sum(2)
        return frames.transpose(0, 1), shorter
