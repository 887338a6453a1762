"""Learning byte pair encodings: the original's models, and small cases by hand and by recounting."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.text.bpe import BpeSettings, learn_merges


def settings(mode: Any = "none") -> BpeSettings:
    return BpeSettings(mode=mode, case_insensitive=False, begin_marker="<w>", end_marker="</w>")


def learn_by_recounting(frequencies: dict[str, int], size: int) -> list[tuple[str, str]]:
    words = [(list(word), count) for word, count in frequencies.items()]
    merges = []
    for _ in range(size):
        counts: Counter[tuple[str, str]] = Counter()
        for symbols, count in words:
            for pair in pairwise(symbols):
                counts[pair] += count
        if not counts or max(counts.values()) < 2:
            break
        best = min(counts, key=lambda pair: (-counts[pair], " ".join(pair)))
        merges.append(best)
        words = [(merge(symbols, best), count) for symbols, count in words]
    return merges


def merge(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


@given(st.dictionaries(st.permutations("abcdef").map(lambda word: "".join(word[:4])), st.integers(1, 9)))
def test_equals_recounting_where_no_letter_repeats(frequencies: dict[str, int]) -> None:
    """Merges equal those found by recounting, for words without repeated letters.

    With repeated letters the original's shortcuts may count differently.
    """
    assert list(learn_merges(frequencies, settings(), 12)) == learn_by_recounting(frequencies, 12)


@given(st.dictionaries(st.text("ab", min_size=1, max_size=8), st.integers(1, 9)), st.integers(1, 20))
def test_any_words_come_to_an_end(frequencies: dict[str, int], size: int) -> None:
    merges = list(learn_merges(frequencies, settings("both"), size))
    assert len(merges) <= size
    assert all(left and right for left, right in merges)


def test_by_hand() -> None:
    frequencies = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    assert list(learn_merges(frequencies, settings("suffix"), 3)) == [
        ("e", "s"),
        ("es", "t"),
        ("est", "</w>"),
    ]


def test_stops_when_nothing_occurs_twice() -> None:
    assert list(learn_merges({"abc": 1}, settings(), 10)) == []
    assert list(learn_merges({"ab": 2}, settings(), 10)) == [("a", "b")]
    assert list(learn_merges({}, settings(), 10)) == []


def test_symbols_of_a_word() -> None:
    assert settings("both").symbols("ab") == ["<w>", "a", "b", "</w>"]


def test_nothing_is_learnt_from_words_with_placeholders() -> None:
    frequencies = {"｟a：b｠": 9, "￭｟a：b｠￭": 9, "x｟a：b｠": 9, "ab": 2}
    assert list(learn_merges(frequencies, settings("suffix"), 5)) == [("a", "b"), ("ab", "</w>")]


@pytest.mark.parametrize(
    ("mode", "header"),
    [
        *[("suffix", "v3;false;true;false;<w>;</w>"), ("prefix", "v3;true;false;false;<w>;</w>")],
        *[("both", "v3;true;true;false;<w>;</w>"), ("none", "v3;false;false;false;<w>;</w>")],
    ],
)
def test_headers(mode: str, header: str) -> None:
    assert settings(mode).header() == header


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("suffix", "-size 400 -bpe_mode suffix"),
        pytest.param("prefix", "-size 400 -bpe_mode prefix", marks=pytest.mark.slow),
        ("both", "-size 400 -bpe_mode both"),
        pytest.param("none", "-size 400 -bpe_mode none", marks=pytest.mark.slow),
        pytest.param("aggr", "-size 600 -tok_mode aggressive", marks=pytest.mark.slow),
        ("aggr_case", "-size 600 -tok_mode aggressive -tok_case_feature"),
        pytest.param(
            "cons_case_segcase",
            "-size 600 -tok_mode conservative -tok_case_feature -tok_segment_case",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_models_of_the_original_to_the_byte(
    shared_golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, arguments: str
) -> None:
    from onmt.commands.text import learn_bpe

    with (shared_golden / "bpe_training.txt").open(encoding="utf-8") as text:
        monkeypatch.setattr("sys.stdin", text)
        assert learn_bpe([*arguments.split(), "-save_bpe", str(tmp_path / "model"), "-disable_logs"]) == 0
    assert (tmp_path / "model").read_bytes() == (shared_golden / f"bpe_{name}").read_bytes()
