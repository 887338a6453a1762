"""Config files (`key = value`), which `-config` reads and `-save_config` writes; the command line wins.

    # a comment
    save_model = my model        # a value that is not a list extends to the end of line or a comment
    src_vocab_size = 50000 1000  # elements of a list are separated by blanks or commas
    log_tag = " # quoted "       # JSON quotes keep blanks at the ends, '#', commas, control characters

White space around an element of a list is never part of it, quoted or not. A key may have the hyphen of its
flag. The last of repeated keys counts.
"""

import io
import json
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NoReturn

import configargparse

from onmt.commandline.argv import UnknownOptionError, list_elements, split_list
from onmt.commandline.schema import Kind, Option
from onmt.commandline.values import did_you_mean, show
from onmt.errors import DataError, OnmtError, OptionError
from onmt.files import replacing

COMMAND_LINE_ONLY: Final = frozenset({"h", "help", "md", "version", "config", "save_config"})
"""Keys that are ignored: they have no meaning in a file, but the original's `-save_config` writes them."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_BLANKS: Final = " \t\r"
_COMMENT: Final = re.compile(r"[ \t]#")
_PLAIN_ELEMENT: Final = re.compile(r"[^ \t\r\v\f,]+")
_JSON: Final = json.JSONDecoder()


@dataclass(frozen=True)
class Entry:
    """One line of a configuration file; `text` is what follows the equals sign."""

    key: str
    text: str
    place: str


def read_entries(path: str, content: bytes) -> tuple[Entry, ...]:
    """Return the entries of a file in the order of their lines; of repeated keys, the last.

    Raises OptionError, with file and line, for a line that is not UTF-8 or not `key = value`.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise OptionError(f"{path}:1: the file is UTF-16 (byte order mark at offset 0), save it as UTF-8")
    entries: dict[str, Entry] = {}
    for number, line in enumerate(content.removeprefix(BYTE_ORDER_MARK).split(b"\n"), start=1):
        place = f"{path}:{number}"
        text = _decoded(line, place).rstrip(_BLANKS)
        if not text.strip(_BLANKS) or text.lstrip(_BLANKS).startswith("#"):
            continue
        key, equals, value = text.partition("=")
        key = re.sub("^--?", "", key.strip(_BLANKS))
        if not equals or not key:
            raise OptionError(f"{place}: expected 'key = value', not '{text}'")
        entries.pop(key, None)
        entries[key] = Entry(key, value, place)
    return tuple(entries.values())


def known_entries(entries: Iterable[Entry], options: Mapping[str, Option]) -> tuple[Entry, ...]:
    """Return the entries that set an option. Raises OptionError, with file and line, for unknown keys."""
    known = []
    for entry in entries:
        if entry.key in COMMAND_LINE_ONLY:
            continue
        if entry.key not in options:
            raise UnknownOptionError(entry.key, did_you_mean(entry.key, options), f"{entry.place}: ")
        known.append(entry)
    return tuple(known)


def entry_words(entry: Entry, option: Option) -> tuple[str, ...]:
    """Return the words that an entry gives to its option: the elements of a list, otherwise exactly one word.

    Raises OptionError, with file and line, for a number or boolean without a value, for text after a quoted
    value, and for a quoted value that is not valid JSON.
    """
    if option.is_list:
        words = _list_words(entry)
        # Only texts may contain commas: `"Han, Latin"` in quotes, as on a command line, is two scripts.
        return list_elements(words) if option.is_text else split_list(words)
    word, rest = _scalar_and_rest(entry)
    if rest:
        raise OptionError(f"{entry.place}: more text after the quoted value of {entry.key}")
    if not word and option.kind is not Kind.STRING:
        raise OptionError(f"{entry.place}: missing argument for option {option.shown}")
    return (word,)


def leading_word(entry: Entry) -> str:
    """Return the value of an entry whose option is not known yet, read as one that is not a list."""
    return _scalar_and_rest(entry)[0]


def write_config(path: str, values: Sequence[tuple[Option, Any]]) -> None:
    """Write options and their values atomically; reading the file gives the same values.

    Raises OnmtError when it cannot be written.
    """
    try:
        with replacing(path) as file:
            file.write(config_text(values).encode("utf-8"))
    except DataError as error:
        reason = str(error).removeprefix(f"{path}: cannot write: ")
        raise OnmtError(f"cannot write -save_config {path}: {reason}") from error


def config_text(values: Sequence[tuple[Option, Any]]) -> str:
    """Return the text of a configuration file, with a comment above each group of options."""
    lines: list[str] = []
    heading = None
    for option, value in values:
        if option.heading != heading:
            heading = option.heading
            lines += [""] if lines else []
            lines.append(f"# {heading} options")
        if option.is_list:
            text = " ".join(_list_element(show(element)) for element in value)
        else:
            text = _scalar(show(value))
        lines.append(f"{option.flag} = {text}".rstrip())
    return "\n".join(lines) + "\n"


class EntriesParser(configargparse.ConfigFileParser):  # type: ignore[misc] # configargparse has no types
    """Gives configargparse the entries of a file, each as one JSON list of words."""

    def __init__(self, options: Mapping[str, Option]) -> None:
        super().__init__()
        self._options = options

    def parse(self, stream: BinaryIO) -> OrderedDict[str, str]:
        """Return flag and words, as JSON, of each entry. Raises OptionError for malformed entries."""
        entries = known_entries(read_entries(stream.name, stream.read()), self._options)
        return OrderedDict(
            (entry.key, json.dumps(entry_words(entry, self._options[entry.key]))) for entry in entries
        )

    def get_syntax_description(self) -> str:
        """Return the syntax for configargparse's own help, which is not used."""
        return "key = value"


def _decoded(line: bytes, place: str) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise OptionError(
            f"{place}: byte 0x{byte:02x} at offset {error.start} of the line is not UTF-8"
        ) from error
    if "\0" in text:
        raise OptionError(f"{place}: zero byte at offset {line.index(0)} of the line")
    return text


def _list_words(entry: Entry) -> tuple[str, ...]:
    text = entry.text
    words: list[str] = []
    position = 0
    while position < len(text) and not _COMMENT.match(text, position):
        plain = _PLAIN_ELEMENT.match(text, position)
        if plain is None:  # between elements
            position += 1
        elif plain[0].startswith('"'):
            word, position = _quoted(entry, text, position)
            words.append(word)
        else:
            words.append(plain[0])
            position = plain.end()
    return tuple(words)


def _scalar_and_rest(entry: Entry) -> tuple[str, str]:
    """Return the value without quotes and comment, and the text after the closing quote, if any."""
    text = entry.text.lstrip(_BLANKS)
    if not text.startswith('"'):
        return _without_comment(entry.text), ""
    word, end = _quoted(entry, text, 0)
    return word, _without_comment(text[end:])


def _quoted(entry: Entry, text: str, start: int) -> tuple[str, int]:
    """Return the content of the JSON string at `start`, and the position after it."""
    try:
        word, end = _JSON.raw_decode(text, start)
    except ValueError as error:
        raise OptionError(f"{entry.place}: the quoted value of {entry.key} is no JSON string") from error
    return str(word), end


def _without_comment(text: str) -> str:
    return _COMMENT.split(text, maxsplit=1)[0].strip(_BLANKS)


def _scalar(text: str) -> str:
    """Return a scalar as it is, or quoted if reading it would give another value."""
    needs_quotes = not text.isprintable() or text != text.strip(_BLANKS) or text.startswith(('"', "#"))
    return json.dumps(text) if needs_quotes or _COMMENT.search(text) else text


def _list_element(text: str) -> str:
    whole = _PLAIN_ELEMENT.fullmatch(text) is not None and text.isprintable()
    return text if whole and not text.startswith(('"', "#")) else json.dumps(text)


@dataclass(frozen=True)
class ConfigFile:
    """The content of a configuration file; empty if none was given."""

    path: str = ""
    content: bytes = b""
    entries: tuple[Entry, ...] = ()


def read_config(path: str) -> ConfigFile:
    """Read a file, or standard input for `-`; return an empty ConfigFile for an empty name.

    Raises OptionError when it cannot be read.
    """
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
    """Combines command line and configuration file; each value is a JSON list of words."""

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
        """Raise OptionError instead of printing argparse's usage text and exiting."""
        raise OptionError(message)


class _NamedBytes(io.BytesIO):
    """The content of a configuration file as a stream with the file's name, for error messages."""

    def __init__(self, config: ConfigFile) -> None:
        super().__init__(config.content)
        self.name = config.path


def merge_with_config(
    table: Mapping[str, Option], words: Mapping[str, Sequence[str]], config: ConfigFile
) -> dict[str, tuple[str, ...]]:
    """Return the words of each flag: those of the command line, or else those of the configuration file."""
    merger = _Merger(table, config)
    namespace = merger.parse_args([f"--{flag}={json.dumps(own)}" for flag, own in words.items()], env_vars={})
    return {flag: tuple(own) for flag, own in vars(namespace).items()}
