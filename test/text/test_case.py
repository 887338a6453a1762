"""Case as a feature."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.text.words import CASE_FEATURES, case_of, lower, restore_case, segment_case


@pytest.mark.parametrize(
    ("word", "feature"),
    [
        *[("abc", "L"), ("Abc", "C"), ("ABC", "U"), ("aBc", "M"), ("ABc", "M"), ("AbC", "M"), ("123", "N")],
        *[("A", "C"), ("A1", "C"), ("a1", "L"), ("1A2B", "U"), ("中", "N"), ("", "N"), ("ÉTÉ", "U")],
        *[("Y｟c｠", "N"), ("ǅ", "N")],
    ],
)
def test_case_of(word: str, feature: str) -> None:
    assert case_of(word) == feature


def test_lower_and_restore() -> None:
    assert lower("ÀB1ς") == "àb1ς"
    assert lower("İ") == "i"
    assert lower("｟A｠") == "｟A｠"
    assert [restore_case("été1", feature) for feature in "LUCMN"] == ["été1", "ÉTÉ1", "Été1", "Été1", "été1"]
    assert restore_case("ß", "U") == "ẞ"
    assert restore_case("i", "C") == "I"
    assert restore_case("", "C") == ""


def test_segments() -> None:
    assert segment_case("WiFi") == ["Wi", "Fi"]
    assert segment_case("aBcD") == ["a", "Bc", "D"]
    assert segment_case("TVs") == ["TV", "s"]
    assert segment_case("iPhone6S") == ["i", "Phone6", "S"]
    assert segment_case("x｟Ab｠") == ["x｟Ab｠"]


@given(st.text(st.sampled_from("abXYéÉ1-"), min_size=1))
def test_segments_are_the_word_and_lose_no_case(word: str) -> None:
    parts = segment_case(word)
    assert "".join(parts) == word
    for part in parts:
        assert case_of(part) in CASE_FEATURES
        assert case_of(part) != "M"
        assert restore_case(lower(part), case_of(part)) == part or not part[0].isalpha()
