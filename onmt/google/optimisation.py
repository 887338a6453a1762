"""google/seq2seq's optimizer parameters: optimisers and learning rate schedules. Torch-free."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from onmt.commandline.values import did_you_mean
from onmt.errors import OptionError
from onmt.google.parameters import class_name, merged, refuse_named

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
"""Arguments of TensorFlow's optimisers that are refused here, and why."""

_BELOW_ONE: Final = ("beta1", "beta2", "decay")
_ABOVE_ZERO: Final = ("initial_accumulator_value",)


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimiser with all its arguments. clip_gradients: largest norm of the gradients (0: no limit)."""

    name: str
    params: Mapping[str, Any]
    clip_gradients: float


def optimizer_settings(parameters: Mapping[str, Any]) -> OptimizerSettings:
    """Read the optimiser from checked model parameters. Raises OptionError for invalid arguments."""
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
            "optimizer.params: epsilon of Adam must be above 0: parameters without a gradient so far are "
            "divided by it"
        )
    for limit in ("optimizer.clip_gradients", "optimizer.clip_embed_gradients"):
        if parameters[limit] < 0:
            raise OptionError(f"{limit} must be at least 0, not {parameters[limit]}")
    return OptimizerSettings(name, params, parameters["optimizer.clip_gradients"])


def _check(argument: str, value: Any) -> None:
    """Raise OptionError for a value outside the argument's range; true and false count as 1 and 0."""
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


DecayType = Literal["", "exponential_decay", "natural_exp_decay", "inverse_time_decay"]

_DECAYS: Final[tuple[DecayType, ...]] = ("exponential_decay", "natural_exp_decay", "inverse_time_decay")
_PARAMETERS: Final = (
    "decay_type",
    "decay_steps",
    "decay_rate",
    "start_decay_at",
    "stop_decay_at",
    "min_learning_rate",
    "staircase",
)
"""Names of the parameters, without `optimizer.lr_`."""

_OTHER_ARGUMENTS: Final[Mapping[str, str]] = {
    "polynomial_decay": "end_learning_rate and power",
    "piecewise_constant": "boundaries and values",
}
"""Other schedules of TensorFlow 1.0, and the arguments that they would need."""


@dataclass(frozen=True, kw_only=True)
class StepSchedule:
    """The learning rate as a function of the number of finished steps.

    With s = min(step, `stop`) - `start`, n = `decay_steps`, r = `decay_rate`: exponential_decay gives
    rate r^(s/n), natural_exp_decay rate e^(-r s/n), inverse_time_decay rate / (1 + r s/n). `staircase` rounds
    s/n down. Up to step `start` the rate is constant. With a decay, the rate never falls below `minimum`.
    """

    rate: float
    decay: DecayType
    decay_steps: int
    decay_rate: float
    start: int
    stop: int
    minimum: float
    staircase: bool

    def after(self, steps: int) -> float:
        """Return the rate of the next step, after this many finished steps."""
        if not self.decay:
            return self.rate
        if steps <= self.start:
            return max(self.rate, self.minimum)
        passed = (min(steps, self.stop) - self.start) / self.decay_steps
        if self.staircase:
            passed = math.floor(passed)
        return max(self.rate * self._factor(passed), self.minimum)

    def _factor(self, passed: float) -> float:
        if self.decay == "exponential_decay":
            return self.decay_rate**passed
        if self.decay == "natural_exp_decay":
            return math.exp(-self.decay_rate * passed)
        return 1 / (1 + self.decay_rate * passed)


def schedule_of(parameters: Mapping[str, Any]) -> StepSchedule:
    """Read the schedule from checked model parameters. Raises OptionError for invalid values."""
    lr = {name: parameters[f"optimizer.lr_{name}"] for name in _PARAMETERS}
    rate = parameters["optimizer.learning_rate"]
    if rate <= 0:
        raise OptionError(f"optimizer.learning_rate must be above 0, not {rate}")
    if lr["decay_steps"] < 1:
        raise OptionError(f"optimizer.lr_decay_steps must be at least 1, not {lr['decay_steps']}")
    decay = _decay_type(lr["decay_type"])
    largest = 1.0 if decay == "exponential_decay" else math.inf
    if not 0 < lr["decay_rate"] <= largest:
        limit = " and at most 1" if decay == "exponential_decay" else ""
        raise OptionError(f"optimizer.lr_decay_rate must be above 0{limit}, not {lr['decay_rate']}")
    if lr["min_learning_rate"] <= 0:
        raise OptionError(f"optimizer.lr_min_learning_rate must be above 0, not {lr['min_learning_rate']}")
    if lr["start_decay_at"] > lr["stop_decay_at"]:
        raise OptionError("optimizer.lr_stop_decay_at must not come before optimizer.lr_start_decay_at")
    return StepSchedule(
        rate=rate,
        decay=decay,
        decay_steps=lr["decay_steps"],
        decay_rate=lr["decay_rate"],
        start=lr["start_decay_at"],
        stop=lr["stop_decay_at"],
        minimum=lr["min_learning_rate"],
        staircase=lr["staircase"],
    )


def _decay_type(name: str) -> DecayType:
    short = name.split(".")[-1]
    if short in _OTHER_ARGUMENTS:
        raise OptionError(
            f"optimizer.lr_decay_type {name} takes {_OTHER_ARGUMENTS[short]}, but the parameters there are "
            f"(lr_decay_steps, lr_decay_rate, lr_staircase) fit {', '.join(_DECAYS)}"
        )
    for decay in ("", *_DECAYS):
        if short == decay:
            return decay
    raise OptionError(
        f"optimizer.lr_decay_type '{name}' is not one of {', '.join(_DECAYS)}"
        f"{did_you_mean(short, _DECAYS, '')}"
    )
