"""From an encoder's description to the module, its width and its states."""

from torch import nn

from onmt.models.spec import ConvolutionalEncoderSpec, EncoderSpec, PyramidalEncoderSpec, RecurrentEncoderSpec
from onmt.modules.encoders.convolutional import ConvolutionalEncoder
from onmt.modules.encoders.pyramidal import PyramidalEncoder
from onmt.modules.encoders.recurrent import RecurrentEncoder


def build_encoder(spec: EncoderSpec, input_size: int) -> nn.Module:
    """The encoder module: forward(inputs B S I, lengths B, uneven, noise) -> Encoding."""
    if isinstance(spec, RecurrentEncoderSpec):
        return RecurrentEncoder(spec, input_size)
    if isinstance(spec, PyramidalEncoderSpec):
        return PyramidalEncoder(spec, input_size)
    return ConvolutionalEncoder(spec, input_size)


def memory_size(spec: EncoderSpec) -> int:
    """Width of a memory position."""
    if isinstance(spec, ConvolutionalEncoderSpec):
        return spec.hidden_size
    return spec.stack.hidden_size


def state_widths(spec: EncoderSpec) -> tuple[int, ...]:
    """Width of each final state, in order."""
    if isinstance(spec, ConvolutionalEncoderSpec):
        return (spec.hidden_size,)
    return (spec.stack.hidden_size,) * (spec.stack.layers * spec.stack.cell.states)
