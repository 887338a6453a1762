"""The hooks under examples/hooks, run by the scripts that use them."""

import io
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from onmt.commandline.run import Command
from onmt.commands.pipeline import preprocess
from onmt.commands.text import detokenize, tokenize

HOOKS = Path(__file__).resolve().parents[2] / "examples" / "hooks"


def run(monkeypatch: pytest.MonkeyPatch, script: Command[Any], arguments: list[str], text: str) -> str:
    output = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    monkeypatch.setattr("sys.stdout", output)
    assert script(arguments) == 0
    return output.buffer.getvalue().decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["characters.py", "characters"])
@pytest.mark.parametrize("mode", [[], ["-mode", "char"]])
def test_characters(monkeypatch: pytest.MonkeyPatch, name: str, mode: list[str]) -> None:
    arguments = ["-hook_file", str(HOOKS / name), *mode]
    tokens = run(monkeypatch, tokenize, arguments, "añ  b\n\n中 文\n")
    assert tokens == "a ñ ▁ b\n\n中 ▁ 文\n"
    assert run(monkeypatch, detokenize, arguments, tokens) == "añ b\n\n中 文\n"


def test_characters_of_one_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The hook splits only the source into characters; -tok_tgt_mode decides for the target."""
    hook = ["-hook_file", str(HOOKS / "characters"), "-tok_tgt_mode", "space"]
    texts = []
    for side, text in (("src", "ab c\n"), ("tgt", "xy z\n")):
        (tmp_path / side).write_text(text * 3)
        texts += [f"-train_{side}", str(tmp_path / side)]
    assert preprocess([*hook, *texts, "-save_data", str(tmp_path / "d")]) == 0
    words = [(tmp_path / f"d.{side}.dict").read_text().split()[8::2] for side in ("src", "tgt")]
    assert words == [["a", "b", "▁", "c"], ["xy", "z"]]
    capsys.readouterr()


class Tags(BaseHTTPRequestHandler):
    """A server that tags every word by its length, in place of one for part-of-speech tags."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        words = form["sent"][0].split(" ")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join(f"N{len(word)}" for word in words if word != "lost").encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing to standard error."""


def test_tags(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(("127.0.0.1", 0), Tags) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        hook = ["-hook_file", str(HOOKS / "tagger"), "-pos_server_host", "127.0.0.1"]
        hook += ["-pos_server_port", str(server.server_port), "-case_feature"]
        tags = run(monkeypatch, tokenize, [*hook, "-pos_feature"], "The cat, so\n\n")
        assert tags == "the￨C￨N3 cat￨L￨N3 ,￨N￨N1 so￨L￨N2\n\n"
        assert run(monkeypatch, tokenize, hook, "The\n") == "the￨C\n"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\nlost b\n")))
        assert tokenize([*hook, "-pos_feature"]) == 1
        server.shutdown()
    error = capsys.readouterr().err.splitlines()[-1]
    assert "line 2: the hook `post_tokenize`" in error
    assert error.endswith("ValueError: the server gave 1 tags for 2 tokens")
    monkeypatch.setattr("sys.stdout", sys.__stdout__)


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
    assert tokenize(hook) == 2
    assert "-piece_model" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdout", sys.__stdout__)
