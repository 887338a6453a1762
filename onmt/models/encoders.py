"""From an encoder's description to the module, its widths and its states."""

from torch import nn

from onmt.models.encoder_spec import (
    ConvolutionalEncoderSpec,
    EncoderSpec,
    InceptionEncoderSpec,
    PoolingEncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    TwinConvolutionalEncoderSpec,
)
from onmt.modules.encoders.convolutional import ConvolutionalEncoder
from onmt.modules.encoders.inception import InceptionEncoder
from onmt.modules.encoders.inception_layout import channels_at
from onmt.modules.encoders.positional import PoolingEncoder, TwinConvolutionalEncoder
from onmt.modules.encoders.pyramidal import PyramidalEncoder
from onmt.modules.encoders.recurrent import RecurrentEncoder, direction


def build_encoder(spec: EncoderSpec, input_size: int) -> nn.Module:
    """The encoder module: forward(inputs B S I, lengths B, host_lengths, noise) -> Encoding; images are B 3 H
    W.
    """
    if isinstance(spec, InceptionEncoderSpec):
        return InceptionEncoder(spec)
    if isinstance(spec, RecurrentEncoderSpec):
        return RecurrentEncoder(spec, input_size)
    if isinstance(spec, PyramidalEncoderSpec):
        return PyramidalEncoder(spec, input_size)
    if isinstance(spec, TwinConvolutionalEncoderSpec):
        return TwinConvolutionalEncoder(spec, input_size)
    if isinstance(spec, PoolingEncoderSpec):
        return PoolingEncoder(spec, input_size)
    return ConvolutionalEncoder(spec, input_size)


def memory_size(spec: EncoderSpec, input_size: int) -> int:
    """Width of what attention averages."""
    if isinstance(spec, InceptionEncoderSpec):
        return channels_at(spec.endpoint)
    if isinstance(spec, ConvolutionalEncoderSpec):
        return spec.hidden_size
    if isinstance(spec, TwinConvolutionalEncoderSpec):
        return spec.values.units
    if isinstance(spec, PoolingEncoderSpec):
        return input_size
    if isinstance(spec, RecurrentEncoderSpec) and spec.kind == "rnn":
        return spec.stack.output_size(input_size)
    if isinstance(spec, RecurrentEncoderSpec) and spec.kind == "brnn":
        width = direction(spec.stack, spec.merge).output_size(input_size)
        return 2 * width if spec.merge == "concat" else width
    return spec.stack.layer_size


def key_size(spec: EncoderSpec, input_size: int) -> int:
    """Width of what attention compares queries with."""
    if isinstance(spec, TwinConvolutionalEncoderSpec):
        return spec.keys.units
    return memory_size(spec, input_size)


def state_widths(spec: EncoderSpec, input_size: int) -> tuple[int, ...]:
    """Width of each final state, in order."""
    if isinstance(spec, RecurrentEncoderSpec | PyramidalEncoderSpec):
        return spec.stack.state_widths
    return (memory_size(spec, input_size),)
