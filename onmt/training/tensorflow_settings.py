"""google/seq2seq's optimizer.name and optimizer.params, checked. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from onmt.errors import OptionError
from onmt.models.google_parameters import class_name, merged, refuse_named

OPTIMIZER_PARAMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "SGD": {},
    "Momentum": {"momentum": 0.0, "use_nesterov": False},
    "Adagrad": {"initial_accumulator_value": 0.1},
    "RMSProp": {"decay": 0.9, "momentum": 0.0, "epsilon": 1e-10, "centered": False},
    "Ftrl": {
        "learning_rate_power": -0.5,
        "initial_accumulator_value": 0.1,
        "l1_regularization_strength": 0.0,
        "l2_regularization_strength": 0.0,
    },
}
"""Arguments of TensorFlow 1.0's optimisers, besides the learning rate, and their defaults."""

_NO_PARAMETERS: Final[Mapping[str, str]] = {
    "use_locking": "nothing changes parameters at the same time",
    "name": "operations have no names here",
    "learning_rate": "optimizer.learning_rate gives it",
}
"""Arguments of TensorFlow's optimisers that are not given here, and why."""

_BELOW_ONE: Final = ("beta1", "beta2", "decay")
_ABOVE_ZERO: Final = ("initial_accumulator_value",)


@dataclass(frozen=True)
class OptimizerSettings:
    """One of the optimisers with all its arguments; gradients longer than `clip_gradients` are scaled (0: no
    limit).
    """

    name: str
    params: Mapping[str, Any]
    clip_gradients: float


def optimizer_settings(parameters: Mapping[str, Any]) -> OptimizerSettings:
    """What checked model parameters say. Raises OptionError for arguments that are not the optimiser's."""
    name = class_name(parameters["optimizer.name"], OPTIMIZER_PARAMS, "optimizer.name")
    given = parameters["optimizer.params"]
    refuse_named(given, _NO_PARAMETERS, "optimizer.params")
    params = merged(OPTIMIZER_PARAMS[name], given, "optimizer.params")
    if name == "Momentum" and given.get("momentum") is None:
        raise OptionError("optimizer.params: Momentum needs a `momentum`, it has no default")
    for argument, value in params.items():
        _check(argument, value)
    if name == "Adam" and params["epsilon"] == 0:
        raise OptionError(
            "optimizer.params: epsilon of Adam must be above 0: what has had no gradient yet is divided by it"
        )
    for limit in ("optimizer.clip_gradients", "optimizer.clip_embed_gradients"):
        if parameters[limit] < 0:
            raise OptionError(f"{limit} must be at least 0, not {parameters[limit]}")
    return OptimizerSettings(name, params, parameters["optimizer.clip_gradients"])


def _check(argument: str, value: Any) -> None:
    """Raise OptionError for a number outside the argument's range; true and false count as 1 and 0."""
    if argument == "learning_rate_power":
        fits, range_ = value <= 0, "at most 0"
    elif argument in _BELOW_ONE:
        fits, range_ = 0 <= value < 1, "at least 0 and below 1"
    elif argument in _ABOVE_ZERO:
        fits, range_ = value > 0, "above 0"
    else:
        fits, range_ = value >= 0, "at least 0"
    if not fits:
        raise OptionError(f"optimizer.params: {argument} must be {range_}, not {value}")
