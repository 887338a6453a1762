"""From the words of a command line and a configuration file to one checked instance of options.

The order of work: help, the choice of the set of options, words, values, deprecated flags, what is required,
conditions between options, `-save_config`. Unlike in Lua, the command line beats the configuration file.
"""

import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import configargparse

from onmt.commandline import instances
from onmt.commandline.argv import UnknownOptionError, read_arguments, split
from onmt.commandline.builtin import HELP_FLAGS, BuiltInOptions
from onmt.commandline.config_file import (
    EntriesParser,
    Entry,
    entry_words,
    leading_word,
    read_entries,
    write_config,
)
from onmt.commandline.help import help_text, markdown_text
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.script import HelpRequested, Options, Parsed, Script
from onmt.commandline.values import convert, show
from onmt.errors import OptionError
from onmt.version import VERSION


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file that has been read; nothing in it where none was given."""

    path: str = ""
    content: bytes = b""
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Given:
    """A value that the user gave; `place` is `file:line: ` for one from the configuration file."""

    value: Any
    place: str = ""


def parse(script: Script[Options], argv: Sequence[str]) -> Parsed[Options]:
    """Read a command line. Raises OptionError, or HelpRequested when a text is wanted instead of a run."""
    on_command_line = {occurrence.flag: " ".join(occurrence.words[:1]) for occurrence in split(argv)[1]}
    if on_command_line.keys() & HELP_FLAGS:
        raise HelpRequested(_answer(script, on_command_line))
    config = _read_config(on_command_line.get("config", ""))
    selection = {entry.key: leading_word(entry) for entry in config.entries} | on_command_line
    chosen = script.choose(selection)
    declared = declared_options(chosen)
    table = {option.flag: option for option in (*declared, *_FILE_OPTIONS)}
    try:
        words = read_arguments(argv, table)
        given = _values(table, words, _merge(table, words, config), config)
    except UnknownOptionError as error:
        raise _better_advice(error, script, table, selection) from None
    notices = _notices(config, table, words)
    save_config = given.pop("save_config", Given("")).value
    given.pop("config", None)
    warnings = _replace_deprecated(given, declared)
    _check_required(given, declared)
    for flag, entry in given.items():
        _validate(table[flag], entry)
    options = instances.replace(chosen(), {flag: entry.value for flag, entry in given.items()})
    instances.check(options)
    if save_config:
        current = [option for option in declared if option.info.deprecated is None]
        write_config(save_config, [(option, instances.value_of(options, option)) for option in current])
    return Parsed(options, frozenset(given), notices, warnings)


_FILE_OPTIONS = tuple(
    option for option in declared_options(BuiltInOptions) if option.flag in ("config", "save_config")
)


class _Merger(configargparse.ArgumentParser):  # type: ignore[misc] # configargparse has no types
    """Lays the command line over the configuration file; each value is a JSON list of words."""

    def __init__(self, table: Mapping[str, Option], config: ConfigFile) -> None:
        def opened() -> io.BytesIO:
            return NamedBytes(config)

        super().__init__(
            add_help=False,
            allow_abbrev=False,
            add_config_file_help=False,
            add_env_var_help=False,
            config_file_parser_class=EntriesParser(table),
            default_config_files=[opened] if config.path else [],
        )
        for flag in table:
            self.add_argument(f"--{flag}", dest=flag, type=json.loads, default=configargparse.SUPPRESS)

    def error(self, message: str) -> NoReturn:
        """A line instead of argparse's usage text and exit."""
        raise OptionError(message)


class NamedBytes(io.BytesIO):
    """The content of a file under its name."""

    def __init__(self, config: ConfigFile) -> None:
        super().__init__(config.content)
        self.name = config.path


def _merge(
    table: Mapping[str, Option], words: Mapping[str, Sequence[str]], config: ConfigFile
) -> dict[str, tuple[str, ...]]:
    """The words of each flag: those of the command line, or else those of the configuration file."""
    merger = _Merger(table, config)
    namespace = merger.parse_args([f"--{flag}={json.dumps(own)}" for flag, own in words.items()], env_vars={})
    return {flag: tuple(own) for flag, own in vars(namespace).items()}


def _answer(script: Script[Any], on_command_line: Mapping[str, str]) -> str:
    if "version" in on_command_line:
        return f"{script.name} {VERSION}"
    chosen = script.choose(on_command_line)
    return markdown_text(script, chosen) if "md" in on_command_line else help_text(script, chosen)


def _read_config(path: str) -> ConfigFile:
    if not path:
        return ConfigFile()
    try:
        if path == "-":
            content = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                content = file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OptionError(f"cannot read -config {path}: {reason}") from error
    return ConfigFile(path, content, read_entries(path, content))


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
    """A line for each key of the configuration file that the command line overrides."""
    return tuple(
        f"{entry.place}: {entry.key} is overridden by -{entry.key} on the command line"
        for entry in config.entries
        if entry.key in on_command_line
        and entry_words(entry, table[entry.key]) != tuple(on_command_line[entry.key])
    )


def _replace_deprecated(given: dict[str, Given], declared: Iterable[Option]) -> tuple[str, ...]:
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


def _check_required(given: Mapping[str, Given], declared: Sequence[Option]) -> None:
    if any(option.info.dry and given.get(option.flag, Given(option.default)).value for option in declared):
        return
    for option in declared:
        if not option.info.required or given.get(option.flag, Given("")).value not in ("", ()):
            continue
        accepted = f" (one of: {', '.join(option.accepted)})" if option.accepted else ""
        if option.info.positional:
            raise OptionError(f"not enough arguments: {option.shown} is missing{accepted}")
        raise OptionError(f"missing required option {option.shown}{accepted}")


def _validate(option: Option, given: Given) -> None:
    if option.info.valid is None or given.value == option.default:  # a default may stand for "none"
        return
    problem = option.info.valid(given.value)
    if problem is not None:
        raise OptionError(f"{given.place}invalid argument for option {option.shown}: {problem}")


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
