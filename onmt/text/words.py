"""Segmentation of text into words and joiners by Lua's modes, or by sacremoses with our markers kept safe;
and conversion of case to features and back (tools/utils/case.lua).

The case feature is a letter: L lower, U upper (two letters or more), C first letter upper, M mixed, N no
cased letter. The first letter is the first character that has a case: `3D` is capitalised (C).
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from onmt.constants import (
    FEATURE_MARKER,
    JOINER,
    PLACEHOLDER_CLOSE,
    PLACEHOLDER_ESCAPE,
    PLACEHOLDER_OPEN,
    PLACEHOLDER_VALUE,
)
from onmt.text.characters import (
    CharacterClass,
    character_class,
    is_letter,
    is_letter_or_number,
    script_of,
    to_lower,
    to_upper,
)
from onmt.text.lines import PLACEHOLDER, escape, has_placeholder, unescape_placeholders
from onmt.text.options import SegmentationOptions

_MARKERS: Final = str.maketrans({JOINER: "■", FEATURE_MARKER: "│"})


class Moses:
    """Tokenizes and detokenizes lines by the Moses rules of one language.

    language: two-letter code; a language without rules in sacremoses is treated as English.
    """

    def __init__(self, language: str) -> None:
        import sacremoses  # here, because it takes a third of a second to load and few runs need it

        self._tokenizer = sacremoses.MosesTokenizer(lang=language)
        self._detokenizer = sacremoses.MosesDetokenizer(lang=language)

    def tokenize(self, line: str) -> list[str]:
        """Return the words of a line.

        Placeholders stay whole. Outside them, lookalikes replace joiners and feature markers.
        """
        parts = re.split(f"({PLACEHOLDER.pattern})", line)
        parts[::2] = [part.translate(_MARKERS) for part in parts[::2]]
        parts[1::2] = [escape(part) for part in parts[1::2]]
        words: list[str] = self._tokenizer.tokenize(
            "".join(parts), escape=False, protected_patterns=[PLACEHOLDER.pattern]
        )
        return words

    def detokenize(self, words: Sequence[str]) -> str:
        """Join words to a line by the rules of the language, and unprotect placeholders."""
        line: str = self._detokenizer.detokenize(list(words), unescape=False)
        return unescape_placeholders(line)


# Lookalikes that replace the characters with a special meaning in tokenized text.
_SUBSTITUTES: Final = {
    JOINER: "■",
    FEATURE_MARKER: "│",
    PLACEHOLDER_ESCAPE: "%",
    "＃": "#",
    PLACEHOLDER_VALUE: ":",
}


class _Kind(Enum):
    """The kind of a character, which decides where tokens end."""

    START = auto()  # the beginning of the line, or a separator
    LETTER = auto()
    NUMBER = auto()
    OTHER = auto()
    PLACEHOLDER = auto()
    PLACEHOLDER_AFTER_NUMBER = auto()


class _Joiner(Enum):
    """The token that carries the joiner: the one before the boundary or the one after it."""

    ON_PREVIOUS = auto()
    ON_NEXT = auto()


_PLACEHOLDERS: Final = frozenset({_Kind.PLACEHOLDER, _Kind.PLACEHOLDER_AFTER_NUMBER})

_JOINER_BEFORE_PLACEHOLDER: Final = {
    _Kind.LETTER: _Joiner.ON_NEXT,
    _Kind.NUMBER: _Joiner.ON_NEXT,
    _Kind.OTHER: _Joiner.ON_PREVIOUS,
    _Kind.PLACEHOLDER: _Joiner.ON_PREVIOUS,
    _Kind.PLACEHOLDER_AFTER_NUMBER: _Joiner.ON_NEXT,
}


class _TokenBuilder:
    """The tokens of a text under construction."""

    def __init__(self, options: SegmentationOptions) -> None:
        self._joiner = options.joiner if options.joiner_annotate else ""
        self._joiner_is_token = options.joiner_annotate and options.joiner_new
        self._current: list[str] = []
        self._tokens: list[str] = []

    def add(self, text: str) -> None:
        self._current.append(text)

    def separate(self) -> None:
        """End the current token at a separator."""
        if self._current:
            self._tokens.append("".join(self._current))
            self._current = []

    def divide(self, joiner: _Joiner) -> None:
        """End the current token at a boundary without a separator, and mark it with a joiner."""
        if self._joiner_is_token:
            self.separate()
            self._tokens.append(self._joiner)
        elif joiner is _Joiner.ON_PREVIOUS:
            self._current.append(self._joiner)
            self.separate()
        else:
            self.separate()
            self._current.append(self._joiner)

    def finish(self) -> list[str]:
        self.separate()
        return self._tokens


class WordSegmenter:
    """Cuts text into tokens; each part between two separators is cut independently of the others."""

    def __init__(self, options: SegmentationOptions) -> None:
        self._options = options
        self._conservative = options.mode == "conservative"
        self._scripts = frozenset(options.segment_alphabet)
        self._looks_at_scripts = bool(self._scripts) or options.segment_alphabet_change
        self._keeps_latin_words = "Latin" not in self._scripts

    def segment(self, text: str) -> list[str]:
        """Return the tokens of a text, with joiners if the options ask for them."""
        if self._keeps_latin_words and text.isascii() and text.isalpha():
            return [text]  # a shortcut for most words
        builder = _TokenBuilder(self._options)
        previous = _Kind.START
        previous_script: str | None = None
        index = 0
        while index < len(text):
            character = text[index]
            if character == PLACEHOLDER_OPEN:
                end = text.find(PLACEHOLDER_CLOSE, index) + 1 or len(text)
                if previous is not _Kind.START:
                    builder.divide(_JOINER_BEFORE_PLACEHOLDER[previous])
                builder.add(escape(text[index:end]))
                after_number = previous in (_Kind.NUMBER, _Kind.PLACEHOLDER_AFTER_NUMBER)
                previous = _Kind.PLACEHOLDER_AFTER_NUMBER if after_number else _Kind.PLACEHOLDER
                index = end
                continue
            index += 1
            found = character_class(character)
            if found is CharacterClass.SEPARATOR:
                builder.separate()
                previous = _Kind.START
            elif found is not CharacterClass.DROPPED:
                kind = self._kind(character, previous, text[index : index + 1])
                script = script_of(character) if self._looks_at_scripts else None
                same_kind_divides = kind is _Kind.LETTER and self._divides(previous_script, script)
                joiner = self._boundary(previous, kind, found is CharacterClass.MARK, same_kind_divides)
                if joiner is not None:
                    builder.divide(joiner)
                builder.add(_SUBSTITUTES.get(character, character))
                if kind is _Kind.LETTER:
                    previous_script = script
                previous = kind
        return builder.finish()

    def _kind(self, character: str, previous: _Kind, following: str) -> _Kind:
        """Return the kind of a character that is not a separator.

        previous: the kind before it. following: the character after it, "" at the end.
        """
        found = character_class(character)
        after_letter = previous is _Kind.LETTER or previous in _PLACEHOLDERS
        if found is CharacterClass.MARK:
            if after_letter:
                return _Kind.LETTER
            return _Kind.NUMBER if previous is _Kind.NUMBER else _Kind.OTHER
        if is_letter(character):
            return _Kind.LETTER
        if self._conservative and (
            found is CharacterClass.NUMBER
            or character == "_"
            or (after_letter and character == "-")
            or (after_letter and character in ".," and following != "" and is_letter_or_number(following))
        ):
            return _Kind.LETTER
        return _Kind.NUMBER if found is CharacterClass.NUMBER else _Kind.OTHER

    def _divides(self, previous_script: str | None, script: str | None) -> bool:
        """Return whether two consecutive letters of these scripts belong to different tokens."""
        if previous_script == script:
            return script in self._scripts
        return self._options.segment_alphabet_change

    def _boundary(self, previous: _Kind, kind: _Kind, is_mark: bool, letters_divide: bool) -> _Joiner | None:
        """Return the boundary before a character of this kind; None if it continues the current token."""
        if previous is _Kind.START:
            return None
        if kind is _Kind.OTHER:
            return _Joiner.ON_NEXT
        if kind is _Kind.LETTER:
            if is_mark or (previous is _Kind.LETTER and not letters_divide):
                return None
            return _Joiner.ON_PREVIOUS
        if previous is _Kind.LETTER:
            return _Joiner.ON_NEXT
        if previous is _Kind.NUMBER and not self._options.segment_numbers:
            return None
        return _Joiner.ON_PREVIOUS


LOWER: Final = "L"
UPPER: Final = "U"
CAPITALIZED: Final = "C"
MIXED: Final = "M"
NONE: Final = "N"

CASE_FEATURES: Final = (CAPITALIZED, LOWER, NONE, UPPER, MIXED)

_CASED: Final = (CharacterClass.LOWERCASE, CharacterClass.UPPERCASE)

# State after a single upper case letter: the next letter decides between capitalized and upper case.
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
    """Return the case feature of a word, one of `CASE_FEATURES`; NONE for a word with a placeholder."""
    if has_placeholder(word):
        return NONE
    state = NONE
    for character in word:
        state = _next_state(state, character)
    return CAPITALIZED if state == _ONE_UPPER else state


def lower(word: str) -> str:
    """Return the word in lower case, character by character; a word with a placeholder stays as it is."""
    if has_placeholder(word):
        return word
    return "".join(map(to_lower, word))


def restore_case(word: str, feature: str) -> str:
    """Undo `lower` as far as the case feature allows: a mixed-case word gets only its first character back.

    In a capitalized word, the first character that has case becomes upper case. A word with a placeholder
    stays as it is, whatever feature a model gave it.
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
