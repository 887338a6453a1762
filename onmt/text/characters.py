"""What a character is to the tokenizer: its class, its script, its other case.

The classes are Unicode 9.0 categories plus the rules of the original (tools/utils/unicode.lua): every code
point of the main East Asian blocks is a letter, and nothing above U+10000 is one.
"""

from bisect import bisect_right
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from typing import Final

from onmt.text import unicode_tables


class CharacterClass(IntEnum):
    """What the tokenizer distinguishes."""

    OTHER = 0
    SEPARATOR = 1
    NUMBER = 2
    LOWERCASE = 3
    UPPERCASE = 4
    LETTER = 5  # a letter without case
    MARK = 6  # takes the class of the character it stands on
    DROPPED = 7  # control characters and the byte order mark: never part of a token


Ranges = tuple[tuple[int, int, int], ...]  # first, last, step


def _parse_ranges(table: str) -> Ranges:
    ranges = []
    for entry in table.split():
        span, _, step = entry.partition("/")
        first, _, last = span.partition("-")
        ranges.append((int(first, 16), int(last or first, 16), int(step or 1)))
    return tuple(ranges)


_TABLES: Final[Mapping[CharacterClass, Ranges]] = {
    CharacterClass.SEPARATOR: _parse_ranges(unicode_tables.SEPARATOR),
    CharacterClass.MARK: _parse_ranges(unicode_tables.MARK),
    CharacterClass.LOWERCASE: _parse_ranges(unicode_tables.LOWERCASE),
    CharacterClass.UPPERCASE: _parse_ranges(unicode_tables.UPPERCASE),
    CharacterClass.LETTER: _parse_ranges(unicode_tables.OTHER_LETTER),
    CharacterClass.NUMBER: _parse_ranges(unicode_tables.NUMBER),
}

# Blocks of which every code point counts as a letter, assigned or not.
_LETTER_BLOCKS: Final = (
    (0x1100, 0x11FF),  # Hangul letters
    (0x2E80, 0x2EFF),  # radicals of Han characters
    (0x2F00, 0x2FD5),  # Kangxi radicals
    (0x3040, 0x319F),  # Hiragana, Katakana, Bopomofo, compatibility Hangul, Kanbun
    (0x4E00, 0x9FD5),  # Han characters
    (0xAC00, 0xD7AF),  # Hangul syllables
)

_BYTE_ORDER_MARK: Final = 0xFEFF


def _in_ranges(code_point: int, ranges: Ranges) -> bool:
    place = bisect_right(ranges, (code_point, 0x110000, 0)) - 1
    if place < 0:
        return False
    first, last, step = ranges[place]
    return code_point <= last and (code_point - first) % step == 0


def _in_letter_block(code_point: int) -> bool:
    return any(first <= code_point <= last for first, last in _LETTER_BLOCKS)


@cache
def character_class(character: str) -> CharacterClass:
    """The class of one character."""
    code_point = ord(character)
    if 9 <= code_point <= 13:
        return CharacterClass.SEPARATOR
    for name in (CharacterClass.SEPARATOR, CharacterClass.MARK):
        if _in_ranges(code_point, _TABLES[name]):
            return name
    if code_point < 32 or code_point == _BYTE_ORDER_MARK:
        return CharacterClass.DROPPED
    if _in_letter_block(code_point):
        return CharacterClass.LETTER
    for name in (
        CharacterClass.LOWERCASE,
        CharacterClass.UPPERCASE,
        CharacterClass.LETTER,
        CharacterClass.NUMBER,
    ):
        if _in_ranges(code_point, _TABLES[name]):
            return name
    return CharacterClass.OTHER


@cache
def is_letter(character: str) -> bool:
    """Whether the character by itself is a letter; two Kana marks are both."""
    found = character_class(character)
    if found is CharacterClass.MARK:
        return _in_letter_block(ord(character))
    return CharacterClass.LOWERCASE <= found <= CharacterClass.LETTER


def is_letter_or_number(character: str) -> bool:
    """Whether the character by itself is a letter or a number."""
    return is_letter(character) or character_class(character) is CharacterClass.NUMBER


def separators() -> str:
    """Every character that ends a token."""
    spans = (*_TABLES[CharacterClass.SEPARATOR], (9, 13, 1))
    return "".join(chr(code) for first, last, step in spans for code in range(first, last + 1, step))


@cache
def to_lower(character: str) -> str:
    """The lowercase form of a letter, always one character (İ gives i); any other character itself."""
    return character.lower()[0] if is_letter(character) else character


@cache
def to_upper(character: str) -> str:
    """The character whose lowercase form this is, the smallest of several, or else the character itself."""
    return _uppercase_forms().get(character, character)


@cache
def _uppercase_forms() -> Mapping[str, str]:
    forms: dict[str, str] = {}
    for name in (
        CharacterClass.UPPERCASE,
        CharacterClass.LETTER,
    ):  # title case counts as a letter without case
        for first, last, step in _TABLES[name]:
            for code_point in range(first, last + 1, step):
                upper = chr(code_point)
                lower = to_lower(upper)
                if lower != upper and upper < forms.get(lower, "\U0010ffff"):
                    forms[lower] = upper
    return forms


# Blocks of each script that `-segment_alphabet` knows (tools/utils/alphabets.lua).
_SCRIPT_BLOCKS: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "Arabic": ((0x0600, 0x06FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),
    "Armenian": ((0x0530, 0x058F),),
    "Bengali": ((0x0980, 0x09FF),),
    "Bopomofo": ((0x3100, 0x312F), (0x31A0, 0x31BF)),
    "Braille": ((0x2800, 0x28FF),),
    "Buhid": ((0x1740, 0x175F),),
    "Cherokee": ((0x13A0, 0x13FF),),
    "Cyrillic": ((0x0400, 0x052F),),
    "Devanagari": ((0x0900, 0x097F),),
    "Ethiopic": ((0x1200, 0x137F),),
    "Georgian": ((0x10A0, 0x10FF),),
    "Greek": ((0x0370, 0x03FF),),
    "Gujarati": ((0x0A80, 0x0AFF),),
    "Gurmukhi": ((0x0A00, 0x0A7F),),
    "Han": (
        (0x2E80, 0x2EFF),
        (0x3200, 0x33FF),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0xFE30, 0xFE4F),
    ),
    "Hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
    "Hanunoo": ((0x1720, 0x173F),),
    "Hebrew": ((0x0590, 0x05FF),),
    "Hiragana": ((0x3040, 0x309F),),
    "Kanbun": ((0x3190, 0x319F),),
    "Kangxi": ((0x2F00, 0x2FDF),),
    "Kannada": ((0x0C80, 0x0CFF),),
    "Katakana": ((0x30A0, 0x30FF), (0x31F0, 0x31FF)),
    "Khmer": ((0x1780, 0x17FF),),
    "Lao": ((0x0E80, 0x0EFF),),
    "Latin": ((0x0020, 0x007F), (0x00A0, 0x024F)),
    "Limbu": ((0x1900, 0x194F),),
    "Malayalam": ((0x0D00, 0x0D7F),),
    "Mongolian": ((0x1800, 0x18AF),),
    "Myanmar": ((0x1000, 0x109F),),
    "Ogham": ((0x1680, 0x169F),),
    "Oriya": ((0x0B00, 0x0B7F),),
    "Sinhala": ((0x0D80, 0x0DFF),),
    "Syriac": ((0x0700, 0x074F),),
    "Tagalog": ((0x1700, 0x171F),),
    "Tagbanwa": ((0x1760, 0x177F),),
    "Tamil": ((0x0B80, 0x0BFF),),
    "Telugu": ((0x0C00, 0x0C7F),),
    "Thaana": ((0x0780, 0x07BF),),
    "Thai": ((0x0E00, 0x0E7F),),
    "Tibetan": ((0x0F00, 0x0FFF),),
    "Yi": ((0xA000, 0xA4CF),),
}

SCRIPTS: Final = tuple(_SCRIPT_BLOCKS)

_SCRIPT_STARTS: Final = sorted(
    (first, last, script) for script, blocks in _SCRIPT_BLOCKS.items() for first, last in blocks
)


@cache
def script_of(character: str) -> str | None:
    """The script of a letter; None outside the blocks of `SCRIPTS`, and for what isn't a letter by itself."""
    place = bisect_right(_SCRIPT_STARTS, (ord(character), 0x110000, "")) - 1
    if not is_letter(character) or place < 0:
        return None
    first, last, script = _SCRIPT_STARTS[place]
    return script if first <= ord(character) <= last else None
