"""The log lines that tell what model is being built."""

from onmt.models.encoder_spec import (
    ConvolutionalEncoderSpec,
    EncoderSpec,
    InceptionEncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    TwinConvolutionalEncoderSpec,
)
from onmt.models.recurrent_spec import CellSpec, StackSpec
from onmt.models.spec import DecoderSpec, ImageSpec, ModelSpec, SourceSpec, VectorSpec

_RECURRENT_TYPES = {"rnn": "unidirectional RNN", "brnn": "bidirectional RNN", "gnmt": "GNMT"}


def describe_model(spec: ModelSpec) -> list[str]:
    """One line per part and size, as OpenNMT Lua lists them."""
    lines = [" * Encoder:", *_embedding_lines(spec.source), *_encoder_lines(spec.encoder)]
    if spec.decoder is not None:
        lines += [" * Decoder:", *_decoder_lines(spec.decoder)]
    if spec.bridge is not None:
        nonlinear = "_nonlinear" if spec.bridge.activation != "identity" else ""
        lines.append(f" * Bridge: {spec.bridge.kind}{nonlinear}")
    return lines


def _embedding_lines(spec: SourceSpec) -> list[str]:
    if isinstance(spec, ImageSpec):
        return [f"   - images: {spec.height} x {spec.width}"]
    if isinstance(spec, VectorSpec):
        return [f"   - vectors size: {spec.size}"]
    words, *features = spec.tables
    lines = [f"   - word embeddings size: {words.dim}"]
    if features:
        lines.append(f"   - features embeddings sizes: {', '.join(str(table.dim) for table in features)}")
    return lines


def _encoder_lines(spec: EncoderSpec) -> list[str]:
    if isinstance(spec, ConvolutionalEncoderSpec):
        sizes = f"cnn_kernel = {spec.kernel}; cnn_layers = {spec.layers}; cnn_size = {spec.hidden_size};"
        return ["   - type: CNN", f"   - structure: {sizes}"]
    if isinstance(spec, PyramidalEncoderSpec):
        pyramidal = "pyramidal " if spec.reduction > 1 else ""
        return [f"   - type: {pyramidal}deep bidirectional RNN", _structure(spec.stack)]
    if isinstance(spec, RecurrentEncoderSpec):
        return [f"   - type: {_RECURRENT_TYPES[spec.kind]}", _structure(spec.stack)]
    if isinstance(spec, TwinConvolutionalEncoderSpec):
        keys, values = spec.keys, spec.values
        sizes = f"keys {keys.layers} x {keys.units}; values {values.layers} x {values.units}"
        return ["   - type: convolutional", f"   - structure: layers x units = {sizes}"]
    if isinstance(spec, InceptionEncoderSpec):
        return [f"   - type: Inception v3 up to {spec.endpoint}"]
    return ["   - type: pooling", f"   - structure: {spec.pool} over {spec.size} positions"]


def _decoder_lines(spec: DecoderSpec) -> list[str]:
    score = spec.attention.score
    attention = "none" if score in ("last", "none") else f"global ({score})"
    return [*_embedding_lines(spec.embedding), f"   - attention: {attention}", _structure(spec.stack)]


def _structure(stack: StackSpec) -> str:
    kind = "variational" if stack.variational else "naive"
    return (
        f"   - structure: cell = {stack.cell.kind.upper()}; layers = {stack.layers}; "
        f"rnn_size = {stack.hidden_size}; dropout = {stack.layer_dropout:g} ({kind}){_variant(stack.cell)}"
    )


def _variant(cell: CellSpec) -> str:
    """What a cell has beyond those of OpenNMT Lua; nothing if it is one of them."""
    values = {
        "activation": cell.activation if cell.activation != "tanh" else "",
        "peepholes": "yes" if cell.peepholes else "",
        "cell_clip": f"{cell.cell_clip:g}" if cell.cell_clip else "",
        "projection": str(cell.projection or ""),
        "projection_clip": f"{cell.projection_clip:g}" if cell.projection_clip else "",
    }
    return "".join(f"; {name} = {value}" for name, value in values.items() if value)
