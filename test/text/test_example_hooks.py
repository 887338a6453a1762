"""The hooks under examples/hooks, through the scripts that use them."""

import io
import sys
from pathlib import Path

import pytest

from onmt.commands import detokenize, tokenize

HOOKS = Path(__file__).resolve().parents[2] / "examples" / "hooks"


def run(monkeypatch: pytest.MonkeyPatch, script: object, arguments: list[str], text: str) -> str:
    output = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    monkeypatch.setattr("sys.stdout", output)
    assert script.main(arguments) == 0  # type: ignore[attr-defined]
    return output.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["-hook_file", str(HOOKS / "characters.py")]
    tokens = run(monkeypatch, tokenize, arguments, "añ  b\n\n中 文\n")
    assert tokens == "a ñ ▁ b\n\n中 ▁ 文\n"
    assert run(monkeypatch, detokenize, arguments, tokens) == "añ b\n\n中 文\n"


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_pieces(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    processes: str,
) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    text = "the cat sat\nthe mat sat on the cat\n" * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.split("\n")),
        model_prefix=str(tmp_path / "pieces"),
        vocab_size=20,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    hook = ["-hook_file", str(HOOKS / "pieces.py"), "-nparallel", processes]
    arguments = [*hook, "-piece_model", str(tmp_path / "pieces.model")]
    tokens = run(monkeypatch, tokenize, arguments, text)
    assert tokens.count("\n") == text.count("\n")
    assert "▁" in tokens.split(" ")[0]
    assert run(monkeypatch, detokenize, arguments, tokens) == text
    assert tokenize.main(hook) == 2
    assert "-piece_model" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdout", sys.__stdout__)
