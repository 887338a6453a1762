"""Encoders without recurrence: OpenNMT-lua's CNNEncoder (after Gehring et al. 2017), and google/seq2seq's
ConvEncoder and PoolingEncoder with fixed position encodings.

A sentence's result never depends on padding: in google/seq2seq convolutions and means include padding, here
they stop at the sentence's end.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onmt.errors import DataError
from onmt.kernels.products import Multiplying
from onmt.modules.encoding import Encoding, HostLengths, padding_mask, without_padding
from onmt.modules.noise import Noise, dropped
from onmt.spec.layers import (
    ConvolutionalEncoderSpec,
    ConvolutionsSpec,
    PoolingEncoderSpec,
    PositionSpec,
    TwinConvolutionalEncoderSpec,
)


class ConvolutionalEncoder(Multiplying):
    """A stack of layers, each the tanh of a convolution over positions t to t + kernel - 1. From layer 2 on,
    a layer's input is added before the tanh.

    Positions after a sentence's end are zero in every layer. The only state is the sum of the memory over
    time.
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
            # Row 0 is padding, row k is position k, and the last row serves all later positions.
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
        """Set the position vector of padding to zero, as after every initialisation."""
        if self.positions is not None:
            with torch.no_grad():
                self.positions[0].zero_()


def position_code(count: int, width: int) -> Tensor:
    """The position code (1 - j / (J + 1)) - (k / (d + 1)) (1 - 2 j / (J + 1)) for position j of J and column
    k of d, both counted from 1; shape J d.
    """
    j = torch.arange(1, count + 1)[:, None] / (count + 1)
    k = torch.arange(1, width + 1) / (width + 1)
    return (1 - j) - k * (1 - 2 * j)


class PositionedInputs(nn.Module):
    """Word vectors multiplied by the position code or added to it, if the spec has one, then dropped out."""

    code: Tensor

    def __init__(self, spec: PositionSpec | None, dropout: float, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.dropout = dropout
        code = position_code(spec.count, width) if spec else torch.zeros(0, width)
        self.register_buffer("code", code, persistent=False)

    def forward(self, inputs: Tensor, mask: Tensor | None, noise: Noise | None) -> Tensor:
        """inputs B S E -> B S E, zero at padding. Raises DataError for a sentence longer than the code."""
        if self.spec is not None:
            steps = inputs.shape[1]
            if steps > self.spec.count:
                raise DataError(
                    f"a source of {steps} positions is longer than position_embeddings.num_positions "
                    f"{self.spec.count}: raise it, or lower source.max_seq_len"
                )
            code = self.code[:steps]
            inputs = inputs * code if self.spec.combine == "multiply" else inputs + code
        if noise is not None:
            inputs = dropped(inputs, noise.dropout_mask(tuple(inputs.shape), self.dropout, inputs))
        return without_padding(inputs, mask)


class Convolutions(Multiplying):
    """tanh(conv_1 x), then tanh(conv_l y + y): linear convolutions centred on each position."""

    def __init__(self, spec: ConvolutionsSpec, input_size: int) -> None:
        super().__init__()
        self.kernel = spec.kernel
        widths = [input_size] + [spec.units] * (spec.layers - 1)
        self.weights = nn.ParameterList(
            torch.empty(spec.units, width, spec.kernel) for width in widths[: spec.layers]
        )
        self.biases = nn.ParameterList(torch.empty(spec.units) for _ in range(spec.layers))

    def forward(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """inputs B S I -> B S U, zero at padding."""
        before = (self.kernel - 1) // 2
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            around = F.pad(inputs.transpose(1, 2), (before, self.kernel - 1 - before))
            outputs = self.products.conv1d(around, weight, bias).transpose(1, 2)
            inputs = without_padding(torch.tanh(outputs + inputs if index else outputs), mask)
        return inputs


class TwinConvolutionalEncoder(nn.Module):
    """One stack of convolutions for the attention's keys and one for its values; the state is the mean of the
    values.
    """

    def __init__(self, spec: TwinConvolutionalEncoderSpec, input_size: int) -> None:
        super().__init__()
        self.inputs = PositionedInputs(spec.positions, spec.input_dropout, input_size)
        self.keys = Convolutions(spec.keys, input_size)
        self.values = Convolutions(spec.values, input_size)

    def forward(
        self, inputs: Tensor, lengths: Tensor, host_lengths: HostLengths, noise: Noise | None
    ) -> Encoding:
        """inputs B S I, lengths B, host_lengths: see `encoding.HostLengths` -> Encoding."""
        mask = padding_mask(lengths, inputs.shape[1]) if host_lengths is not None else None
        inputs = self.inputs(inputs, mask, noise)
        keys, values = self.keys(inputs, mask), self.values(inputs, mask)
        return Encoding(values, lengths, mask, (mean_over_time(values, lengths),), keys)


class PoolingEncoder(nn.Module):
    """An encoder whose keys are the average or maximum of neighbouring vectors; the state is their mean."""

    def __init__(self, spec: PoolingEncoderSpec, input_size: int) -> None:
        super().__init__()
        self.spec = spec
        self.inputs = PositionedInputs(spec.positions, spec.input_dropout, input_size)

    def forward(
        self, inputs: Tensor, lengths: Tensor, host_lengths: HostLengths, noise: Noise | None
    ) -> Encoding:
        """inputs B S I, lengths B, host_lengths: see `encoding.HostLengths` -> Encoding."""
        mask = padding_mask(lengths, inputs.shape[1]) if host_lengths is not None else None
        inputs = self.inputs(inputs, mask, noise)
        keys = without_padding(self._pool(inputs, padding_mask(lengths, inputs.shape[1])), mask)
        return Encoding(inputs, lengths, mask, (mean_over_time(keys, lengths),), keys)

    def _pool(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Pool over the positions in the window around each position, without padding: B S E -> B S E."""
        before = (self.spec.size - 1) // 2
        window = (before, self.spec.size - 1 - before)
        real = mask.to(inputs.dtype)[:, None]
        if self.spec.pool == "max":
            lowest = inputs.transpose(1, 2).masked_fill(~mask[:, None], -torch.inf)
            pooled = F.max_pool1d(F.pad(lowest, window, value=-torch.inf), self.spec.size, 1)
            return pooled.masked_fill(~mask[:, None], 0.0).transpose(1, 2)
        total = F.avg_pool1d(F.pad(inputs.transpose(1, 2), window), self.spec.size, 1)
        counted = F.avg_pool1d(F.pad(real, window), self.spec.size, 1).clamp(min=1 / self.spec.size)
        return (total / counted).transpose(1, 2)


def mean_over_time(sequence: Tensor, lengths: Tensor) -> Tensor:
    """sequence B S X, zero at padding -> the mean over each sentence's positions, B X."""
    return sequence.sum(1) / lengths[:, None].to(sequence.dtype)
