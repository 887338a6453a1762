"""The encoder's results for the decoder: memory, and initial states, which may go through a bridge."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from onmt.kernels.products import Multiplying
from onmt.modules.copying import CopySource
from onmt.modules.rnn import ACTIVATIONS
from onmt.spec.model import BridgeSpec

HostLengths = Tensor | None
"""Lengths B on the CPU, used to pack sequences on a GPU; None if no sentence is padded."""


@dataclass(frozen=True)
class Encoding:
    """The encoder's result: memory B S H, zero at padding; lengths B; mask B S (True: real), None if nothing
    is padded; states B H each.

    S counts the memory's positions, fewer than the source's after a pyramid. `keys`: the attention's keys if
    they differ from the memory, which holds its values. `order` B S': for each original source position its
    memory position (-1: none), if the source was transformed. `copies`: the words at the memory's positions,
    if the decoder can copy them.
    """

    memory: Tensor
    lengths: Tensor
    mask: Tensor | None
    states: tuple[Tensor, ...]
    keys: Tensor | None = None
    order: Tensor | None = None
    copies: CopySource | None = None

    def keep(self, sentences: Tensor) -> "Encoding":
        """Keep only these sentences, in this order."""
        return Encoding(
            self.memory[sentences],
            self.lengths[sentences],
            None if self.mask is None else self.mask[sentences],
            tuple(state[sentences] for state in self.states),
            None if self.keys is None else self.keys[sentences],
            None if self.order is None else self.order[sentences],
            None if self.copies is None else self.copies.keep(sentences),
        )


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """lengths B -> B S, True at real positions."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def without_padding(sequence: Tensor, mask: Tensor | None) -> Tensor:
    """sequence B S X, zero where the mask B S is False."""
    return sequence if mask is None else sequence * mask.to(sequence.dtype)[..., None]


class Bridge(Multiplying):
    """The map from encoder states to decoder states (OpenNMT-lua onmt/modules/Bridge.lua).

    `copy` passes the states on, `none` starts the decoder at zero, `dense` maps all states together by one
    linear layer.

    encoder_widths, decoder_widths: the width of each encoder state and of each decoder state.
    """

    def __init__(
        self, spec: BridgeSpec, encoder_widths: tuple[int, ...], decoder_widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.spec = spec
        self.decoder_widths = decoder_widths
        if spec.kind == "copy":
            assert encoder_widths == decoder_widths, (encoder_widths, decoder_widths)
        self.bias: nn.Parameter | None = None
        if spec.kind == "dense":
            width = sum(decoder_widths)
            self.weight = nn.Parameter(torch.empty(width, sum(encoder_widths)))
            if spec.bias:
                self.bias = nn.Parameter(torch.empty(width))

    def forward(self, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """states, each B x its own width, layer by layer and (c, h) within an LSTM layer -> the decoder's
        states, in the same order.
        """
        if self.spec.kind == "copy":
            return states
        if self.spec.kind == "none":
            batch = states[0].shape[0]
            return tuple(states[0].new_zeros(batch, width) for width in self.decoder_widths)
        mapped = self.products.linear(torch.cat(states, dim=-1), self.weight, self.bias)
        parts = ACTIVATIONS[self.spec.activation](mapped).split(self.decoder_widths, dim=-1)
        return tuple(part.contiguous() for part in parts)  # cuDNN needs contiguous states
