"""tools/learn_bpe.py."""

import io
from pathlib import Path

import pytest

from onmt.commands.text import learn_bpe


def give(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))


def test_a_small_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, "ab￨x ab￨y\nabc￨z ￨x\n".encode())
    model = tmp_path / "model"
    assert learn_bpe(["-size", "10", "-save_bpe", str(model)]) == 0
    assert model.read_text() == "v3;false;true;false;<w>;</w>\na b\nab </w>\n"
    assert [line.split("] ", 1)[1] for line in capsys.readouterr().out.splitlines()] == [
        "Using on-the-fly 'space' tokenization for input",
        "Building vocabulary from STDIN",
        "Getting pair statistics from vocabulary",
        "Generating merge operations to output",
        "No pair has frequency > 1. Stopping",
        f"Wrote 2 merges to {model}",
    ]


def test_the_options_are_in_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b"AB. ab.\n")
    model = tmp_path / "model"
    options = (
        "-size 1 -bpe_mode both -bpe_BOT_marker ^ -bpe_EOT_marker $ -tok_mode aggressive -tok_case_feature"
    )
    assert learn_bpe([*options.split(), "-save_bpe", str(model)]) == 0
    assert model.read_text() == "v3;true;true;true;^;$\n. $\n"


@pytest.mark.parametrize(
    ("arguments", "content", "code", "message"),
    [
        (["-save_bpe", "{model}"], b"", 1, "has no words to learn from"),
        (["-save_bpe", "{model}"], b"\n \n", 1, "has no words to learn from"),
        (["-save_bpe", "{model}"], b"a\nb \xff\n", 1, "line 2, byte offset 2: not valid UTF-8"),
        (["-save_bpe", "{model}"], "a\na￨x b\n".encode(), 1, "line 2: all words of a sentence"),
        (["-save_bpe", "{model}/x/y"], b"a\n", 1, "cannot write"),
        (["-save_bpe", "{model}", "-bpe_EOT_marker", "a;b"], b"a\n", 2, "-bpe_EOT_marker"),
        (["-save_bpe", "{model}", "-size", "0"], b"a\n", 2, "-size"),
        ([], b"a\n", 2, "-save_bpe"),
    ],
)
def test_failures_are_one_line_and_leave_no_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    content: bytes,
    code: int,
    message: str,
) -> None:
    give(monkeypatch, content)
    command = [argument.format(model=tmp_path / "model") for argument in arguments]
    assert learn_bpe([*command, "-disable_logs"]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
