"""Lua's rules for the words of a command line.

A word that starts with one or two hyphens and an ASCII letter is a flag, any other word is a value: `-1.5`
and `-1e-3` are values. `--flag=value`, as google/seq2seq's users write, is a flag with its first value. Flags
are written in full and given once. A list option takes all words up to the next flag; each word may contain
several elements separated by commas, with white space around them. A boolean may have no word. Any other
option takes exactly one word. The remaining words are the positional arguments.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from onmt.commandline.schema import Option
from onmt.commandline.values import did_you_mean, is_boolean
from onmt.errors import OptionError

WHITE_SPACE: Final = " \t\n\r\v\f"

_FLAG = re.compile(r"--?([A-Za-z].*)", re.DOTALL)


class UnknownOptionError(OptionError):
    """A flag that names no existing option; `place` is `file:line: ` if it is in a configuration file."""

    def __init__(self, flag: str, advice: str, place: str = "") -> None:
        super().__init__(f"{place}unknown option -{flag}{advice}")
        self.flag = flag
        self.place = place


@dataclass(frozen=True)
class Occurrence:
    """A flag with the words that follow it, up to the next flag."""

    flag: str
    words: tuple[str, ...]


def split(argv: Sequence[str]) -> tuple[tuple[str, ...], tuple[Occurrence, ...]]:
    """Return the words before the first flag, and each flag with its words."""
    leading: list[str] = []
    occurrences: list[tuple[str, list[str]]] = []
    for word in argv:
        match = _FLAG.fullmatch(word)
        if match:
            flag, equals, value = match[1].partition("=")
            occurrences.append((flag, [value] if equals else []))
        else:
            (occurrences[-1][1] if occurrences else leading).append(word)
    return tuple(leading), tuple(Occurrence(flag, tuple(words)) for flag, words in occurrences)


def read_arguments(argv: Sequence[str], options: Mapping[str, Option]) -> dict[str, tuple[str, ...]]:
    """Return the words given for each flag, and positional arguments under their names.

    A boolean without a value has no words. Raises OptionError for flags that are unknown or given twice, and
    for words that are missing or left over.
    """
    leading, occurrences = split(argv)
    positionals = [option for option in options.values() if option.info.positional]
    given: dict[str, tuple[str, ...]] = {}
    loose = list(leading)
    for occurrence in occurrences:
        option = known_option(occurrence.flag, options)
        if option.flag in given:
            raise OptionError(f"duplicate command line option: -{option.flag}")
        words, rest = _own_words(option, occurrence.words, wanted=len(positionals) - len(loose))
        given[option.flag] = words
        loose += rest
        if len(loose) > len(positionals):
            raise OptionError(_left_over(loose[len(positionals)], option if rest else None))
    if len(loose) > len(positionals):
        raise OptionError(_left_over(loose[len(positionals)], None))
    given |= {option.flag: (word,) for option, word in zip(positionals, loose, strict=False)}
    return given


def known_option(flag: str, options: Mapping[str, Option]) -> Option:
    """Return the option of a flag. Raises OptionError, with the nearest name, if there is none."""
    option = options.get(flag)
    if option is not None and not option.info.positional:
        return option
    if option is not None:
        raise OptionError(f"unknown option -{flag}: '{flag}' is a positional argument, without a flag")
    visible = [option.flag for option in options.values() if option.info.deprecated is None]
    raise UnknownOptionError(flag, did_you_mean(flag, visible))


def _own_words(
    option: Option, words: tuple[str, ...], wanted: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split the words after a flag into its own and the rest; `wanted` positional arguments are missing."""
    if option.is_list:
        if not words:
            raise OptionError(f"missing argument(s) for option -{option.flag}")
        return list_elements(words) if option.info.whole else split_list(words), ()
    if option.takes_bare and words and wanted > 0 and not is_boolean(words[0], option):
        return (), words  # Lua would take the positional argument for the boolean's value
    if not words and not option.takes_bare:
        raise OptionError(f"missing argument(s) for option -{option.flag}")
    return words[:1], words[1:]


def split_list(words: Sequence[str]) -> tuple[str, ...]:
    """Return the elements of a list given as words with commas, stripped as by `list_elements`."""
    return list_elements(element for word in words for element in word.split(","))


def list_elements(texts: Iterable[str]) -> tuple[str, ...]:
    """Strip ASCII white space from the elements of a list, and leave out empty ones."""
    stripped = (text.strip(WHITE_SPACE) for text in texts)
    return tuple(text for text in stripped if text)


def _left_over(word: str, option: Option | None) -> str:
    after = f" (option -{option.flag} takes one value)" if option is not None else ""
    return f"invalid argument: '{word}'{after}"
