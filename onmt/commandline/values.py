"""Convert an option's text to its type; suggest the nearest name for an unknown one."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from onmt.commandline.schema import Kind, Option
from onmt.errors import OptionError


def did_you_mean(name: str, known: Iterable[str], mark: str = "-") -> str:
    """`; did you mean -x?`, with another `mark` before the name if given; nothing when no known name comes
    near.
    """
    from difflib import get_close_matches  # only needed when something went wrong

    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {mark}{near[0]}?" if near else ""


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?")
_WHOLE = re.compile(r"[+-]?(?:[0-9]{1,200}|0[xX][0-9a-fA-F]{1,200})")
_LARGEST_INTEGER = 2**63 - 1  # what a tensor can hold


def is_boolean(word: str, option: Option) -> bool:
    """Whether a word can be the value of a boolean option, rather than the next argument."""
    return word in _BOOLEANS or word in option.accepted


def convert(option: Option, words: Sequence[str]) -> Any:
    """The value of an option given with these words; no word at all means a bare boolean.

    A bare boolean takes the opposite of its default, as in Lua. Raises OptionError for words that do not fit.
    """
    if option.is_list:
        return tuple(_convert_word(option, word) for word in words)
    if not words:
        assert option.takes_bare, "options without a value were refused when the words were read"
        return not option.default
    return _convert_word(option, words[0])


def show(value: Any) -> str:
    """The text of a value, in the form that `convert` reads; elements of a list are separated by blanks."""
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
    """A word that can name a file: no zero byte, and no half of a surrogate pair from a JSON escape."""
    if "\0" in word:
        raise OptionError(f"invalid argument for option {option.shown}: the text has a zero byte")
    try:
        word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        message = f"invalid argument for option {option.shown}: the text is no valid Unicode"
        raise OptionError(message) from None
    return word


def _boolean(option: Option, word: str) -> bool:
    if word not in _BOOLEANS:
        raise OptionError(
            f"invalid argument '{word}' for boolean option {option.shown} (should be 0, 1, false or true)"
        )
    return _BOOLEANS[word]


def _number(option: Option, word: str) -> int | float:
    """A number as Lua's `tonumber` reads it: decimals, exponents, `0x10`; inf where fractions may be."""
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
    """The text of an option's or a parameter's value, as logs show it; lists are joined by blanks."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(map(text_of, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
