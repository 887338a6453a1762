"""Classes, scripts and cases of characters."""

import unicodedata
from typing import get_args

import pytest

from onmt.text.characters import (
    SCRIPTS,
    CharacterClass,
    character_class,
    is_letter,
    is_letter_or_number,
    script_of,
    separators,
    to_lower,
    to_upper,
)
from onmt.text.options import ScriptName


@pytest.mark.parametrize(
    ("characters", "expected"),
    [
        (" \t\r\v\f\n\u00a0\u1680\u2000\u2028\u3000", CharacterClass.SEPARATOR),
        ("09½²٣४Ⅷ㊀", CharacterClass.NUMBER),
        ("azßéжα", CharacterClass.LOWERCASE),
        ("AZÉЖΑİ", CharacterClass.UPPERCASE),
        ("中ひカ한ㄅअาªǅ\U00010000〆", CharacterClass.LETTER),
        ("\u0301\u093f\u3099\ufe0f", CharacterClass.MARK),
        ("\x00\x01\x1c\x1f\ufeff", CharacterClass.DROPPED),
        ("!-_.,€$@\x7f\x85\u200d\u200b\u00ad😀𝒳￭￨", CharacterClass.OTHER),
    ],
)
def test_classes(characters: str, expected: CharacterClass) -> None:
    assert {character: character_class(character) for character in characters} == dict.fromkeys(
        characters, expected
    )


def test_classes_agree_with_unicode() -> None:
    """Classified characters have the matching category in Python's later Unicode, except for two marks."""
    groups = {
        CharacterClass.SEPARATOR: "Z",
        CharacterClass.NUMBER: "N",
        CharacterClass.LOWERCASE: "Ll",
        CharacterClass.UPPERCASE: "Lu",
        CharacterClass.MARK: "M",
    }
    changed = {"\u1cf2", "\u1cf3"}
    for code_point in range(0x20, 0x10001):
        character = chr(code_point)
        group = groups.get(character_class(character))
        if group is not None and character not in changed:
            assert unicodedata.category(character).startswith(group), hex(code_point)


def test_separators_are_exactly_those_classified_so() -> None:
    found = {chr(code) for code in range(0x10001) if character_class(chr(code)) is CharacterClass.SEPARATOR}
    assert set(separators()) == found


def test_two_kana_marks_are_letters_when_looked_at_alone() -> None:
    assert [is_letter(character) for character in "\u3099\u0301a1"] == [True, False, True, False]
    assert [is_letter_or_number(character) for character in "\u3099a1."] == [True, True, True, False]


def test_scripts() -> None:
    assert set(SCRIPTS) == set(get_args(ScriptName))
    expected = {"a": "Latin", "é": "Latin", "中": "Han", "ひ": "Hiragana", "カ": "Katakana", "ж": "Cyrillic"}
    assert {character: script_of(character) for character in expected} == expected
    assert [script_of(character) for character in "1.\u0301ɐ"] == [None, None, None, None]


def test_cases_undo_each_other() -> None:
    assert [to_lower(character) for character in "AÉİǅ1中"] == ["a", "é", "i", "ǆ", "1", "中"]
    assert [to_upper(character) for character in "aéiǆ1中"] == ["A", "É", "I", "Ǆ", "1", "中"]
    assert to_upper("k") == "K"  # not the kelvin sign
