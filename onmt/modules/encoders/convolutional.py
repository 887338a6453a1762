"""Convolutional encoder with position embeddings (OpenNMT-lua CNNEncoder, after Gehring et al. 2017)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onmt.kernels.products import Multiplying
from onmt.models.encoder_spec import ConvolutionalEncoderSpec
from onmt.modules.encoding import Encoding, HostLengths, padding_mask, without_padding
from onmt.modules.noise import Noise, dropped


class ConvolutionalEncoder(Multiplying):
    """Each layer: tanh of a convolution over the positions t to t + kernel - 1, from layer 2 on with its
    input added.

    What lies after a sentence's end counts as zero in every layer. The one state is the sum of the memory
    over time.
    """

    def __init__(self, spec: ConvolutionalEncoderSpec, input_size: int) -> None:
        super().__init__()
        self.spec = spec
        self.positions: nn.Parameter | None = None
        if spec.positions:
            self.positions = nn.Parameter(torch.empty(spec.positions + 1, input_size))
        widths = [input_size] + [spec.hidden_size] * (spec.layers - 1)
        self.weights = nn.ParameterList(
            torch.empty(spec.hidden_size, width, spec.kernel) for width in widths[: spec.layers]
        )
        self.biases = nn.ParameterList(torch.empty(spec.hidden_size) for _ in range(spec.layers))

    def forward(
        self, inputs: Tensor, lengths: Tensor, host_lengths: HostLengths, noise: Noise | None
    ) -> Encoding:
        """inputs B S I, lengths B, host_lengths: see `encoding.HostLengths` -> Encoding."""
        _batch, steps, _ = inputs.shape
        mask = padding_mask(lengths, steps) if host_lengths is not None else None
        if self.positions is not None:
            # Row 0 belongs to padding; the k-th position has row k, the last row serves all beyond it.
            rows = torch.arange(1, steps + 1, device=inputs.device).clamp(max=self.spec.positions)
            inputs = inputs + F.embedding(rows, self.positions)
        layer_inputs = without_padding(inputs, mask)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            probability = self.spec.layer_dropout if index else self.spec.input_dropout
            if noise is not None:
                drop = noise.dropout_mask(tuple(layer_inputs.shape), probability, layer_inputs)
                layer_inputs = dropped(layer_inputs, drop)
            ahead = F.pad(layer_inputs.transpose(1, 2), (0, self.spec.kernel - 1))
            outputs = self.products.conv1d(ahead, weight, bias).transpose(1, 2)
            outputs = torch.tanh(outputs + layer_inputs if index else outputs)
            layer_inputs = without_padding(outputs, mask)
        return Encoding(layer_inputs, lengths, mask, (layer_inputs.sum(1),))

    def zero_padding(self) -> None:
        """Set the padding's position to the zero vector, as after every initialisation."""
        if self.positions is not None:
            with torch.no_grad():
                self.positions[0].zero_()
