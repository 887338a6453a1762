"""The examples of docs/text.md are true."""

import re
from pathlib import Path

import pytest

from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Tokenizer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "text.md").read_text(encoding="utf-8")
SENTENCE = "McDonald's sold 2,000.50€ (3G)."
ROWS = re.findall(r"^\| `([^`]*)`[^|]*\| `([^`]*)` \|$", PAGE.split("## Case")[0], re.MULTILINE)


@pytest.mark.parametrize(("arguments", "tokens"), ROWS)
def test_where_tokens_end(arguments: str, tokens: str) -> None:
    words = arguments.split()
    mode = words[words.index("-mode") + 1] if "-mode" in words else "conservative"
    options = TokenizerOptions(
        mode=mode,  # type: ignore[arg-type]
        joiner_annotate="-joiner_annotate" in words,
        joiner_new="-joiner_new" in words,
    )
    assert " ".join(Tokenizer.of(options).tokenize(SENTENCE)) == tokens


def test_the_table_is_there() -> None:
    assert len(ROWS) == 6


def test_case() -> None:
    options = TokenizerOptions(joiner_annotate=True, segment_case=True, case_feature=True)
    assert " ".join(Tokenizer.of(options).tokenize("McDonald's WiFi")) in PAGE
