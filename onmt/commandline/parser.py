"""From the words of a command line and a configuration file to one checked instance of options.

The order of work: help, the choice of the set of options, words, values, deprecated flags, what is required,
conditions between options, `-save_config`. Unlike in Lua, the command line beats the configuration file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from onmt.commandline import instances
from onmt.commandline.argv import UnknownOptionError, read_arguments, split
from onmt.commandline.builtin import HELP_FLAGS, BuiltInOptions
from onmt.commandline.config_file import (
    BYTE_ORDER_MARK,
    entry_words,
    known_entries,
    leading_word,
    write_config,
)
from onmt.commandline.file_safety import refuse_overwriting
from onmt.commandline.given import Given, check_required, replace_deprecated, validate
from onmt.commandline.help import help_text, markdown_text
from onmt.commandline.merge import ConfigFile, merge, read_config
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.script import HelpRequested, Options, Parsed, Script
from onmt.commandline.values import convert
from onmt.errors import OptionError
from onmt.version import VERSION


def parse(script: Script[Options], argv: Sequence[str]) -> Parsed[Options]:
    """Read a command line. Raises OptionError, or HelpRequested when a text is wanted instead of a run."""
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
        given = _values(table, words, merge(table, words, config), config)
    except UnknownOptionError as error:
        raise _better_advice(error, script, table, selection) from None
    notices = _notices(config, table, words)
    save_config = given.pop("save_config", Given("")).value
    given.pop("config", None)
    as_written = {flag: entry.value for flag, entry in given.items() if entry.value != table[flag].default}
    warnings = replace_deprecated(given, declared)
    # Deprecated flags are told too, so that what is refused is refused by the name that the user wrote.
    deprecated = {flag: value for flag, value in as_written.items() if flag not in given}
    implied = script.imply(deprecated | {flag: entry.value for flag, entry in given.items()})
    given |= {flag: Given(value) for flag, value in implied.values.items()}
    check_required(given, declared)
    for flag, entry in given.items():
        validate(table[flag], entry)
    options = instances.replace(chosen(), {flag: entry.value for flag, entry in given.items()})
    instances.check(options)
    file_options = [
        *((option, instances.value_of(options, option)) for option in declared),
        (table["config"], on_command_line.get("config", "")),
        (table["save_config"], save_config),
    ]
    refuse_overwriting(file_options)
    if save_config:
        current = [
            option
            for option in declared
            if option.info.deprecated is None and option.flag not in implied.idle
        ]
        write_config(save_config, [(option, instances.value_of(options, option)) for option in current])
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
    """Typed values, with the place of those from the configuration file."""
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
    """Lines for the log: overridden keys of the configuration file, and its byte order mark."""
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
    """Instead of the nearest name, tell with which choice of the script the option exists, if with any."""
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
