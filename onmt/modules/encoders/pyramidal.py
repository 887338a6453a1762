"""Bidirectional layers on each other, with fewer frames from layer to layer (OpenNMT-lua DBiEncoder,
PDBiEncoder).

After "Listen, Attend and Spell" (Chan et al. 2015). Frames are grouped from the sentence's end: where the
length is no multiple of the reduction, the first group is filled up with zeros in front, as Lua's left
padding does.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from onmt.kernels.fused_layers import pack
from onmt.models.encoder_spec import PyramidalEncoderSpec
from onmt.modules.encoders.recurrent import BidirectionalStack
from onmt.modules.encoding import Encoding, HostLengths, padding_mask
from onmt.modules.noise import Noise
from onmt.modules.rnn import States


def group_positions(
    lengths: Tensor, padded: Tensor, steps: int, reduction: int, strided: bool
) -> tuple[Tensor, Tensor]:
    """Which frames each reduced frame is made of.

    lengths B: true frames; padded B: frames once filled up in front, a multiple of `reduction`; steps: the
    longest length. Returns positions B S' r (negative or past the end: no frame) and the new lengths B.
    `strided` takes frames padded / r apart, as Lua's `sum` merge computes; otherwise neighbours.
    """
    shorter = (lengths + reduction - 1) // reduction
    frames = torch.arange((steps + reduction - 1) // reduction, device=lengths.device)
    members = torch.arange(reduction, device=lengths.device)
    group = (padded // reduction - shorter)[:, None] + frames
    if strided:
        wanted = group[..., None] + members * (padded // reduction)[:, None, None]
    else:
        wanted = group[..., None] * reduction + members
    positions = wanted - (padded - lengths)[:, None, None]
    return positions.masked_fill((frames >= shorter[:, None])[..., None], -1), shorter


def gather_frames(frames: Tensor, positions: Tensor) -> Tensor:
    """frames B S H, positions B S' r -> B S' r H, zero where a position is negative."""
    batch, _, width = frames.shape
    index = positions.clamp(min=0).reshape(batch, -1, 1).expand(-1, -1, width)
    gathered = frames.gather(1, index).reshape(*positions.shape, width)
    return gathered * (positions >= 0).to(frames.dtype)[..., None]


class PyramidalEncoder(nn.Module):
    """One bidirectional layer per level; time reduction between levels, none after the last."""

    def __init__(self, spec: PyramidalEncoderSpec, input_size: int) -> None:
        super().__init__()
        self.spec = spec
        joined = spec.reduction if spec.reduction_merge == "concat" else 1
        stack = spec.stack
        upper = replace(stack, layers=1, input_dropout=stack.layer_dropout)
        levels = [BidirectionalStack(replace(stack, layers=1), spec.merge, input_size)]
        for _ in range(stack.layers - 1):
            levels.append(BidirectionalStack(upper, spec.merge, stack.layer_size * joined))
        self.levels = nn.ModuleList(levels)

    def forward(
        self, inputs: Tensor, lengths: Tensor, host_lengths: HostLengths, noise: Noise | None
    ) -> Encoding:
        """inputs B S I, lengths B, host_lengths: see `encoding.HostLengths` -> Encoding of ceil(S /
        reduction^(L-1)) frames.
        """
        reduction = self.spec.reduction
        whole = reduction ** (len(self.levels) - 1)
        padded = (lengths + whole - 1) // whole * whole
        sequence = inputs.transpose(0, 1)
        states: States = ()
        for index, level in enumerate(self.levels):
            if index > 0 and reduction > 1:
                sequence, lengths = self._reduce(sequence, lengths, padded)
                padded = padded // reduction
                if host_lengths is not None:
                    host_lengths = (host_lengths + reduction - 1) // reduction
            packing = pack(lengths, host_lengths, len(sequence))
            own = lengths if host_lengths is not None else None
            sequence, level_states = level(sequence, own, noise, packing)
            states = states + level_states
        memory = sequence.transpose(0, 1)
        mask = padding_mask(lengths, memory.shape[1]) if host_lengths is not None else None
        return Encoding(memory, lengths, mask, states)

    def _reduce(self, sequence: Tensor, lengths: Tensor, padded: Tensor) -> tuple[Tensor, Tensor]:
        """sequence S B H -> the reduced sequence S' B (H or H r), its lengths."""
        reduction, how = self.spec.reduction, self.spec.reduction_merge
        steps = sequence.shape[0]
        positions, shorter = group_positions(lengths, padded, steps, reduction, how == "strided_sum")
        groups = gather_frames(sequence.transpose(0, 1), positions)
        frames = groups.flatten(2) if how == "concat" else groups.sum(2)
        return frames.transpose(0, 1), shorter
