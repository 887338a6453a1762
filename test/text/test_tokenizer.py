"""The tokenizer against the original's output, and properties that hold for any text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import DataError
from onmt.hooks import TokenizerHooks
from onmt.text.characters import separators
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Detokenizer, Tokenizer

SEPARATORS = re.compile(f"[{re.escape(separators())}]+")


def split(line: str) -> list[str]:
    return [token for token in line.split(" ") if token]


def check_equal(measurements: list[Any]) -> None:
    for one in measurements:
        tokenizer = Tokenizer.of(one.options)
        tokens = [" ".join(tokenizer.tokenize(line)) for line in one.lines]
        assert list(zip(one.lines, tokens, strict=True)) == list(zip(one.lines, one.tokens, strict=True))
        if one.detokenized is not None:
            detokenizer = Detokenizer.of(one.options)
            for line, measured in zip(one.tokens, one.detokenized, strict=True):
                check_detokenized(detokenizer.detokenize(list(map(lua_keeps, split(line)))), measured)


def lua_keeps(token: str) -> str:
    """Return the part of a token that the original's detokenizer sees: it drops text after a placeholder."""
    return re.sub("^((?:￭|@@)?｟[^｠]*｠)[^￨￭@]*", r"\1", token)


def check_detokenized(text: str, measured: str) -> None:
    """Check equality with the original, which loses a capital after a caseless character (`3D`)."""
    assert len(text) == len(measured)
    for place, (ours, theirs) in enumerate(zip(text, measured, strict=True)):
        if ours != theirs:
            assert ours.lower() == theirs
            assert text[place - 1].upper() == text[place - 1].lower() != " "


def test_lines_under_all_options(measured: list[Any]) -> None:
    assert len(measured) == 79
    check_equal(measured)


@pytest.mark.slow
def test_all_lines_under_all_options(all_measured: list[Any]) -> None:
    check_equal(all_measured)


def test_single_cases(golden: Path) -> None:
    cases = [json.loads(line) for line in (golden / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(cases) == 170
    for case in cases:
        settings = case["opts"]
        if "segment_alphabet" in settings:
            settings["segment_alphabet"] = tuple(settings["segment_alphabet"])
        options = TokenizerOptions(**settings)
        tokens = Tokenizer.of(options).tokenize(case["in"])
        assert " ".join(tokens) == case["tok"]
        check_detokenized(Detokenizer.of(options).detokenize(tokens), case["detok"])


def test_a_placeholder_after_a_number_and_another_one() -> None:
    tokenizer = Tokenizer.of(TokenizerOptions(mode="aggressive", joiner_annotate=True))
    assert tokenizer.tokenize("1｟a｠｟b｠") == ["1", "￭｟a｠", "￭｟b｠"]
    assert tokenizer.tokenize("x｟a｠｟b｠") == ["x", "￭｟a｠￭", "｟b｠"]
    assert tokenizer.tokenize("｟a b") == ["｟a％0020b"]


@pytest.mark.parametrize("bpe", ["", "bpe_suffix", "bpe_prefix", "bpe_none", "bpe_aggr_case"])
def test_a_joiner_alone_survives_subwords(golden: Path, bpe: str) -> None:
    model = str(golden / bpe) if bpe else ""
    options = TokenizerOptions(mode="space", joiner_annotate=True, bpe_model=model)
    assert "".join(Tokenizer.of(options).tokenize("￭")) == "￭"
    assert "".join(Tokenizer.of(options).tokenize("￭￭")) == "￭￭"


# Texts without characters that the tokenizer treats specially or removes.
texts = st.text(
    st.one_of(
        st.sampled_from("aAbBzZ019-_.,!?'\" \t\u00a0\u3000éÉßñ中文한カひд𝒳😀ि\u0301\u3099½²"),
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="￭￨％＃：｟｠\ufeff@"),
    ),
    max_size=40,
)
joining = st.builds(
    TokenizerOptions,
    mode=st.sampled_from(["conservative", "aggressive"]),
    joiner_annotate=st.just(True),
    joiner=st.sampled_from(["￭", "@@"]),
    joiner_new=st.booleans(),
    segment_case=st.booleans(),
    segment_numbers=st.booleans(),
    segment_alphabet=st.sampled_from([(), ("Han",), ("Latin", "Hiragana")]),
    segment_alphabet_change=st.booleans(),
)


@given(texts, joining)
def test_joiners_bring_the_text_back(text: str, options: TokenizerOptions) -> None:
    tokens = Tokenizer.of(options).tokenize(text)
    assert all(token and not SEPARATORS.search(token) for token in tokens)
    assert Detokenizer.of(options).detokenize(tokens) == SEPARATORS.sub(" ", text).strip(" ")


@given(texts, st.sampled_from(["suffix", "both", "none", "aggr_case"]), st.booleans())
def test_joiners_bring_subwords_back(text: str, model: str, joiner_new: bool) -> None:
    path = Path(__file__).parent / "golden" / f"bpe_{model}"
    options = TokenizerOptions(
        mode="aggressive", joiner_annotate=True, joiner_new=joiner_new, bpe_model=str(path)
    )
    tokens = Tokenizer.of(options).tokenize(text)
    assert Detokenizer.of(options).detokenize(tokens) == SEPARATORS.sub(" ", text).strip(" ")


@given(st.text("abcXYZéÉñÑäÄжЖ 1.-", max_size=30))
def test_the_case_feature_brings_the_case_back(text: str) -> None:
    options = TokenizerOptions(mode="aggressive", joiner_annotate=True, segment_case=True, case_feature=True)
    tokens = Tokenizer.of(options).tokenize(text)
    assert all(token.split("￨")[0] == token.split("￨")[0].lower() for token in tokens)
    assert Detokenizer.of(options).detokenize(tokens) == " ".join(text.split())


@given(st.text(max_size=60), st.sampled_from(["space", "conservative", "aggressive"]), st.booleans())
def test_any_text_makes_tokens_without_blanks(text: str, mode: Any, new: bool) -> None:
    options = TokenizerOptions(mode=mode, joiner_annotate=True, joiner_new=new, case_feature=True)
    tokens = Tokenizer.of(options).tokenize(text)
    assert all(token and " " not in token for token in tokens)
    assert "\n" not in Detokenizer.of(options).detokenize(tokens).replace("\n" if mode == "space" else "", "")


@given(st.lists(st.text(st.sampled_from("ab￭￨｟｠％0041：CLU"), min_size=1, max_size=8), max_size=6))
def test_any_tokens_can_be_put_together(tokens: list[str]) -> None:
    assert isinstance(Detokenizer().detokenize(tokens), str)


def test_a_token_without_case_is_named() -> None:
    with pytest.raises(DataError, match="'world' has no case feature"):
        Detokenizer(case_feature=True).detokenize(["hello￨L", "world"])


def test_a_long_line_takes_time_in_proportion(golden: Path) -> None:
    options = TokenizerOptions(
        mode="aggressive", joiner_annotate=True, bpe_model=str(golden / "bpe_aggr_case")
    )
    text = "Thesé1!中" * 20_000
    tokens = Tokenizer.of(options).tokenize(text)
    assert Detokenizer.of(options).detokenize(tokens) == text


def test_hooks_take_over() -> None:
    characters = TokenizerHooks(
        tokenize=lambda line: list(line.replace(" ", "_")),
        detokenize=lambda words, features: "".join(words).replace("_", " "),
    )
    options = TokenizerOptions()
    tokens = Tokenizer.of(options, characters).tokenize("ab c")
    assert tokens == ["a", "b", "_", "c"]
    assert Detokenizer.of(options, characters).detokenize(tokens) == "ab c"


def test_hooks_may_decline() -> None:
    hooks = TokenizerHooks(
        tokenize=lambda line: None,
        post_tokenize=lambda tokens: [f"{token}￨x" for token in tokens] if tokens else None,
        detokenize=lambda words, features: None,
    )
    options = TokenizerOptions()
    assert Tokenizer.of(options, hooks).tokenize("a b.") == ["a￨x", "b￨x", ".￨x"]
    assert Tokenizer.of(options, hooks).tokenize("") == []
    assert Detokenizer.of(options, hooks).detokenize(["a￨x", "b￨x"]) == "a b"
