"""Floating-point operations of a model: the matrix products that its spec and the sentence lengths imply.

A product of an m x k and a k x n matrix counts 2 m k n. Element-wise work, embedding lookups and padding
count nothing, so the figure is the useful work, independent of the implementation. A backward pass counts
twice its forward pass: one product for the gradient of the inputs, one for the gradient of the weights.

S source positions as the encoder sees them, T target steps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from onmt.spec.layers import (
    ConvolutionalEncoderSpec,
    EncoderSpec,
    PoolingEncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    StackSpec,
    TwinConvolutionalEncoderSpec,
)
from onmt.spec.model import AttentionSpec, DecoderSpec, ModelSpec

BACKWARD_PASSES = 2


def training_flops(spec: ModelSpec, lengths: Iterable[tuple[int, int]]) -> int:
    """Forward and backward pass over sentences of (S, T); T includes the end symbol."""
    forward = sum(forward_flops(spec, source, target) for source, target in lengths)
    return (1 + BACKWARD_PASSES) * forward


def forward_flops(spec: ModelSpec, source: int, target: int) -> int:
    """One sentence with a known target. Language models and taggers have no decoder and ignore `target`."""
    if spec.decoder is None:
        inputs = spec.source.output_size
        outputs = _output_flops(spec, spec.encoder.memory_size(inputs))
        return encoder_flops(spec.encoder, inputs, source) + source * outputs
    return source_flops(spec, source) + target * step_flops(spec, source)


def translation_flops(spec: ModelSpec, lengths: Iterable[tuple[int, int]], beam: int) -> int:
    """Beam search over sentences of (S, T), where T is a sentence's number of steps, with a full beam."""
    return sum(
        source_flops(spec, source) + target * beam * step_flops(spec, source) for source, target in lengths
    )


def source_flops(spec: ModelSpec, source: int) -> int:
    """One sentence before the first decoder step: encoder, bridge, and projection of the attention keys."""
    decoder, inputs = spec.decoder, spec.source.output_size
    assert decoder is not None
    flops = encoder_flops(spec.encoder, inputs, source)
    if spec.bridge is not None and spec.bridge.kind == "dense":
        flops += _product(sum(spec.encoder.state_widths(inputs)), sum(decoder.stack.state_widths))
    compared = spec.encoder.key_size(inputs)
    return flops + memory_length(spec.encoder, source) * _product(
        compared, _projection(decoder.attention, compared)
    )


def step_flops(spec: ModelSpec, source: int) -> int:
    """One decoder step of one row: recurrent layers, attention, mixing layer and output layer."""
    decoder = spec.decoder
    assert decoder is not None
    memory = spec.encoder.memory_size(spec.source.output_size)
    inputs = decoder.embedding.output_size + _fed_size(decoder, memory)
    query = decoder.stack.output_size(inputs)
    attention = _query_flops(decoder.attention, query, memory, memory_length(spec.encoder, source))
    mixing = 0 if decoder.mix == "identity" else _product(memory + query, query)
    return stack_flops(decoder.stack, inputs) + attention + mixing + _output_flops(spec, query)


def encoder_flops(encoder: EncoderSpec, input_size: int, source: int) -> int:
    """One sentence of S positions, `input_size` wide."""
    if isinstance(encoder, PoolingEncoderSpec):
        return 0
    if isinstance(encoder, TwinConvolutionalEncoderSpec):
        stacks = (encoder.keys, encoder.values)
        return sum(
            source * _convolution_flops(input_size, stack.units, stack.kernel, stack.layers)
            for stack in stacks
        )
    if isinstance(encoder, ConvolutionalEncoderSpec):
        return source * _convolution_flops(input_size, encoder.hidden_size, encoder.kernel, encoder.layers)
    if isinstance(encoder, PyramidalEncoderSpec):
        return _pyramid_flops(encoder, input_size, source)
    assert isinstance(encoder, RecurrentEncoderSpec), f"the operations of '{encoder.kind}' are not counted"
    if encoder.kind == "rnn":
        return source * stack_flops(encoder.stack, input_size)
    if encoder.kind == "brnn":
        return source * 2 * stack_flops(_direction(encoder), input_size)
    first = replace(_direction(encoder), layers=1)
    upper = replace(encoder.stack, layers=encoder.stack.layers - 1)
    return source * (2 * stack_flops(first, input_size) + stack_flops(upper, encoder.stack.layer_size))


def stack_flops(stack: StackSpec, input_size: int) -> int:
    """All layers of a recurrent stack at one position."""
    gates = stack.cell.gates * stack.hidden_size
    below = [replace(stack, layers=count).output_size(input_size) for count in range(1, stack.layers)]
    projections = stack.layers * _product(stack.hidden_size, stack.cell.projection)
    return projections + sum(_product(width + stack.layer_size, gates) for width in (input_size, *below))


def memory_length(encoder: EncoderSpec, source: int) -> int:
    """Number of positions that the attention sees: fewer than S after a pyramidal encoder."""
    if isinstance(encoder, PyramidalEncoderSpec):
        return _level_lengths(encoder, source)[-1]
    return source


def _output_flops(spec: ModelSpec, width: int) -> int:
    """The output layers at one position, words and features."""
    return sum(_product(width, size) for size in spec.outputs)


def _convolution_flops(input_size: int, units: int, kernel: int, layers: int) -> int:
    """Layers of convolutions at one position."""
    widths = [input_size] + [units] * (layers - 1)
    return sum(_product(width * kernel, units) for width in widths)


def _pyramid_flops(encoder: PyramidalEncoderSpec, input_size: int, source: int) -> int:
    joined = encoder.reduction if encoder.reduction_merge == "concat" else 1
    level = replace(_direction(encoder), layers=1)
    flops, width = 0, input_size
    for length in _level_lengths(encoder, source):
        flops += length * 2 * stack_flops(level, width)
        width = encoder.stack.layer_size * joined
    return flops


def _level_lengths(encoder: PyramidalEncoderSpec, source: int) -> Sequence[int]:
    lengths = [source]
    for _ in range(encoder.stack.layers - 1):
        lengths.append(-(-lengths[-1] // encoder.reduction))
    return lengths


def _direction(encoder: RecurrentEncoderSpec | PyramidalEncoderSpec) -> StackSpec:
    return encoder.stack.one_direction(encoder.merge)


def _fed_size(decoder: DecoderSpec, memory: int) -> int:
    return {"none": 0, "output": decoder.stack.layer_size, "context": memory}[decoder.feed]


def _projection(attention: AttentionSpec, compared: int) -> int:
    """Width to which the memory is projected, once per sentence; 0 if it is compared without projection."""
    if attention.score in ("general", "concat"):
        return compared
    return attention.units if attention.score in ("bahdanau", "projected_dot") else 0


def _query_flops(attention: AttentionSpec, query: int, memory: int, positions: int) -> int:
    """One query: its own projection, one score per memory position, the weighted sum of the memory."""
    if not attention.attends:
        return 0
    keys = _projection(attention, query) or query
    projection = 0 if attention.score in ("general", "dot") else _product(query, keys)
    return projection + positions * (_product(keys, 1) + _product(1, memory))


def _product(rows: int, columns: int) -> int:
    """A vector of `rows` numbers times a `rows` x `columns` matrix."""
    return 2 * rows * columns
