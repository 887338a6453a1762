"""From the encoder's final states to the decoder's first (OpenNMT-lua onmt/modules/Bridge.lua)."""

import torch
from torch import Tensor, nn

from onmt.models.spec import BridgeSpec

ACTIVATIONS = {"identity": lambda x: x, "tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


class Bridge(nn.Module):
    """`copy` hands the states on, `none` starts the decoder at zero, `dense` maps all states together by one
    linear layer.

    encoder_widths: width of each encoder state; decoder_states of hidden_size each are wanted.
    """

    def __init__(
        self, spec: BridgeSpec, encoder_widths: tuple[int, ...], decoder_states: int, hidden_size: int
    ) -> None:
        super().__init__()
        self.spec = spec
        self.decoder_states = decoder_states
        self.hidden_size = hidden_size
        if spec.kind == "copy":
            assert encoder_widths == (hidden_size,) * decoder_states, encoder_widths
        self.bias: nn.Parameter | None = None
        if spec.kind == "dense":
            width = decoder_states * hidden_size
            self.weight = nn.Parameter(torch.empty(width, sum(encoder_widths)))
            if spec.bias:
                self.bias = nn.Parameter(torch.empty(width))

    def forward(self, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """states B H each, layer by layer and (c, h) within an LSTM layer -> the decoder's, in the same
        order.
        """
        if self.spec.kind == "copy":
            return states
        if self.spec.kind == "none":
            return (states[0].new_zeros(states[0].shape[0], self.hidden_size),) * self.decoder_states
        mapped = nn.functional.linear(torch.cat(states, dim=-1), self.weight, self.bias)
        return ACTIVATIONS[self.spec.activation](mapped).split(self.hidden_size, dim=-1)
