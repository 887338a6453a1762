"""The flags that describe a model, seen from the model: for files from before a flag existed."""

from typing import Any

from onmt.models.encoder_spec import (
    ConvolutionalEncoderSpec,
    EncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
)
from onmt.models.spec import BridgeSpec, DecoderSpec, ModelSpec


def structural_options(spec: ModelSpec) -> dict[str, Any]:
    """Flags by name, with the values that lead to this model."""
    flags: dict[str, Any] = {"model_type": spec.model_type} | _encoder_flags(spec.encoder)
    if spec.model_type == "seqtagger":
        flags["loglikelihood"] = "sentence" if spec.transitions else "word"
    if spec.decoder is not None and spec.bridge is not None:
        flags |= _decoder_flags(spec.decoder, spec.bridge)
    return flags


def _encoder_flags(encoder: EncoderSpec) -> dict[str, Any]:
    if isinstance(encoder, ConvolutionalEncoderSpec):
        return {
            "encoder_type": "cnn",
            "cnn_layers": encoder.layers,
            "cnn_kernel": encoder.kernel,
            "cnn_size": encoder.hidden_size,
            "use_pos_emb": encoder.positions > 0,
            "dropout": encoder.layer_dropout,
        }
    assert isinstance(encoder, RecurrentEncoderSpec | PyramidalEncoderSpec), "no Lua model has other encoders"
    stack = encoder.stack
    flags = {
        "encoder_type": encoder.kind,
        "rnn_type": stack.cell.kind.upper(),
        "layers": stack.layers,
        "rnn_size": stack.hidden_size,
        "brnn_merge": encoder.merge,
        "residual": stack.residual == "lower",
        "dropout": stack.layer_dropout,
        "dropout_type": "variational" if stack.variational else "naive",
    }
    if isinstance(encoder, PyramidalEncoderSpec):
        flags["encoder_type"] = "pdbrnn" if encoder.reduction > 1 else "dbrnn"
        flags["pdbrnn_reduction"] = encoder.reduction
        flags["pdbrnn_merge"] = "concat" if encoder.reduction_merge == "concat" else "sum"
    return flags


def _decoder_flags(decoder: DecoderSpec, bridge: BridgeSpec) -> dict[str, Any]:
    score = decoder.attention.score
    flags = {
        "rnn_type": decoder.stack.cell.kind.upper(),
        "rnn_size": decoder.stack.hidden_size,
        "dec_layers": decoder.stack.layers,
        "attention": "none" if score == "last" else "global",
        "input_feed": decoder.feed == "output",
        "bridge": "dense_nonlinear" if bridge.activation == "tanh" else bridge.kind,
    }
    return flags if score == "last" else flags | {"global_attention": score}
