"""The command line over the configuration file: configargparse does the work, on words without ambiguity."""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import configargparse

from onmt.commandline.config_file import EntriesParser, Entry, read_entries
from onmt.commandline.schema import Option
from onmt.errors import OptionError


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file that has been read; nothing in it where none was given."""

    path: str = ""
    content: bytes = b""
    entries: tuple[Entry, ...] = ()


def read_config(path: str) -> ConfigFile:
    """Read a file, `-` standard input, an empty name nothing. Raises OptionError when that cannot be done."""
    if not path:
        return ConfigFile()
    try:
        if path == "-" and sys.stdin is not None:
            content = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                content = file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OptionError(f"cannot read -config {path}: {reason}") from error
    return ConfigFile(path, content, read_entries(path, content))


class _Merger(configargparse.ArgumentParser):  # type: ignore[misc] # configargparse has no types
    """Lays the command line over the configuration file; each value is a JSON list of words."""

    def __init__(self, table: Mapping[str, Option], config: ConfigFile) -> None:
        def opened() -> io.BytesIO:
            return _NamedBytes(config)

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


class _NamedBytes(io.BytesIO):
    """The content of a file under its name."""

    def __init__(self, config: ConfigFile) -> None:
        super().__init__(config.content)
        self.name = config.path


def merge(
    table: Mapping[str, Option], words: Mapping[str, Sequence[str]], config: ConfigFile
) -> dict[str, tuple[str, ...]]:
    """The words of each flag: those of the command line, or else those of the configuration file."""
    merger = _Merger(table, config)
    namespace = merger.parse_args([f"--{flag}={json.dumps(own)}" for flag, own in words.items()], env_vars={})
    return {flag: tuple(own) for flag, own in vars(namespace).items()}
