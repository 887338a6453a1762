"""Upper and lower case as a feature of the word: what a word's case is, taking it away, giving it back.

The feature is one letter: L lower, U upper (two letters or more), C first letter upper, M mixed, N no cased
letter. The first letter is the first character that has a case: `3D` is capitalized. Source of the rules:
tools/utils/case.lua.
"""

from typing import Final

from onmt.text.characters import CharacterClass, character_class, to_lower, to_upper
from onmt.text.placeholders import has_placeholder

LOWER: Final = "L"
UPPER: Final = "U"
CAPITALIZED: Final = "C"
MIXED: Final = "M"
NONE: Final = "N"

CASE_FEATURES: Final = (CAPITALIZED, LOWER, NONE, UPPER, MIXED)

_CASED: Final = (CharacterClass.LOWERCASE, CharacterClass.UPPERCASE)

# One upper case letter begins a capitalized or an upper case word: a state of its own until the next letter.
_ONE_UPPER: Final = "C1"

_AFTER_UPPER: Final = {
    NONE: _ONE_UPPER,
    LOWER: MIXED,
    _ONE_UPPER: UPPER,
    CAPITALIZED: MIXED,
    UPPER: UPPER,
    MIXED: MIXED,
}
_AFTER_LOWER: Final = {
    NONE: LOWER,
    LOWER: LOWER,
    _ONE_UPPER: CAPITALIZED,
    CAPITALIZED: CAPITALIZED,
    UPPER: MIXED,
    MIXED: MIXED,
}


def _next_state(state: str, character: str) -> str:
    found = character_class(character)
    if found is CharacterClass.UPPERCASE:
        return _AFTER_UPPER[state]
    if found is CharacterClass.LOWERCASE:
        return _AFTER_LOWER[state]
    return state


def case_of(word: str) -> str:
    """The case feature of a word, one of `CASE_FEATURES`; a word with a placeholder in it has none."""
    if has_placeholder(word):
        return NONE
    state = NONE
    for character in word:
        state = _next_state(state, character)
    return CAPITALIZED if state == _ONE_UPPER else state


def lower(word: str) -> str:
    """The word in lower case, character by character; a word with a placeholder in it is left alone."""
    if has_placeholder(word):
        return word
    return "".join(map(to_lower, word))


def restore_case(word: str, feature: str) -> str:
    """Undo `lower`, as far as the feature tells: a mixed word only gets its first character back.

    Of a capitalized word, characters without case before the first letter stay as they are. A word with a
    placeholder in it stays, whatever feature a model gave it.
    """
    if feature in (LOWER, NONE) or has_placeholder(word):
        return word
    if feature == UPPER:
        return "".join(map(to_upper, word))
    if feature == MIXED:
        return to_upper(word[:1]) + word[1:]
    for index, character in enumerate(word):
        if character_class(character) in _CASED:
            return word[:index] + to_upper(character) + word[index + 1 :]
    return word


def segment_case(token: str) -> list[str]:
    """Split a token so that no part is of mixed case: `WiFi` gives `Wi` and `Fi`."""
    if has_placeholder(token):
        return [token]
    parts: list[str] = []
    start = 0
    state = NONE
    for index, character in enumerate(token):
        following = _next_state(state, character)
        if following == MIXED:
            parts.append(token[start:index])
            start = index
            following = _next_state(NONE, character)
        state = following
    parts.append(token[start:])
    return parts
