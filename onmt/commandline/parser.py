"""Parsing of a command line: flags, config file, implied flags. Refuses to overwrite a file that is read.

An option reads the files that it names if its `valid` requires them to exist, or the files of its `reads`. It
writes the files of its `writes`. Both are patterns of names in which `{}` is the option's value: `{}_epoch*`
matches all models of a training. Links and relative names are resolved. Devices and pipes are ignored.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from onmt.commandline.argv import UnknownOptionError, read_arguments, split
from onmt.commandline.config_file import (
    BYTE_ORDER_MARK,
    ConfigFile,
    entry_words,
    known_entries,
    leading_word,
    merge_with_config,
    read_config,
    write_config,
)
from onmt.commandline.declare import (
    HELP_FLAGS,
    BuiltInOptions,
    Validator,
    existing_checkpoint_or_empty,
    existing_file,
    existing_file_or_empty,
    existing_model,
    existing_model_or_empty,
)
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.script import HelpRequested, Options, Parsed, Script, help_text, markdown_text
from onmt.commandline.values import (
    Given,
    check_options,
    check_required,
    convert,
    replace_deprecated,
    replace_options,
    validate,
    value_of,
)
from onmt.constants import VERSION
from onmt.errors import OptionError

_WANT_A_FILE: Final[tuple[Validator, ...]] = (
    existing_file,
    existing_file_or_empty,
    existing_checkpoint_or_empty,
    existing_model,
    existing_model_or_empty,
)


class _Named(NamedTuple):
    """A pattern of file names for one value of an option. literal: the pattern is a single name."""

    option: Option
    value: str
    pattern: str
    literal: bool


def refuse_overwriting(values: Sequence[tuple[Option, Any]]) -> None:
    """Raise OptionError if an option writes a file that another one reads or writes."""
    read = [named for option, value in values for named in _named(option, value, _reads(option))]
    written = [named for option, value in values for named in _named(option, value, option.info.writes)]
    for place, result in enumerate(written):
        for other in read:
            if other.option.flag in result.option.info.replaces or other.option is result.option:
                continue
            if any(_meets(result, path) for path in _existing(other)):
                raise OptionError(
                    f"'{result.value}' is read by this run: writing results to it would destroy it "
                    f"({result.option.shown} and {other.option.shown})"
                )
        for other in written[:place]:
            if other.option is not result.option and _same_result(result, other):
                raise OptionError(
                    f"'{result.value}' cannot be the file of two results "
                    f"({other.option.shown} and {result.option.shown})"
                )


def _reads(option: Option) -> tuple[str, ...]:
    return ("{}",) if option.info.valid in _WANT_A_FILE else option.info.reads


def _named(option: Option, value: Any, patterns: Iterable[str]) -> Iterator[_Named]:
    names = value if isinstance(value, tuple) else (value,)
    for name in names:
        if isinstance(name, str) and name not in ("", "-"):
            for pattern in patterns:
                literal = "*" not in pattern
                shown = name if literal else glob.escape(name)
                yield _Named(option, name, pattern.replace("{}", shown), literal)


def _existing(named: _Named) -> list[str]:
    """Return the real paths of existing files that are read. A missing `.t7` stands for its `.pt`."""
    paths = [named.pattern] if named.literal else glob.glob(named.pattern)
    stem, ending = os.path.splitext(named.pattern)
    if named.literal and ending == ".t7" and not os.path.exists(named.pattern):
        paths = [f"{stem}.pt"]
    return [os.path.realpath(path) for path in paths if os.path.isfile(path)]


def _meets(result: _Named, path: str) -> bool:
    """Return whether a result would be written to the file with this real path."""
    if result.literal:
        real = os.path.realpath(result.pattern)
        return real == path or (
            os.path.exists(real) and os.path.exists(path) and os.path.samefile(real, path)
        )
    folder, name = os.path.split(result.pattern)
    here, base = os.path.split(path)
    return os.path.realpath(_unescaped(folder) or ".") == here and fnmatchcase(base, name)


def _unescaped(text: str) -> str:
    """Undo `glob.escape`."""
    return text.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[")


def _same_result(one: _Named, other: _Named) -> bool:
    if not one.literal and not other.literal:
        return one.pattern == other.pattern
    exact, either = (one, other) if one.literal else (other, one)
    real = os.path.realpath(exact.pattern)
    return not (os.path.exists(real) and not os.path.isfile(real) and not os.path.isdir(real)) and _meets(
        either, real
    )


def parse(script: Script[Options], argv: Sequence[str]) -> Parsed[Options]:
    """Parse a command line. Raises OptionError, and HelpRequested if it asks for help or the version."""
    on_command_line = {occurrence.flag: " ".join(occurrence.words[:1]) for occurrence in split(argv)[1]}
    if on_command_line.keys() & HELP_FLAGS:
        raise HelpRequested(_answer(script, on_command_line))
    config = read_config(on_command_line.get("config", ""))
    selection = {entry.key: leading_word(entry) for entry in config.entries} | on_command_line
    chosen = script.choose(selection)
    declared = declared_options(chosen)
    table = {option.flag: option for option in (*declared, *_FILE_OPTIONS)}
    try:
        words = read_arguments(argv, table)
        given = _values(table, words, merge_with_config(table, words, config), config)
    except UnknownOptionError as error:
        raise _better_advice(error, script, table, selection) from None
    save_config = given.pop("save_config", Given("")).value
    given.pop("config", None)
    as_written = {flag: entry.value for flag, entry in given.items() if entry.value != table[flag].default}
    warnings = replace_deprecated(given, declared)
    # `imply` receives deprecated flags too, so that its errors name the flag that the user wrote.
    deprecated = {flag: value for flag, value in as_written.items() if flag not in given}
    implied = script.imply(deprecated | {flag: entry.value for flag, entry in given.items()})
    given |= {flag: Given(value) for flag, value in implied.values.items()}
    check_required(given, declared)
    for flag, entry in given.items():
        validate(table[flag], entry)
    options = replace_options(chosen(), {flag: entry.value for flag, entry in given.items()})
    check_options(options)
    values = [(option, value_of(options, option)) for option in declared]
    own = [(table["config"], on_command_line.get("config", "")), (table["save_config"], save_config)]
    refuse_overwriting([*values, *own])
    if save_config:
        idle = implied.idle
        kept = [(one, value) for one, value in values if not (one.info.deprecated or one.flag in idle)]
        write_config(save_config, kept)
    notices = (*_notices(config, table, words), *implied.notices)
    return Parsed(options, frozenset(given), notices, (*warnings, *implied.warnings))


_FILE_OPTIONS = tuple(
    option for option in declared_options(BuiltInOptions) if option.flag in ("config", "save_config")
)


def _answer(script: Script[Any], on_command_line: Mapping[str, str]) -> str:
    if "version" in on_command_line:
        return f"{script.name} {VERSION}"
    chosen = script.choose(on_command_line)
    return markdown_text(script, chosen) if "md" in on_command_line else help_text(script, chosen)


def _values(
    table: Mapping[str, Option],
    on_command_line: Mapping[str, Sequence[str]],
    merged: Mapping[str, Sequence[str]],
    config: ConfigFile,
) -> dict[str, Given]:
    """Return typed values, with file and line for those from the configuration file."""
    places = {entry.key: f"{entry.place}: " for entry in config.entries if entry.key not in on_command_line}
    values = {}
    for flag, words in merged.items():
        place = places.get(flag, "")
        try:
            values[flag] = Given(convert(table[flag], words), place)
        except OptionError as error:
            raise OptionError(f"{place}{error}") from None
    return values


def _notices(
    config: ConfigFile, table: Mapping[str, Option], on_command_line: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return log lines about the configuration file: overridden keys, and a byte order mark if present."""
    passed_over = f"{config.path}:1: the byte order mark at offset 0 is passed over"
    overridden = [
        f"{entry.place}: {entry.key} is overridden by -{entry.key} on the command line"
        for entry in known_entries(config.entries, table)
        if entry.key in on_command_line
        and entry_words(entry, table[entry.key]) != tuple(on_command_line[entry.key])
    ]
    return (*([passed_over] if config.content.startswith(BYTE_ORDER_MARK) else []), *overridden)


def _better_advice(
    error: UnknownOptionError, script: Script[Any], table: Mapping[str, Option], selection: Mapping[str, str]
) -> OptionError:
    """Name the values of a selector with which an unknown option exists; without any, return `error`."""
    for selector in script.selectors:
        values = [
            value
            for value in table[selector].accepted
            if any(
                error.flag == option.flag
                for option in declared_options(script.choose({**selection, selector: value}))
            )
        ]
        if values:
            needed = " or ".join(values)
            return OptionError(
                f"{error.place}unknown option -{error.flag}; it exists with -{selector} {needed}"
            )
    return error
