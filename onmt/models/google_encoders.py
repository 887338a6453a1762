"""google/seq2seq's encoders, from their parameters to descriptions. No torch here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, TypeVar

from onmt.errors import OptionError
from onmt.models.encoder_spec import (
    ConvolutionsSpec,
    EncoderSpec,
    InceptionEncoderSpec,
    PoolingEncoderSpec,
    PositionSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    TwinConvolutionalEncoderSpec,
)
from onmt.models.google_cells import stack_of
from onmt.models.google_parameters import POSITIONS, Parameters, Part, check_kept

_PARAMS: Final = "encoder.params"

_COMBINERS: Final[Mapping[str, Literal["multiply", "add"]]] = {
    "tensorflow.multiply": "multiply",
    "tensorflow.add": "add",
}
_POOLS: Final[Mapping[str, Literal["average", "max"]]] = {
    "tensorflow.layers.average_pooling1d": "average",
    "tensorflow.layers.max_pooling1d": "max",
}

_Meaning = TypeVar("_Meaning")


def encoder_of(part: Part) -> EncoderSpec:
    """The encoder that `encoder.class` and `encoder.params` describe. Raises OptionError for values that it
    cannot have.
    """
    name, params = part
    cell = f"{_PARAMS}: rnn_cell"
    if name == "UnidirectionalRNNEncoder":
        return RecurrentEncoderSpec(kind="rnn", stack=stack_of(params["rnn_cell"], cell))
    if name == "BidirectionalRNNEncoder":
        return RecurrentEncoderSpec(kind="brnn", stack=stack_of(params["rnn_cell"], cell, 2), merge="concat")
    if name == "StackBidirectionalRNNEncoder":
        stack = replace(stack_of(params["rnn_cell"], cell, 2), residual="none", residual_dense=False)
        return PyramidalEncoderSpec(stack=stack, merge="concat")
    if name == "ConvEncoder":
        check_kept(params, ("embedding_dropout_keep_prob",), _PARAMS)
        return TwinConvolutionalEncoderSpec(
            keys=_convolutions(params, "attention_cnn"),
            values=_convolutions(params, "output_cnn"),
            positions=positions_of(params),
            input_dropout=1 - params["embedding_dropout_keep_prob"],
        )
    if name == "PoolingEncoder":
        return _pooling(params)
    return InceptionEncoderSpec(endpoint=params["final_endpoint"])


def used_parameters(params: Parameters) -> Parameters:
    """The parameters without those of position codes that are switched off."""
    if params.get("position_embeddings.enable", True):
        return params
    return {name: value for name, value in params.items() if name not in POSITIONS}


def positions_of(params: Parameters) -> PositionSpec | None:
    """The position codes of an encoder's parameters; None: it has no such codes, or does without."""
    if not params.get("position_embeddings.enable"):
        return None
    return PositionSpec(
        count=params["position_embeddings.num_positions"],
        combine=_meaning(params, "position_embeddings.combiner_fn", _COMBINERS),
    )


def _convolutions(params: Parameters, stack: str) -> ConvolutionsSpec:
    units, kernel, layers = (params[f"{stack}.{name}"] for name in ("units", "kernel_size", "layers"))
    if min(units, kernel, layers) < 1:
        raise OptionError(f"{_PARAMS}: {stack} needs units, kernel_size and layers of at least 1")
    return ConvolutionsSpec(units=units, kernel=kernel, layers=layers)


def _pooling(params: Parameters) -> PoolingEncoderSpec:
    if params["strides"] != 1:
        raise OptionError(
            f"{_PARAMS}: strides must be 1, not {params['strides']}: attention compares as many positions as "
            "it averages"
        )
    check_kept(params, ("dropout_keep_prob",), _PARAMS)
    return PoolingEncoderSpec(
        pool=_meaning(params, "pooling_fn", _POOLS),
        size=params["pool_size"],
        positions=positions_of(params),
        input_dropout=1 - params["dropout_keep_prob"],
    )


def _meaning(params: Parameters, name: str, functions: Mapping[str, _Meaning]) -> _Meaning:
    """What the function stands for that a parameter names, with its package or without."""
    for function, meaning in functions.items():
        if params[name].split(".")[-1] == function.split(".")[-1]:
            return meaning
    raise OptionError(f"{_PARAMS}: {name} must be {' or '.join(functions)}, not '{params[name]}'")
