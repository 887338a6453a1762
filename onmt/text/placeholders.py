"""Placeholders: `｟name：value｠`, alone or within a token, goes through everything untouched.

This module alone says what in a token is a placeholder.

Inside, a separator is written `％hhhh`, the hexadecimal code of the character, so that the token stays one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from onmt.constants import PLACEHOLDER_CLOSE, PLACEHOLDER_ESCAPE, PLACEHOLDER_OPEN, PLACEHOLDER_VALUE
from onmt.text.characters import separators

_SEPARATOR: Final = re.compile(f"[{re.escape(separators())}]")
_ESCAPE: Final = re.compile(PLACEHOLDER_ESCAPE + "([0-9a-fA-F]{4})")

_INSIDE: Final = f"[^{PLACEHOLDER_CLOSE}]*"
PLACEHOLDER: Final = re.compile(f"{PLACEHOLDER_OPEN}{_INSIDE}{PLACEHOLDER_CLOSE}")
"""One placeholder, with a value or without."""
_UNFINISHED: Final = re.compile(f"{PLACEHOLDER_OPEN}{_INSIDE}{PLACEHOLDER_CLOSE}?")
_WITH_VALUE: Final = re.compile(
    f"({PLACEHOLDER_OPEN}[^{PLACEHOLDER_CLOSE}{PLACEHOLDER_VALUE}]*){PLACEHOLDER_VALUE}({_INSIDE}){PLACEHOLDER_CLOSE}"
)


def protect(placeholder: str) -> str:
    """Write the separators inside as `％hhhh`."""
    return _SEPARATOR.sub(lambda match: f"{PLACEHOLDER_ESCAPE}{ord(match[0]):04x}", placeholder)


def unprotect(placeholder: str) -> str:
    """Turn `％hhhh` back into characters; what is no code of a character, or a line break, stays."""
    return _ESCAPE.sub(_decode, placeholder)


def _decode(match: re.Match[str]) -> str:
    code_point = int(match[1], 16)
    is_surrogate = 0xD800 <= code_point <= 0xDFFF
    return match[0] if is_surrogate or code_point == ord("\n") else chr(code_point)


def has_placeholder(token: str) -> bool:
    """Whether there is a placeholder in a token: joiners, and letters in some modes, may stand around it.

    Such a token is never cut, learnt from or changed in case (OpenNMT-lua tools/utils/case.lua, BPE.lua).
    """
    return PLACEHOLDER_OPEN in token


def named(token: str) -> str:
    """The form in which a token is looked up in vocabularies: placeholders lose their values.

    `￭｟num：12｠kg` is looked up as `￭｟num｠kg`, every other token as it is.
    """
    if PLACEHOLDER_OPEN not in token:
        return token
    return _WITH_VALUE.sub(lambda match: match[1] + PLACEHOLDER_CLOSE, token)


def values_of(token: str) -> Iterator[tuple[str, str]]:
    """The placeholders of a token that have a value: `｟name｠` and the value, as it stands in the token."""
    for match in _WITH_VALUE.finditer(token):
        yield match[1] + PLACEHOLDER_CLOSE, match[2]


def with_values(token: str, values: Mapping[str, str]) -> str:
    """A token with what `values` has for each `｟name｠` in place of it; what stands around it stays."""
    if PLACEHOLDER_OPEN not in token:
        return token
    return PLACEHOLDER.sub(lambda match: values.get(match[0], match[0]), token)


def unprotect_placeholders(text: str) -> str:
    """Text whose placeholders, unfinished ones too, are unprotected."""
    return _UNFINISHED.sub(lambda match: unprotect(match[0]), text)
