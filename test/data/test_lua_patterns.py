"""Lua patterns in onmt/data/file_sampling.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.data.file_sampling import _compile_lua_pattern
from onmt.errors import OptionError


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("news", ["news", "my-news-1"], ["new", "NEWS"]),
        ("^news", ["news1"], ["my-news"]),
        ("news$", ["my-news"], ["news1"]),
        ("a.c", ["abc", "a\nc"], ["ac"]),
        ("a%.c", ["a.c"], ["abc"]),
        ("^%a+_%d+$", ["ab_12"], ["a1_2", "é_1", "_1"]),
        ("^%D$", ["x", "é"], ["1", "12"]),
        ("^[%w_]+$", ["a_1"], ["a-1", ""]),
        ("^[^%s%p]+$", ["ab1é"], ["a b", "a,b"]),
        ("^[a-cX%-]+$", ["abcX-"], ["d", "x"]),
        ("^[]a]$", ["]", "a"], ["b"]),
        ("^[^]a]$", ["b"], ["]", "a"]),
        ("^[a-]$", ["a", "-"], ["b"]),
        ("^ab*c$", ["ac", "abbc"], ["bc"]),
        ("^ab-c$", ["ac", "abbc"], ["adc"]),
        ("^ab?c$", ["ac", "abc"], ["abbc"]),
        ("^(a)(b)$", ["ab"], ["a"]),
        ("^a$b$", ["a$b"], ["a"]),
        ("a^b", ["a^b"], ["ab"]),
        ("^%%$", ["%"], ["%%"]),
        ("^[^a]$", ["b"], ["a"]),
        ("^a|b$", ["a|b"], ["a", "b"]),
        ("^%u%l%x%c?$", ["Abf", "Abf\x01"], ["abf", "Abg"]),
        ("^[%A]$", ["1", "é"], ["a"]),
        ("", ["", "anything"], []),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = _compile_lua_pattern(pattern)
    assert [text for text in matching + others if compiled.search(text)] == matching


@pytest.mark.parametrize("pattern", ["%b()", "%f[a]", "(a)%1", "%", "[a", "[", "(a", "a)", "[z-a]", "[%"])
def test_what_is_not_supported_is_refused(pattern: str) -> None:
    with pytest.raises(OptionError, match="the pattern '"):
        _compile_lua_pattern(pattern)


@settings(max_examples=200, deadline=None)
@given(pattern=st.text("ab.%[]^$()*+-?dDwé|\\{}", max_size=8), text=st.text("ab1é", max_size=5))
def test_any_pattern_is_compiled_or_refused(pattern: str, text: str) -> None:
    try:
        compiled = _compile_lua_pattern(pattern)
    except OptionError:
        return
    compiled.search(text)
