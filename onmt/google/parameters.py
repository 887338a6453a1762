"""google/seq2seq's model parameters: names, defaults, types, and how YAML overrides them. Torch-free.

Sources: the parameter tables of seq2seq/models/*.py, encoders/*.py, decoders/*.py, training/utils.py. A dot
in a name is an ordinary character. A parameter that is left out or null keeps its default.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from onmt.commandline.values import did_you_mean
from onmt.errors import OptionError

Parameters = Mapping[str, Any]


class Part(NamedTuple):
    """A part of a model: the short name of its class, with all its parameters."""

    name: str
    params: Parameters


MODEL: Final[Parameters] = {
    "optimizer.name": "Adam",
    "optimizer.learning_rate": 1e-4,
    "optimizer.params": {},
    "optimizer.lr_decay_type": "",
    "optimizer.lr_decay_steps": 100,
    "optimizer.lr_decay_rate": 0.99,
    "optimizer.lr_start_decay_at": 0,
    "optimizer.lr_stop_decay_at": 2**31 - 1,
    "optimizer.lr_min_learning_rate": 1e-12,
    "optimizer.lr_staircase": False,
    "optimizer.clip_gradients": 5.0,
    "optimizer.sync_replicas": 0,
    "optimizer.sync_replicas_to_aggregate": 0,
}

_TARGET: Final[Parameters] = {
    "target.max_seq_len": 50,
    "embedding.dim": 100,
    "embedding.init_scale": 0.04,
    "inference.beam_search.beam_width": 0,
    "inference.beam_search.length_penalty_weight": 0.0,
    "inference.beam_search.choose_successors_fn": "choose_top_k",
    "inference.max_decode_length": 100,
    "optimizer.clip_embed_gradients": 0.1,
    "vocab_target": "",
}

_SEQ2SEQ: Final[Parameters] = {
    **MODEL,
    **_TARGET,
    "source.max_seq_len": 50,
    "source.reverse": True,
    "embedding.share": False,
    "vocab_source": "",
}

_PARTS: Final[Parameters] = {
    "bridge.params": {},
    "encoder.params": {},
    "decoder.params": {},
}

MODELS: Final[Mapping[str, Parameters]] = {
    "BasicSeq2Seq": {
        **_SEQ2SEQ,
        **_PARTS,
        "bridge.class": "seq2seq.models.bridges.InitialStateBridge",
        "encoder.class": "seq2seq.encoders.UnidirectionalRNNEncoder",
        "decoder.class": "seq2seq.decoders.BasicDecoder",
    },
    "AttentionSeq2Seq": {
        **_SEQ2SEQ,
        **_PARTS,
        "attention.class": "AttentionLayerBahdanau",
        "attention.params": {},
        "bridge.class": "seq2seq.models.bridges.ZeroBridge",
        "encoder.class": "seq2seq.encoders.BidirectionalRNNEncoder",
        "decoder.class": "seq2seq.decoders.AttentionDecoder",
    },
    "Image2Seq": {
        **MODEL,
        **_TARGET,
        **_PARTS,
        "attention.class": "AttentionLayerBahdanau",
        "attention.params": {"num_units": 128},
        "bridge.class": "ZeroBridge",
        "encoder.class": "seq2seq.encoders.InceptionV3Encoder",
        "decoder.class": "seq2seq.decoders.AttentionDecoder",
    },
}

RNN_CELL: Final[Parameters] = {
    "cell_class": "BasicLSTMCell",
    "cell_params": {},
    "num_layers": 1,
    "dropout_input_keep_prob": 1.0,
    "dropout_output_keep_prob": 1.0,
    "residual_connections": False,
    "residual_combiner": "add",
    "residual_dense": False,
}

_TANH: Final = "tensorflow.tanh"

CELLS: Final[Mapping[str, Parameters]] = {
    "BasicLSTMCell": {"num_units": 128, "forget_bias": 1.0, "activation": _TANH},
    "LSTMCell": {
        "num_units": 128,
        "forget_bias": 1.0,
        "activation": _TANH,
        "use_peepholes": False,
        "cell_clip": None,
        "num_proj": None,
        "proj_clip": None,
    },
    "LSTMBlockCell": {"num_units": 128, "forget_bias": 1.0, "use_peephole": False},
    "GRUCell": {"num_units": 128, "activation": _TANH},
    "GRUBlockCell": {"num_units": 128},
    "BasicRNNCell": {"num_units": 128, "activation": _TANH},
}

_OPTIONAL: Final[Parameters] = {"cell_clip": 0.0, "num_proj": 0, "proj_clip": 0.0}
"""For each parameter whose default is None, a number of the right type."""

_RNN_ENCODER: Final[Parameters] = {"rnn_cell": {}, "init_scale": 0.04}

POSITIONS: Final[Parameters] = {
    "position_embeddings.enable": True,
    "position_embeddings.combiner_fn": "tensorflow.multiply",
    "position_embeddings.num_positions": 100,
}

ENCODERS: Final[Mapping[str, Parameters]] = {
    "UnidirectionalRNNEncoder": _RNN_ENCODER,
    "BidirectionalRNNEncoder": _RNN_ENCODER,
    "StackBidirectionalRNNEncoder": _RNN_ENCODER,
    "ConvEncoder": {
        **POSITIONS,
        "attention_cnn.units": 512,
        "attention_cnn.kernel_size": 3,
        "attention_cnn.layers": 15,
        "output_cnn.units": 256,
        "output_cnn.kernel_size": 3,
        "output_cnn.layers": 5,
        "embedding_dropout_keep_prob": 0.8,
    },
    "PoolingEncoder": {
        **POSITIONS,
        "dropout_keep_prob": 0.8,
        "pooling_fn": "tensorflow.layers.average_pooling1d",
        "pool_size": 5,
        "strides": 1,
    },
    "InceptionV3Encoder": {"resize_height": 299, "resize_width": 299, "final_endpoint": "Mixed_7c"},
}

DECODERS: Final[Mapping[str, Parameters]] = {
    "BasicDecoder": {"max_decode_length": 100, "rnn_cell": {}, "init_scale": 0.04},
    "AttentionDecoder": {"max_decode_length": 100, "rnn_cell": {}, "init_scale": 0.04},
}

ATTENTIONS: Final[Mapping[str, Parameters]] = {
    "AttentionLayerBahdanau": {"num_units": 128},
    "AttentionLayerDot": {"num_units": 128},
}

BRIDGES: Final[Mapping[str, Parameters]] = {
    "ZeroBridge": {},
    "PassThroughBridge": {},
    "InitialStateBridge": {"bridge_input": "final_state", "activation_fn": "tensorflow.identity"},
}

_BLOCKS: Final = {
    "rnn_cell": set(RNN_CELL),
    "cell_params": {name for cell in CELLS.values() for name in cell},
}
_PACKAGES: Final = ("seq2seq", "tensorflow", "tf")
_LAYERS: Final = ("num_layers", "attention_cnn.layers", "output_cnn.layers")
_MOST_LAYERS: Final = 1000
_LARGEST_WHOLE: Final = 2**31 - 1
_LARGEST: Final = 1e30  # single precision ends at 3.4e38, and results need some room


def merged(defaults: Parameters, given: object, where: str) -> dict[str, Any]:
    """Return `defaults` overridden by `given`; `where` names the level in messages. Raises OptionError for
    unknown keys and wrong types.

    Types must match the defaults strictly: "false" isn't a boolean, 3.5 isn't a whole number (but 3 is
    accepted as a number, and 1e9 as a whole one). A default of {} accepts any mapping, which the caller has
    to check.
    """
    result = dict(defaults)
    for name, value in names_and_values(given, where).items():
        if name not in defaults:
            raise OptionError(f"{where} has no parameter '{name}'{_advice(name, defaults)}")
        if value is not None:
            default = _OPTIONAL[name] if defaults[name] is None else defaults[name]
            result[name] = typed(default, value, f"{where}: {name}")
            if name in _LAYERS and result[name] > _MOST_LAYERS:
                raise OptionError(f"{where}: {name} must be at most {_MOST_LAYERS}, not {value}")
    return result


def check_names(given: Mapping[str, Any], known: Parameters, where: str) -> None:
    """Raise OptionError for the first name that is not one of the known parameters."""
    for name in given:
        if name not in known:
            raise OptionError(f"{where}: unknown parameter '{name}'{did_you_mean(name, known, '')}")


def typed(default: Any, value: Any, where: str) -> Any:
    """Return `value` if it has the type of `default`. Whole numbers may be written as `1000` or `1e3` and are
    converted to the default's type. Raises OptionError for another type, and for numbers out of range.
    """
    if isinstance(default, Mapping):
        return names_and_values(value, where)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, kind = is_number and value == value // 1, "a whole number"
    elif isinstance(default, float):
        fits, kind = is_number, "a number"
    else:
        fits, kind = isinstance(value, str), "a text"
    if not fits:
        raise OptionError(f"{where} must be {kind}, not {value!r}")
    largest = _LARGEST if isinstance(default, float) else _LARGEST_WHOLE
    if is_number and not -largest <= value <= largest:
        raise OptionError(f"{where} must be {kind} between {-largest} and {largest}, not {value!r}")
    return type(default)(value) if is_number else value


def names_and_values(content: object, where: str) -> dict[str, Any]:
    """Return the mapping at `where` as a dict. Raises OptionError if it isn't a mapping."""
    if not isinstance(content, Mapping):
        raise OptionError(f"{where} must hold names and values, not {repr(content)[:80]}")
    return dict(content)


def check_least(params: Parameters, least: Mapping[str, float], where: str) -> None:
    """Raise OptionError for a parameter below its minimum; `least` may name parameters that are missing."""
    for name, minimum in least.items():
        value = params.get(name)
        if value is not None and value < minimum:
            raise OptionError(f"{where}: {name} must be at least {minimum}, not {value}")


def check_kept(params: Parameters, names: Sequence[str], where: str) -> None:
    """Raise OptionError unless each of these is a keep probability of dropout: above 0, at most 1."""
    for name in names:
        if not 0 < params[name] <= 1:
            raise OptionError(f"{where}: {name} must be above 0 and at most 1, not {params[name]}")


def refuse_named(given: Mapping[str, Any], reasons: Parameters, where: str) -> None:
    """Raise OptionError for the first given name that has a reason to be refused, with that reason."""
    for name in given:
        if name in reasons:
            raise OptionError(f"{where}: {name} is not supported: {reasons[name]}")


def _advice(name: str, known: Parameters) -> str:
    """Suggest what an unknown name could mean: a parameter of a nested block, a known name that ends with it,
    or the most similar name.
    """
    for block, names in _BLOCKS.items():
        if block in known and name in names:
            return f"; it belongs in {block}"
    longer = [other for other in known if other.endswith(f".{name}")]
    if longer:
        return f"; did you mean {longer[0]}?"
    return did_you_mean(name, known, "") or _nearest(name, known)


def _nearest(name: str, known: Parameters) -> str:
    from difflib import get_close_matches  # only needed when something went wrong

    near = get_close_matches(name, list(known), n=1, cutoff=0)
    return f"; the nearest is {near[0]}" if near else "; there are none"


def class_name(name: str, known: Mapping[str, Any], where: str) -> str:
    """Return the short form of a class name, which may have its package; nothing is imported. Raises
    OptionError for unknown classes.
    """
    *package, short = name.split(".")
    if short not in known or (package and package[0] not in _PACKAGES):
        raise OptionError(
            f"{where} {name!r} is not known{did_you_mean(short, known, '')}; there are {', '.join(known)}"
        )
    return short


def part_of(parameters: Parameters, part: str, classes: Mapping[str, Parameters]) -> Part:
    """Return the class and parameters of a part, as a model's parameters set them. Raises OptionError for
    unknown classes and for unknown or invalid parameters.
    """
    name = class_name(parameters[f"{part}.class"], classes, f"{part}.class")
    return Part(name, merged(classes[name], parameters[f"{part}.params"], f"{part}.params"))


def deep_merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return `lower` overridden by `upper`; nested mappings are merged recursively, other values replaced."""
    result = dict(lower)
    for name, value in upper.items():
        below = result.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[name] = deep_merged(below, value)
        else:
            result[name] = value
    return result
