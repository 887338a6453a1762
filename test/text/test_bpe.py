"""Applying byte pair encoding: models in all formats, and merging compared with the original's loop."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import DataError
from onmt.text.bpe import Bpe, merge_symbols, read_bpe_model
from onmt.text.options import TokenizerOptions


def model_file(folder: Path, content: str) -> TokenizerOptions:
    path = folder / "model.bpe"
    path.write_bytes(content.encode())
    return TokenizerOptions(bpe_model=str(path))


def merge_by_passes(symbols: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Merge as the original does: a pass over the word for each merge, the best merge first."""
    word = list(symbols)
    while True:
        known = [pair for pair in pairwise(word) if pair in ranks]
        if not known:
            return word
        best = min(known, key=lambda pair: ranks[pair])
        merged: list[str] = []
        while word:
            size = 2 if tuple(word[:2]) == best else 1
            merged.append("".join(word[:size]))
            word = word[size:]
        word = merged


pieces = st.text("abc", min_size=1, max_size=3)


@given(
    st.text("abc", max_size=30),
    st.lists(st.tuples(pieces, pieces), unique=True, max_size=20),
)
def test_merging_equals_passes_over_the_word(word: str, merges: list[tuple[str, str]]) -> None:
    ranks = {pair: rank for rank, pair in enumerate(merges, start=1)}
    assert merge_symbols(list(word), ranks) == merge_by_passes(list(word), ranks)


def test_v3_header_beats_the_options(tmp_path: Path) -> None:
    options = model_file(tmp_path, "v3;true;false;true;^;$\n^ a\n^a b\n")
    model = read_bpe_model(options)
    assert (model.prefix, model.suffix, model.case_insensitive) == (True, False, True)
    assert (model.begin_marker, model.end_marker) == ("^", "$")
    assert Bpe(model).segment("ABBA") == ["AB", "B", "A"]


@pytest.mark.parametrize(
    "header", ["false;true;false\n", "false;true;false;aggressive\n", "", "#version: 0.1\n"]
)
def test_older_headers(tmp_path: Path, header: str) -> None:
    bpe = Bpe(read_bpe_model(model_file(tmp_path, header + "b </w>\na b</w>\n")))
    assert bpe.segment("aabab") == ["a", "a", "b", "ab"]
    assert bpe.segment("b") == ["b"]
    assert bpe.segment("") == [""]


def test_without_header_the_options_decide(tmp_path: Path) -> None:
    path = model_file(tmp_path, "@ a\n").bpe_model
    options = TokenizerOptions(
        bpe_model=path, bpe_mode="prefix", bpe_bot_marker="@", bpe_case_insensitive=True
    )
    model = read_bpe_model(options)
    assert (model.prefix, model.suffix, model.case_insensitive) == (True, False, True)
    assert Bpe(model).segment("Aba") == ["A", "b", "a"]


def test_subword_nmt_marks_the_last_character(tmp_path: Path) -> None:
    """In a `#version: 0.2` file the merges name `t</w>`, never `t </w>`."""
    bpe = Bpe(read_bpe_model(model_file(tmp_path, "#version: 0.2\no t</w>\nt o\nn ot</w>\n")))
    assert bpe.segment("not") == ["not"]
    assert bpe.segment("note") == ["n", "o", "t", "e"]
    assert bpe.segment("toto") == ["to", "t", "o"]


def test_carriage_returns_of_another_system(tmp_path: Path) -> None:
    bpe = Bpe(read_bpe_model(model_file(tmp_path, "v3;false;false;false;<w>;</w>\r\na b\r\n")))
    assert bpe.segment("abc") == ["ab", "c"]


def test_of_pairs_listed_twice_the_last_counts(tmp_path: Path) -> None:
    bpe = Bpe(read_bpe_model(model_file(tmp_path, "v3;false;false;false;<w>;</w>\na b\nb c\na b\n")))
    assert bpe.segment("abc") == ["a", "bc"]


def test_merges_of_high_rank_are_not_looked_at(tmp_path: Path) -> None:
    filler = "".join(f"x{i} y\n" for i in range(99_998))
    header = "v3;false;false;false;<w>;</w>\n"
    bpe = Bpe(read_bpe_model(model_file(tmp_path, f"{header}{filler}a b\nc d\n")))
    assert bpe.segment("abcd") == ["ab", "c", "d"]


@pytest.mark.parametrize("content", ["", "\n\n", "just words on a line\n", "v3;true;true\na b\n"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"model\.bpe"):
        read_bpe_model(model_file(tmp_path, content))


def test_bad_bytes_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"a b\nc \xff\n")
    with pytest.raises(DataError, match=r"bad, line 2, byte offset 2: not valid UTF-8"):
        read_bpe_model(TokenizerOptions(bpe_model=str(tmp_path / "bad")))
    with pytest.raises(DataError, match=r"missing: cannot read"):
        read_bpe_model(TokenizerOptions(bpe_model=str(tmp_path / "missing")))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_subwords_are_the_word(word: str) -> None:
    for name in ("suffix", "prefix", "both", "none", "aggr_case"):
        options = TokenizerOptions(bpe_model=str(Path(__file__).parent / "golden" / f"bpe_{name}"))
        assert "".join(Bpe(read_bpe_model(options)).segment(word)) == word
