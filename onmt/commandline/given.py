"""What the user gave, checked: deprecated flags, required options, validators."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onmt.commandline.schema import Option
from onmt.commandline.values import show
from onmt.errors import OptionError


@dataclass(frozen=True)
class Given:
    """A value that the user gave; `place` is `file:line: ` for one from the configuration file."""

    value: Any
    place: str = ""


def replace_deprecated(given: dict[str, Given], declared: Iterable[Option]) -> tuple[str, ...]:
    """Move values of deprecated flags to the options that stand for them now, and say so in a warning each.

    Raises OptionError when the same source sets both, and differently.
    """
    warnings = []
    for option in declared:
        if option.info.deprecated is None or option.flag not in given:
            continue
        old = given.pop(option.flag)
        if old.value == option.default:  # as every file has it that the original's -save_config wrote
            continue
        name, value = option.info.deprecated
        flag = option.prefix + name
        new = given.get(flag)
        warnings.append(f"{old.place}option -{option.flag} is deprecated, use -{flag} {show(value)}")
        if new is not None and new.value != value and bool(new.place) == bool(old.place):
            raise OptionError(
                f"{old.place}-{option.flag} means -{flag} {show(value)}, but -{flag} is {show(new.value)}"
            )
        if new is None or not old.place:
            given[flag] = Given(value, old.place)
    return tuple(warnings)


def check_required(given: Mapping[str, Given], declared: Sequence[Option]) -> None:
    """Raise OptionError for a required option that is missing or empty, unless a dry run needs none."""
    if any(option.info.dry and given.get(option.flag, Given(option.default)).value for option in declared):
        return
    for option in declared:
        if not option.info.required or given.get(option.flag, Given("")).value not in ("", ()):
            continue
        accepted = f" (one of: {', '.join(option.accepted)})" if option.accepted else ""
        if option.info.positional:
            raise OptionError(f"not enough arguments: {option.shown} is missing{accepted}")
        raise OptionError(f"missing required option {option.shown}{accepted}")


def validate(option: Option, given: Given) -> None:
    """Raise OptionError for a value that the option's validator refuses."""
    if option.info.valid is None or given.value == option.default:  # a default may stand for "none"
        return
    problem = option.info.valid(given.value)
    if problem is not None:
        raise OptionError(f"{given.place}invalid argument for option {option.shown}: {problem}")
