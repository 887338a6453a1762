"""Values of options: conversion from text and back, checks, storing and restoring."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from onmt.commandline.schema import Kind, Option, declared_options
from onmt.errors import OptionError


def did_you_mean(name: str, known: Iterable[str], mark: str = "-") -> str:
    """Return `; did you mean -x?` for the closest known name, or "" if none is close.

    mark: precedes the name, in place of the hyphen.
    """
    from difflib import get_close_matches  # here, because only error messages need it

    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {mark}{near[0]}?" if near else ""


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?")
_WHOLE = re.compile(r"[+-]?(?:[0-9]{1,200}|0[xX][0-9a-fA-F]{1,200})")
_LARGEST_INTEGER = 2**63 - 1  # what a tensor can hold


def is_boolean(word: str, option: Option) -> bool:
    """Return whether a word can be the value of a boolean option, rather than the next argument."""
    return word in _BOOLEANS or word in option.accepted


def convert(option: Option, words: Sequence[str]) -> Any:
    """Return the value of an option for the words that follow its flag.

    A boolean without a word gets the opposite of its default, as in Lua. Raises OptionError for words that
    are not valid values.
    """
    if option.is_list:
        return tuple(_convert_word(option, word) for word in words)
    if not words:
        assert option.takes_bare, "options without a value were refused when the words were read"
        return not option.default
    return _convert_word(option, words[0])


def show(value: Any) -> str:
    """Return a value as text that `convert` reads; elements of a list are separated by blanks."""
    if isinstance(value, tuple):
        return " ".join(show(element) for element in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _convert_word(option: Option, word: str) -> Any:
    if option.kind is Kind.BOOLEAN:
        return _boolean(option, word)
    if option.kind is Kind.BOOLEAN_OR_STRING and word in _BOOLEANS:
        return _BOOLEANS[word]
    if option.accepted and word not in option.accepted:
        accepted = ", ".join(option.accepted)
        raise OptionError(f"option {option.shown}: '{word}' is not in accepted values: {accepted}")
    if option.kind in (Kind.INTEGER, Kind.NUMBER):
        return _number(option, word)
    return _text(option, word)


def _text(option: Option, word: str) -> str:
    """Return the word if it can name a file, else raise OptionError: it must not contain a zero byte, nor
    half of a surrogate pair (from a JSON escape).
    """
    if "\0" in word:
        raise OptionError(f"invalid argument for option {option.shown}: the text has a zero byte")
    try:
        word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        message = f"invalid argument for option {option.shown}: the text is not valid Unicode"
        raise OptionError(message) from None
    return word


def _boolean(option: Option, word: str) -> bool:
    if word not in _BOOLEANS:
        raise OptionError(
            f"invalid argument '{word}' for boolean option {option.shown} (should be 0, 1, false or true)"
        )
    return _BOOLEANS[word]


def _number(option: Option, word: str) -> int | float:
    """Parse a number like Lua's `tonumber`: decimals, exponents, `0x10`; "inf" for float options only."""
    text = word.strip(" \t")
    exact: int | None = None
    if _WHOLE.fullmatch(text):
        exact = int(text, 16) if "x" in text.lower() else int(text)
    elif not _DECIMAL.fullmatch(text):
        should_be = "an integer" if option.kind is Kind.INTEGER else "a number"
        raise OptionError(f"invalid type for option {option.shown} (should be {should_be}, not '{word}')")
    if option.kind is Kind.NUMBER:
        return float(text if exact is None else exact)
    if exact is None:
        if not float(text).is_integer():
            raise OptionError(f"invalid type for option {option.shown} (should be an integer, not '{word}')")
        exact = int(float(text))
    if abs(exact) > _LARGEST_INTEGER:
        raise OptionError(f"invalid argument for option {option.shown}: the integer is too large")
    return exact


def text_of(value: Any) -> str:
    """Return the value of an option or a parameter as logs show it; lists are joined by blanks."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(map(text_of, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Given:
    """A value that the user gave; `place` is `file:line: ` if it comes from the configuration file."""

    value: Any
    place: str = ""


def replace_deprecated(given: dict[str, Given], declared: Iterable[Option]) -> tuple[str, ...]:
    """Move the values of deprecated flags to the options that replace them; return a warning for each.

    Raises OptionError when the same source (command line or file) gives the new option another value.
    """
    warnings = []
    for option in declared:
        if option.info.deprecated is None or option.flag not in given:
            continue
        old = given.pop(option.flag)
        if old.value == option.default:  # the original's -save_config writes all defaults into its files
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
    """Raise OptionError for a required option that is missing or empty, except in a dry run."""
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
    if option.info.valid is None or given.value == option.default:  # a default may mean "none"
        return
    problem = option.info.valid(given.value)
    if problem is not None:
        raise OptionError(f"{given.place}invalid argument for option {option.shown}: {problem}")


Instance = TypeVar("Instance")


def value_of(options: Any, option: Option) -> Any:
    """Return the value of an option in an instance."""
    value = options
    for name in option.path:
        value = getattr(value, name)
    return value


def replace_options(options: Instance, values: Mapping[str, Any]) -> Instance:
    """Return a copy with other values, by flag (`tok_src_mode` sets an option of a nested group).

    Does not check whether the values fit together, see `check_options`. Raises OptionError for unknown flags.
    """
    paths = {option.flag: option.path for option in declared_options(type(options))}
    for flag in values:
        if flag not in paths:
            raise OptionError(f"unknown option -{flag}")
    return _with_values(options, {paths[flag]: value for flag, value in values.items()})


def check_options(options: Any) -> None:
    """Call the `check` of the instance's class and of each base class and nested group.

    The first that finds options which do not fit together raises OptionError.
    """
    for owner in type(options).__mro__:
        own_check: Callable[[Any], None] | None = vars(owner).get("check")
        if own_check is not None:
            own_check(options)
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            check_options(value)


def options_to_dict(options: Any) -> dict[str, Any]:
    """Return the values by flag, JSON-like: tuples become lists. Deprecated flags are left out."""
    stored = {}
    for option in declared_options(type(options)):
        if option.info.deprecated is None:
            value = value_of(options, option)
            stored[option.flag] = list(value) if option.is_list else value
    return stored


def options_from_dict(options: type[Instance], stored: Mapping[str, Any]) -> Instance:
    """Return the instance that `options_to_dict` stored; options that are not stored get their defaults.

    Raises OptionError for flags that `options` does not declare and for values of the wrong type.
    """
    by_flag = {option.flag: option for option in declared_options(options)}
    values = {}
    for flag, value in stored.items():
        if flag not in by_flag:
            raise OptionError(f"stored options: unknown option -{flag}")
        values[flag] = _restored(by_flag[flag], value)
    return replace_options(options(), values)


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
