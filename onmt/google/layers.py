"""Translate the parameters of google/seq2seq's cells and encoders to specs. Torch-free."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal, TypeVar, get_args

from onmt.commandline.values import did_you_mean
from onmt.errors import OptionError
from onmt.google.parameters import (
    CELLS,
    POSITIONS,
    RNN_CELL,
    Parameters,
    Part,
    check_kept,
    check_least,
    class_name,
    merged,
    refuse_named,
)
from onmt.spec.layers import (
    Activation,
    CellKind,
    CellSpec,
    ConvolutionsSpec,
    EncoderSpec,
    InceptionEncoderSpec,
    PoolingEncoderSpec,
    PositionSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    StackSpec,
    TwinConvolutionalEncoderSpec,
)

_KINDS: Final[Mapping[str, CellKind]] = {
    "BasicLSTMCell": "lstm",
    "LSTMCell": "lstm",
    "LSTMBlockCell": "lstm",
    "GRUCell": "gru_reset_before",
    "GRUBlockCell": "gru_reset_before",
    "BasicRNNCell": "tanh",
}

_WRAPPERS: Final[Mapping[str, str]] = {
    "MultiRNNCell": "num_layers stacks layers",
    "ExtendedMultiRNNCell": "num_layers and residual_connections stack layers",
    "DropoutWrapper": "dropout_input_keep_prob and dropout_output_keep_prob drop",
    "ResidualWrapper": "residual_connections joins inputs and outputs",
    "EmbeddingWrapper": "embedding.dim makes word vectors",
    "InputProjectionWrapper": "residual_connections brings the input to another width where it must",
    "OutputProjectionWrapper": "num_proj of LSTMCell brings the output to another width",
    "AttentionCellWrapper": "attention.class of AttentionSeq2Seq attends",
    "DeviceWrapper": "-gpuid names the devices",
    "LSTMBlockFusedCell": "LSTMBlockCell has the same formulas",
}
"""Classes that wrap or combine cells, and the parameters to use instead."""

_NO_PARAMETERS: Final[Mapping[str, str]] = {
    "initializer": "init_scale beside rnn_cell says how weights start",
    "num_unit_shards": "weights are not cut into shards",
    "num_proj_shards": "weights are not cut into shards",
    "state_is_tuple": "it changes how states are stored, not what is computed",
    "input_size": "the layer sees how wide its input is",
    "reuse": "each cell has weights of its own",
    "cell_size": "the units of GRUBlockCell are its num_units here",
}
"""Arguments of the original's cells that don't affect the model, and why."""

_LARGEST_FORGET_BIAS: Final = 1000  # gates saturate far earlier, and sums with it still fit in half precision


def stack_of(given: Mapping[str, Any], where: str, directions: int = 1) -> StackSpec:
    """Return the stack that an `rnn_cell` block describes, with widths summed over all `directions`.

    Raises OptionError for unknown names and invalid values.
    """
    block = merged(RNN_CELL, given, where)
    check_least(block, {"num_layers": 1}, where)
    check_kept(block, ("dropout_input_keep_prob", "dropout_output_keep_prob"), where)
    if block["residual_combiner"] not in ("add", "mean", "concat"):
        raise OptionError(
            f"{where}: residual_combiner must be add, mean or concat, not {block['residual_combiner']!r}"
        )
    name = _cell_class(block["cell_class"], f"{where}: cell_class")
    params = _cell_params(name, block["cell_params"], f"{where}: cell_params")
    residual = block["residual_connections"] and block["num_layers"] > 1
    return StackSpec(
        cell=_cell(name, params, f"{where}: cell_params", directions),
        layers=block["num_layers"],
        hidden_size=params["num_units"] * directions,
        input_dropout=1 - block["dropout_input_keep_prob"],
        layer_dropout=1 - block["dropout_input_keep_prob"],
        output_dropout=1 - block["dropout_output_keep_prob"],
        residual=block["residual_combiner"] if residual else "none",
        residual_dense=bool(residual and block["residual_dense"]),
    )


def check_passed_on(encoder: EncoderSpec, decoder: StackSpec) -> None:
    """Raise OptionError unless encoder and decoder have the same kind of cell and the same state widths."""
    assert isinstance(encoder, RecurrentEncoderSpec)
    own = encoder.stack
    if (own.cell.kind, own.state_widths) != (decoder.cell.kind, decoder.state_widths):
        raise OptionError(
            "PassThroughBridge needs the same cell_class, num_units and num_layers in encoder and decoder, "
            "and the same num_proj if there is one"
        )


def activation_of(name: str, where: str) -> Activation:
    """Return the activation of a name such as `tensorflow.tanh` or `tanh`. Raises OptionError for others."""
    known: tuple[Activation, ...] = get_args(Activation)
    *package, short = name.split(".")
    for activation in known:
        if short == activation and (not package or package[0] in ("tensorflow", "tf")):
            return activation
    raise OptionError(f"{where} '{name}' is not one of {', '.join(known)}")


def _cell_class(name: str, where: str) -> str:
    short = name.split(".")[-1]
    if short in _WRAPPERS:
        raise OptionError(f"{where}: {short} is not a cell of a single layer: {_WRAPPERS[short]} here")
    return class_name(name, CELLS, where)


def _cell_params(name: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return all arguments of the cell class, given or default. Raises OptionError for invalid ones."""
    refuse_named(given, _NO_PARAMETERS, where)
    for argument in given:
        others = [other for other, params in CELLS.items() if argument in params]
        if others and argument not in CELLS[name]:
            near = did_you_mean(argument, CELLS[name], "")
            raise OptionError(
                f"{where}: {name} has no '{argument}', that is an argument of {', '.join(others)}{near}"
            )
    params = merged(CELLS[name], given, where)
    check_least(params, {"num_units": 1, "num_proj": 1}, where)
    for argument in ("cell_clip", "proj_clip"):
        if params.get(argument) is not None and not params[argument] > 0:
            raise OptionError(f"{where}: {argument} must be above 0, not {params[argument]}")
    if abs(params.get("forget_bias", 0.0)) > _LARGEST_FORGET_BIAS:
        raise OptionError(
            f"{where}: forget_bias must lie within {-_LARGEST_FORGET_BIAS} and {_LARGEST_FORGET_BIAS}, not "
            f"{params['forget_bias']}"
        )
    if params.get("proj_clip") is not None and params["num_proj"] is None:
        raise OptionError(f"{where}: proj_clip clips what num_proj makes: give num_proj too")
    return params


def _cell(name: str, params: Mapping[str, Any], where: str, directions: int) -> CellSpec:
    return CellSpec(
        kind=_KINDS[name],
        forget_bias=params.get("forget_bias", 0.0),
        single_bias=True,
        activation=activation_of(params.get("activation", "tanh"), f"{where}: activation"),
        peepholes=params.get("use_peepholes", False) or params.get("use_peephole", False),
        cell_clip=params.get("cell_clip") or 0.0,
        projection=(params.get("num_proj") or 0) * directions,
        projection_clip=params.get("proj_clip") or 0.0,
    )


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
    """Return the spec of `encoder.class` with `encoder.params`. Raises OptionError for invalid values."""
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
    """Return the parameters, without those of position codes if these are switched off."""
    if params.get("position_embeddings.enable", True):
        return params
    return {name: value for name, value in params.items() if name not in POSITIONS}


def positions_of(params: Parameters) -> PositionSpec | None:
    """Return an encoder's position codes; None if it has none, or they are switched off."""
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
    """Map the name of a TensorFlow function, with or without its package, to our setting."""
    for function, meaning in functions.items():
        if params[name].split(".")[-1] == function.split(".")[-1]:
            return meaning
    raise OptionError(f"{_PARAMS}: {name} must be {' or '.join(functions)}, not '{params[name]}'")
