"""Detokenizing restores text as docs/text.md promises, for all combinations of options with joiners."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.text.bpe import Bpe, BpeModel
from onmt.text.characters import to_lower, to_upper
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Detokenizer, Tokenizer

# Letters of several scripts, with and without case, and numerals with case; digits, punctuation, marks.
LETTERS = "abcXYZäÖßéжЖλΛ日本語中国アか한ابⅰⅣ"
CHARACTERS = [*LETTERS, *"0123456789", *".,;!?'\"()-_/$€+&@", "\u0301", "\u0308"]
WORD = st.text(st.sampled_from(CHARACTERS), min_size=1, max_size=8)
PLACEHOLDER = st.builds(
    lambda name, value: f"｟{name}：{value}｠",
    st.text("abcN", min_size=1, max_size=3),
    st.text("Ab 1é", max_size=4),
)
MIXED = st.lists(st.one_of(WORD, PLACEHOLDER), max_size=3).map("".join)
LINE = st.lists(st.one_of(WORD, MIXED), max_size=5).map(lambda words: " ".join(filter(None, words)))
SWITCHES = ("joiner_new", "case", "segment_numbers", "segment_alphabet_change", "bpe")
SETS = [
    (mode, dict(zip(SWITCHES, chosen, strict=True)))
    for mode in ("conservative", "aggressive")
    for chosen in itertools.product([False, True], repeat=len(SWITCHES))
]


def tokenizer(mode: Any, chosen: dict[str, bool]) -> tuple[Tokenizer, Detokenizer]:
    options = TokenizerOptions(
        mode=mode,
        joiner_annotate=True,
        joiner_new=chosen["joiner_new"],
        case_feature=chosen["case"],
        segment_case=chosen["case"],
        segment_numbers=chosen["segment_numbers"],
        segment_alphabet_change=chosen["segment_alphabet_change"],
        segment_alphabet=("Han",) if chosen["segment_alphabet_change"] else (),
    )
    merges = {("a", "b"): 0, ("ab", "c"): 1, ("x", "y"): 2, ("1", "2"): 3}
    bpe = Bpe(BpeModel(merges, False, False, "<w>", "</w>", chosen["case"])) if chosen["bpe"] else None
    return Tokenizer(options, bpe), Detokenizer.of(options)


@pytest.mark.parametrize(("mode", "chosen"), SETS)
@settings(max_examples=25, deadline=None)
@given(line=LINE)
def test_text_comes_back(mode: str, chosen: dict[str, bool], line: str) -> None:
    cut, join = tokenizer(mode, chosen)
    assert join.detokenize(cut.tokenize(line)) == line


def test_the_letters_used_here_have_a_lower_case_that_leads_back() -> None:
    assert all(to_upper(to_lower(letter)) == letter for letter in LETTERS if to_lower(letter) != letter)
