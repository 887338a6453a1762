"""A part of Lua's patterns (for `-gsample_dist`), translated to regular expressions.

Supported: characters, `.`, the classes `%a %c %d %l %p %s %u %w %x` and their complements in upper case, `%`
before any other punctuation, sets `[...]` and `[^...]` with ranges and classes, `*`, `+`, `-`, `?`, the
anchors `^` and `$`, and parentheses, which change nothing about what matches. Refused: `%b`, `%f` and `%1`.
"""

import re
from typing import Final

from onmt.errors import OptionError

# What C's isalpha() and so on accept in the C locale, as the inside of a regular expression's set.
_CLASSES: Final = {
    "a": "A-Za-z",
    "c": "\\x00-\\x1f\\x7f",
    "d": "0-9",
    "l": "a-z",
    "p": "!-/:-@\\[-`{-~",
    "s": " \\t-\\r",
    "u": "A-Z",
    "w": "A-Za-z0-9",
    "x": "A-Fa-f0-9",
}
_ANYTHING: Final = "\\x00-\\U0010ffff"
_QUANTIFIERS: Final = {"*": "*", "+": "+", "-": "*?", "?": "?"}


def compile_lua_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression that finds what the Lua pattern finds.

    Raises OptionError, saying why, for what is malformed or not supported.
    """
    return re.compile(_Translator(pattern).translate())


class _Translator:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0

    def translate(self) -> str:
        pieces: list[str] = []
        depth = 0
        if self._accept("^"):
            pieces.append("\\A")
        while self._position < len(self._pattern):
            if self._accept("("):
                depth += 1
                pieces.append("(?:")
            elif self._accept(")"):
                depth -= 1
                if depth < 0:
                    raise self._error("there is a ) without its (")
                pieces.append(")")
            elif self._pattern[self._position :] == "$":
                self._position += 1
                pieces.append("\\Z")
            else:
                pieces.append(self._single() + self._quantifier())
        if depth:
            raise self._error("a ( is not closed")
        return "".join(pieces)

    def _accept(self, character: str) -> bool:
        found = self._pattern.startswith(character, self._position)
        self._position += found
        return found

    def _next(self) -> str:
        if self._position == len(self._pattern):
            raise self._error("it ends too early")
        self._position += 1
        return self._pattern[self._position - 1]

    def _quantifier(self) -> str:
        for sign, translated in _QUANTIFIERS.items():
            if self._accept(sign):
                return translated
        return ""

    def _single(self) -> str:
        """What matches one character."""
        character = self._next()
        if character == ".":
            return f"[{_ANYTHING}]"
        if character == "[":
            return self._set()
        if character == "%":
            return f"[{self._class()}]"
        return re.escape(character)

    def _class(self) -> str:
        """The inside of a set, for what follows a %."""
        letter = self._next()
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.lower() in _CLASSES:
            return _complement(_CLASSES[letter.lower()])
        if letter.isalnum():
            raise self._error(f"%{letter} is not supported")
        return re.escape(letter)

    def _set(self) -> str:
        negated = self._accept("^")
        inside: list[str] = []
        while not inside or not self._accept("]"):
            character = self._next()
            if character == "%":
                inside.append(self._class())
                continue
            rest = self._pattern[self._position :]
            if len(rest) >= 2 and rest[0] == "-" and rest[1] != "]":
                self._next()
                last = self._next()
                if last < character:
                    raise self._error(f"the range {character}-{last} is empty")
                inside.append(f"{re.escape(character)}-{re.escape(last)}")
            else:
                inside.append(re.escape(character))
        return f"[{'^' if negated else ''}{''.join(inside)}]"

    def _error(self, reason: str) -> OptionError:
        return OptionError(f"the pattern '{self._pattern}': {reason}")


def _complement(inside: str) -> str:
    """The inside of the set of all other characters, usable within a larger set."""
    member = re.compile(f"[{inside}]")
    ascii_others = "".join(f"\\x{code:02x}" for code in range(128) if not member.match(chr(code)))
    return ascii_others + "\\x80-\\U0010ffff"
