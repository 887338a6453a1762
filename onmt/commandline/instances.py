"""Build, convert and compare instances of option classes, and the flags that the user gave."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from onmt.commandline.schema import Kind, Option, declared_options
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


Instance = TypeVar("Instance")


def value_of(options: Any, option: Option) -> Any:
    """The value that an instance holds for one of its options."""
    value = options
    for name in option.path:
        value = getattr(value, name)
    return value


def replace(options: Instance, values: Mapping[str, Any]) -> Instance:
    """A copy with other values, given by flag (`tok_src_mode` reaches into its group).

    Whether the values fit is not checked here, see `check`. Raises OptionError for unknown flags.
    """
    paths = {option.flag: option.path for option in declared_options(type(options))}
    for flag in values:
        if flag not in paths:
            raise OptionError(f"unknown option -{flag}")
    return _with_values(options, {paths[flag]: value for flag, value in values.items()})


def check(options: Any) -> None:
    """Call the `check` of every class that the instance is made of, nested groups included.

    Raises OptionError from the first that finds options which do not fit together.
    """
    for owner in type(options).__mro__:
        own_check: Callable[[Any], None] | None = vars(owner).get("check")
        if own_check is not None:
            own_check(options)
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            check(value)


def to_dict(options: Any) -> dict[str, Any]:
    """The values by flag, JSON-like: lists for tuples. Deprecated flags are left out, they hold nothing."""
    stored = {}
    for option in declared_options(type(options)):
        if option.info.deprecated is None:
            value = value_of(options, option)
            stored[option.flag] = list(value) if option.is_list else value
    return stored


def from_dict(options: type[Instance], stored: Mapping[str, Any]) -> Instance:
    """The instance that `to_dict` stored; options that are not stored take their defaults.

    Raises OptionError for flags that `options` does not know and for values of another type.
    """
    by_flag = {option.flag: option for option in declared_options(options)}
    values = {}
    for flag, value in stored.items():
        if flag not in by_flag:
            raise OptionError(f"stored options: unknown option -{flag}")
        values[flag] = _restored(by_flag[flag], value)
    return replace(options(), values)


def _with_values(options: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    own = {path[0]: value for path, value in values.items() if len(path) == 1}
    nested: dict[str, dict[tuple[str, ...], Any]] = {}
    for path, value in values.items():
        if len(path) > 1:
            nested.setdefault(path[0], {})[path[1:]] = value
    for name, inner in nested.items():
        own[name] = _with_values(getattr(options, name), inner)
    return dataclasses.replace(options, **own)


_TYPES = {
    Kind.STRING: (str,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.BOOLEAN_OR_STRING: (bool, str),
}


def _restored(option: Option, value: Any) -> Any:
    if not option.is_list:
        return _restored_element(option, value)
    if not isinstance(value, list | tuple):
        raise OptionError(f"stored options: {option.shown} should be a list, not {value!r}")
    return tuple(_restored_element(option, element) for element in value)


def _restored_element(option: Option, value: Any) -> Any:
    is_boolean = isinstance(value, bool)
    fits = isinstance(value, _TYPES[option.kind]) and not (is_boolean and bool not in _TYPES[option.kind])
    accepted = is_boolean or not option.accepted or value in option.accepted
    if not fits or not accepted:
        raise OptionError(f"stored options: {option.shown} cannot be {value!r}")
    return float(value) if option.kind is Kind.NUMBER else value
