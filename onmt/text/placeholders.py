"""Placeholders: tokens `｟name：value｠` that go through everything untouched.

Inside, a separator is written `％hhhh`, the hexadecimal code of the character, so that the token stays one.
"""

import re
from typing import Final

from onmt.constants import PLACEHOLDER_CLOSE, PLACEHOLDER_ESCAPE, PLACEHOLDER_OPEN, PLACEHOLDER_VALUE
from onmt.text.characters import separators

_SEPARATOR: Final = re.compile(f"[{re.escape(separators())}]")
_ESCAPE: Final = re.compile(PLACEHOLDER_ESCAPE + "([0-9a-fA-F]{4})")


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


def is_placeholder(token: str) -> bool:
    """Whether a token begins as a placeholder does."""
    return token.startswith(PLACEHOLDER_OPEN)


def name_and_value(token: str) -> tuple[str, str]:
    """The form in which a token is looked up in vocabularies, and the text it stands for.

    `｟name：value｠` is looked up as `｟name｠` and stands for the value, unprotected. Every other token is
    looked up as it is and stands for itself.
    """
    if is_placeholder(token):
        name, separator, rest = token.partition(PLACEHOLDER_VALUE)
        value, closing, after = rest.rpartition(PLACEHOLDER_CLOSE)
        if separator and closing and not after:
            return name + PLACEHOLDER_CLOSE, unprotect(value)
    return token, token
