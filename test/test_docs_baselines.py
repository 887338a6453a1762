"""The baselines of docs/results.md agree with small cases computed by hand."""

import math
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "baselines.py"


@pytest.fixture
def result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """result(kind, contents of files...) -> the lines that the script prints."""

    def run(kind: str, *contents: str) -> list[str]:
        paths = []
        for number, content in enumerate(contents):
            paths.append(str(tmp_path / str(number)))
            Path(paths[-1]).write_text(content, encoding="utf-8")
        runpy.run_path(str(SCRIPT))["main"]([kind, *paths])
        return capsys.readouterr().out.split("\n")[:-1]

    return run


def test_most_frequent_tags(result: Callable[..., list[str]]) -> None:
    train = "a b a\na c\n", "X Y Z\nX Y\n"  # `a` gets X; for new words X and Y tie, and X came first
    assert result("tags", *train, "a b d d\n", "X Z X Y\n", "X Z X X\n") == [
        "most frequent tag 50.00%",
        "model 75.00%",
    ]


def test_unigrams(result: Callable[..., list[str]]) -> None:
    dictionary = "<blank> 1\n<unk> 2\n<s> 3\n</s> 4\na 5\n"
    baseline, model = result("unigram", dictionary, "a a\na b\n", "a\nc a\n", "0.5\n0.25\n")
    loss = 2 * math.log(4 / 3) + math.log(4)
    assert baseline == f"unigram perplexity {math.exp(loss / 5):.2f}"
    assert model == f"model perplexity {math.exp((0.5 * 2 + 0.25 * 3) / 5):.2f}"


def test_majority_answers(result: Callable[..., list[str]]) -> None:
    assert result("majority", "k1 B M\nk2 B\nk3 B M\n", "k4 B M\nk5 B\n", "B\nB\n") == [
        "majority answer 50.0%",
        "model 50.0%",
    ]
