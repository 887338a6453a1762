"""Options from Python values: keyword arguments of the Python API, entries of a YAML file. No torch here."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeVar

from onmt.commandline import instances
from onmt.commandline.given import Given, check_required, validate
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.suggestions import did_you_mean
from onmt.commandline.values import convert, show
from onmt.errors import OptionError

Options = TypeVar("Options")


def options_from(options: type[Options], values: Mapping[str, object], where: str = "") -> Options:
    """An instance with these values by flag, checked as a command line is.

    where: put before messages, as in `models.yml, line 3: `. Raises OptionError for flags that do not exist,
    naming the nearest one, for values that do not fit, alone or together, and for required ones missing.
    """
    table = {option.flag: option for option in declared_options(options)}
    given: dict[str, Given] = {}
    try:
        for flag, value in values.items():
            if flag not in table:
                raise OptionError(f"unknown option '{flag}'{did_you_mean(flag, table, '')}")
            given[flag] = Given(_converted(table[flag], value))
        check_required(given, list(table.values()))
        for flag, entry in given.items():
            validate(table[flag], entry)
        made = instances.replace(options(), {flag: entry.value for flag, entry in given.items()})
        instances.check(made)
    except OptionError as error:
        raise OptionError(f"{where}{error}") from None
    return made


def _converted(option: Option, value: object) -> Any:
    if option.is_list:
        elements = value if isinstance(value, list | tuple) else (value,)
        return convert(option, [_word(option, element) for element in elements])
    return convert(option, [_word(option, value)])


def _word(option: Option, value: object) -> str:
    """The value as a command line would have it."""
    if isinstance(value, str | PurePath):
        return str(value)
    if isinstance(value, bool | int | float):
        return show(value)
    kind = "empty" if value is None else f"a {type(value).__name__}"
    raise OptionError(f"invalid argument for option {option.shown}: it must not be {kind}")
