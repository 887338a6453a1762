"""Convert a Lua model to a checkpoint; flags that an older file lacks follow from its networks."""

from pathlib import Path
from typing import Any, Final

import torch

from onmt.checkpoint import FORMAT
from onmt.constants import VERSION
from onmt.errors import CheckpointError
from onmt.models.networks import build_model
from onmt.spec.layers import (
    ConvolutionalEncoderSpec,
    EncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
)
from onmt.spec.model import BridgeSpec, DecoderSpec, ModelSpec
from onmt.torch7.lua_model import PARTS, LuaModel, read_lua_model
from onmt.torch7.objects import StructureError, Table, Tensor, as_table
from onmt.torch7.parameters import LuaParameter


def structural_options(spec: ModelSpec) -> dict[str, Any]:
    """Return the flags, by name, that describe a model of this structure."""
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


ORIGIN: Final = "OpenNMT Lua"
SLOTS: Final[dict[str, dict[str, str]]] = {  # per optimiser: Lua's names of its statistics -> ours
    "sgd": {},
    "adagrad": {"var": "squares"},
    "adadelta": {"var": "squares", "accDelta": "deltas"},
    "adam": {"m": "mean", "v": "squares"},
}
LEARNING_RATE: Final = 1.0  # Lua's default


def convert_model(path: str | Path) -> dict[str, Any]:
    """Convert the `.t7` model at `path` to the content of a checkpoint (see `onmt.checkpoint`).

    Besides the usual keys it has `origin`, and `notes`: sentences on what could not be converted.
    Raises CheckpointError if the file is damaged or contains something that has no counterpart here.
    """
    model = read_lua_model(path)
    weights = _weights(model)
    notes: list[str] = []
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "origin": ORIGIN,
        "notes": notes,
        "data_type": model.data_type,
        "spec": model.spec.to_state(),
        "options": structural_options(model.spec) | model.options.values,
        "vocabularies": model.vocabularies.to_state(),
        "weights": weights,
    }
    if model.info is not None:
        content["training"] = _training_state(model, model.info, notes)
    return content


def _weights(model: LuaModel) -> dict[str, torch.Tensor]:
    """Return the parameters in the order of the built model. Raises CheckpointError if a parameter is missing
    or superfluous, or has another shape.
    """
    found = {name: torch.from_numpy(parameter.value()) for name, parameter in model.parameters.items()}
    with torch.device("meta"):
        wanted = build_model(model.spec).state_dict()
    for name in sorted(wanted.keys() | found.keys()):
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(
                f"'{model.name}' is not a model of OpenNMT Lua that can be used: its parameters for '{name}' "
                f"have the shape {shapes[0]}, not {shapes[1]}"
            )
    return {name: found[name] for name in wanted}


def _training_state(model: LuaModel, info: Table, notes: list[str]) -> dict[str, Any]:
    """Return the `training` part of the checkpoint: the state of the training, as far as Lua saved it."""
    rate = _number(info, "learningRate", model.options.number("learning_rate", LEARNING_RATE))
    score = info.get("validPpl")
    return {
        "rate": {
            "value": rate,
            "last_score": score if isinstance(score, float) else None,
            "decaying": _decaying(model, rate),
        },
        "epoch": int(_number(info, "epoch", 1)),
        "iteration": int(_number(info, "iteration", 1)),
        "minutes": _number(info, "trainTimeInMinute", 0.0),
        "gold_probability": model.gold_probability,
        "optimizer": _optimizer_state(model, info, notes),
        "batching": None,
        "environment": None,
    }


def _number(info: Table, name: str, default: float) -> float:
    value = info.get(name)
    return value if isinstance(value, float) and abs(value) < 2**53 else default


def _decaying(model: LuaModel, rate: float) -> bool:
    """Whether `-decay default` has begun to decay. Lua doesn't save that, but a lower rate shows it."""
    latched = model.options.word("decay") in ("default", None)
    return latched and rate < model.options.number("learning_rate", rate)


def _optimizer_state(model: LuaModel, info: Table, notes: list[str]) -> dict[str, Any] | None:
    """Return our optimiser's state; None before the first step, or if it can't be converted.

    Lua saves one table per sub-model with parameters, in alphabetical order of the sub-models. The flat
    vectors in a table have the layout of the sub-model's parameters.
    """
    name = model.options.word("optim") or "sgd"
    states = info.get("optimStates")
    if name not in SLOTS or (SLOTS[name] and not isinstance(states, Table)):
        return None
    state: dict[str, Any] = {
        "name": name,
        "steps": 0,
        "gathered": {slot: {} for slot in SLOTS[name].values()},
    }
    if not SLOTS[name]:
        return state
    try:
        for number, (part, parameters) in enumerate(_trained(model).items(), start=1):
            own = as_table(
                as_table(states, "the optimiser's state").get(float(number)), f"that of the {part}"
            )
            if not len(own):
                return None
            state["steps"] = int(_number(own, "t", 0))
            for theirs, ours in SLOTS[name].items():
                state["gathered"][ours] |= _split(parameters, own, theirs)
    except StructureError as error:
        notes.append(f"the state of the optimiser is left out: {error}")
        return None
    return state


def _trained(model: LuaModel) -> dict[str, dict[str, LuaParameter]]:
    """Return the trained parameters of each sub-model that has any, in Lua's order of the sub-models."""
    trained = {
        part: {name: one for name, one in model.parameters.items() if one.part == part and one.trained}
        for part in PARTS
    }
    return {part: parameters for part, parameters in trained.items() if parameters}


def _split(parameters: dict[str, LuaParameter], state: Table, slot: str) -> dict[str, torch.Tensor]:
    """Split a flat vector of a sub-model's optimiser by our parameters."""
    if len({id(one.tensor.storage) for one in parameters.values()}) > 1:
        raise StructureError("the parameters that it belongs to are not in one vector")
    vector = state.get(slot)
    size = sum(one.tensor.elements for one in parameters.values())
    if not isinstance(vector, Tensor) or vector.elements != size or len(vector.shape) != 1:
        raise StructureError(f"its '{slot}' does not have {size} numbers")
    return {name: torch.from_numpy(one.slice_of(vector)) for name, one in parameters.items()}
