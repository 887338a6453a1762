"""Combine the options of a checkpoint and of the command line that restarts its training.

Without `-continue` the checkpoint decides what the model is, and the command line everything else. With it,
the checkpoint also decides how training goes on (`train_state` options). OpenNMT Lua's rules:
onmt/train/Saver.lua.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from onmt.commandline import instances
from onmt.commandline.schema import Kind, Option, declared_options
from onmt.commandline.values import text_of
from onmt.google.options import STEPS_BETWEEN_EVALUATIONS
from onmt.training.options import SaverOptions

_Options = TypeVar("_Options", bound=SaverOptions)

_RESTORED_UNLESS_GIVEN: Final = frozenset(
    {
        "seed",
        "scheduled_sampling",
        "scheduled_sampling_scope",
        "scheduled_sampling_decay_type",
        "scheduled_sampling_decay_rate",
    }
)
"""Neither structural nor training state, but part of what the checkpoint's model has been trained with."""


@dataclass
class Restart(Generic[_Options]):
    """The options to go on with, warnings for the log, and by name what has a new value in the model."""

    options: _Options
    warnings: list[str] = field(default_factory=list)
    applied: dict[str, str] = field(default_factory=dict)


def restart_options(
    options: _Options, given: Set[str], saved: Mapping[str, Any], learning_rate: float, epoch: int
) -> Restart[_Options]:
    """Bring the options of a restarted run and the `saved` ones of its checkpoint together.

    given: the flags that the user set; saved: values by flag, ours or of a Lua model. learning_rate, epoch:
    where the checkpoint's training stands; a user who asks for another learning rate or epoch does not want
    to continue it.
    """
    declared = {option.flag: option for option in declared_options(type(options))}
    restored = typed_values(type(options), saved)
    restart = Restart(options)
    wanted = {flag: instances.value_of(options, declared[flag]) for flag in given if flag in declared}
    continues = options.continue_ and not _cancelled(restart, wanted, restored, learning_rate, epoch)
    values: dict[str, Any] = {"continue": continues}
    for flag, value in restored.items():
        differs = flag in wanted and wanted[flag] != value
        if _is_fixed(declared[flag]):
            values[flag] = value
            if differs:
                restart.warnings.append(f"Cannot change the option -{flag} of the model. Ignoring.")
        elif declared[flag].info.structural == 1:
            if differs:
                restart.applied[flag] = text_of(wanted[flag])
            elif flag not in wanted:
                values[flag] = value
        elif declared[flag].info.train_state:
            if continues:
                values[flag] = value
                if differs:
                    restart.warnings.append(f"Cannot change the option -{flag} with -continue. Ignoring.")
        elif flag in _RESTORED_UNLESS_GIVEN and flag not in wanted:
            values[flag] = value
    if continues and not wanted.keys() & {"train_steps", "end_epoch"}:
        values["train_steps"] = restored.get("train_steps", 0)
    # With -continue `implied_flags` leaves this to the checkpoint; here it may have been cancelled since.
    if not continues and wanted.get("train_steps") and "eval_every_n_steps" not in wanted:
        values["eval_every_n_steps"] = STEPS_BETWEEN_EVALUATIONS
    restart.options = instances.replace(options, values)
    return restart


def typed_values(options: type[SaverOptions], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values, ours or of a Lua model, as the options' types; those that cannot be are left out."""
    declared = {option.flag: option for option in declared_options(options)}
    typed = {flag: _typed(declared[flag], value) for flag, value in saved.items() if flag in declared}
    return {flag: value for flag, value in typed.items() if value is not None}


def _cancelled(
    restart: Restart[_Options],
    wanted: Mapping[str, Any],
    restored: Mapping[str, Any],
    learning_rate: float,
    epoch: int,
) -> bool:
    """Whether the user sets what only a new training can have."""
    for flag, now in (("learning_rate", learning_rate), ("start_epoch", epoch)):
        if flag in wanted and wanted[flag] not in (now, restored.get(flag)):
            restart.warnings.append(
                f"-{flag} {text_of(wanted[flag])} is not that of the checkpoint: -continue is cancelled."
            )
            return True
    return False


def _is_fixed(option: Option) -> bool:
    return option.info.structural == 0 or option.info.init_only


def _typed(option: Option, value: Any) -> Any:
    """A stored value as the option's type, None if it cannot be one; Lua may have stored 0 for false."""
    if not option.is_list:
        return _typed_element(option.kind, value)
    if not isinstance(value, list | tuple):
        return None
    elements = tuple(_typed_element(option.kind, element) for element in value)
    return None if None in elements else elements


def _typed_element(kind: Kind, value: Any) -> Any:
    if kind in (Kind.BOOLEAN, Kind.BOOLEAN_OR_STRING):
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        return value if kind is Kind.BOOLEAN_OR_STRING and isinstance(value, str) else None
    if isinstance(value, bool):
        return None
    if kind is Kind.STRING:
        return value if isinstance(value, str) else None
    if kind is Kind.NUMBER:
        return float(value) if isinstance(value, int | float) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None
