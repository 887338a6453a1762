"""From the encoder's final states to the decoder's first (OpenNMT-lua onmt/modules/Bridge.lua)."""

import torch
from torch import Tensor, nn

from onmt.kernels.products import Multiplying
from onmt.modules.cells import ACTIVATIONS
from onmt.spec.model import BridgeSpec


class Bridge(Multiplying):
    """`copy` hands the states on, `none` starts the decoder at zero, `dense` maps all states together by one
    linear layer.

    encoder_widths, decoder_widths: the width of each state that is there, and of each that is wanted.
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
        """states, each B and its own width, layer by layer and (c, h) within an LSTM layer -> the
        decoder's, in the same order.
        """
        if self.spec.kind == "copy":
            return states
        if self.spec.kind == "none":
            batch = states[0].shape[0]
            return tuple(states[0].new_zeros(batch, width) for width in self.decoder_widths)
        mapped = self.products.linear(torch.cat(states, dim=-1), self.weight, self.bias)
        parts = ACTIVATIONS[self.spec.activation](mapped).split(self.decoder_widths, dim=-1)
        return tuple(part.contiguous() for part in parts)  # cuDNN takes no others
