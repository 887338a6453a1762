"""tools/tokenize.py and tools/detokenize.py."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from onmt.commands.text import detokenize, tokenize

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {"tokenize": tokenize, "detokenize": detokenize}
ODD = "a\x00b\n\u2028c\n\u0085d\n\re\r\n\ufefff\n\n\n￭｟x ￨ ｟y z｠\n" + "long " * 20_000


def run(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str], content: bytes
) -> tuple[int, bytes]:
    """Run a script in this process, with streams as in the C locale; return its exit code and output."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))
    monkeypatch.setattr("sys.stdout", output)
    code = SCRIPTS[name](arguments)
    return code, output.buffer.getvalue()  # type: ignore[attr-defined]


def test_there_and_back(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = "Élan vital: «It's 2,000€»!\n\nWiFi｟a b｠\n".encode()
    options = ["-mode", "aggressive", "-joiner_annotate", "-case_feature", "-segment_case"]
    code, tokens = run(monkeypatch, "tokenize", options, text)
    assert code == 0
    assert tokens.decode().split("\n")[2] == "wi￭￨C fi￨C ￭｟a％0020b｠￨N"
    assert run(monkeypatch, "detokenize", ["-case_feature"], tokens) == (0, text)
    assert "Detokenization completed in" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tokenize", "detokenize"])
@pytest.mark.parametrize("arguments", [[], ["-nparallel", "2", "-batchsize", "2"]])
def test_a_line_for_every_line(monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str]) -> None:
    for mode in ["space", "aggressive"] if name == "tokenize" else [""]:
        options = [*arguments, "-mode", mode] if mode else arguments
        code, output = run(monkeypatch, name, options, ODD.encode())
        assert code == 0
        assert output.count(b"\n") == ODD.count("\n") + 1


def test_the_other_joiner(monkeypatch: pytest.MonkeyPatch) -> None:
    code, tokens = run(monkeypatch, "tokenize", ["-joiner_annotate", "-joiner", "@@"], b"a, b\n")
    assert (code, tokens) == (0, b"a @@, b\n")
    assert run(monkeypatch, "detokenize", ["-joiner", "@@"], tokens) == (0, b"a, b\n")


def test_moses(monkeypatch: pytest.MonkeyPatch) -> None:
    code, tokens = run(monkeypatch, "tokenize", ["-mode", "moses"], b"It isn't (so) bad.\n")
    assert (code, tokens) == (0, b"It isn 't ( so ) bad .\n")
    assert run(monkeypatch, "detokenize", ["-moses_language", "en"], tokens) == (0, b"It isn't (so) bad.\n")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_hooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, processes: str) -> None:
    """Hooks split lines into characters, with the blank as one of them, and join them again."""
    hook = tmp_path / "characters.py"
    hook.write_text(
        "def mpreprocess(options, lines):\n"
        "    return [line.strip() for line in lines]\n"
        "def tokenize(options, line):\n"
        "    return list(line.replace(' ', '_'))\n"
        "def detokenize(options, words, features):\n"
        "    return ''.join(words).replace('_', ' ')\n",
        encoding="utf-8",
    )
    arguments = ["-hook_file", str(hook), "-nparallel", processes]
    code, tokens = run(monkeypatch, "tokenize", arguments, b" ab c \n\n")
    assert (code, tokens) == (0, b"a b _ c\n\n")
    assert run(monkeypatch, "detokenize", arguments, tokens) == (0, b"ab c\n\n")


@pytest.mark.parametrize(
    ("name", "arguments", "content", "code", "message"),
    [
        ("tokenize", [], b"ok\nab\xff\n", 1, "standard input, line 2, byte offset 2: not valid UTF-8"),
        ("tokenize", ["-nparallel", "2"], b"ok\n\xc3", 1, "standard input, line 2, byte offset 0"),
        ("tokenize", ["-mode", "no"], b"", 2, "-mode"),
        ("tokenize", ["-nparallel", "0"], b"", 2, "-nparallel"),
        ("tokenize", ["-joiner", ""], b"", 2, "-joiner"),
        ("tokenize", ["-segment_alphabet", "Klingon"], b"", 2, "-segment_alphabet"),
        ("tokenize", ["-bpe_model", "-"], b"", 2, "-bpe_model"),
        ("tokenize", ["-bpe_model", __file__], b"", 1, "this is not a BPE model"),
        ("tokenize", ["-hook_file", "no_such_module"], b"x\n", 2, "-hook_file no_such_module"),
        ("detokenize", ["-case_feature"], "a￨L\nb￨L c".encode(), 1, "line 2: the token 'c' has no case"),
    ],
)
def test_failures_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    arguments: list[str],
    content: bytes,
    code: int,
    message: str,
) -> None:
    assert run(monkeypatch, name, arguments, content)[0] == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_as_processes_in_a_locale_of_ascii_from_another_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    text = "L'été, 3½ ｟x：y｠.\n\u0085\n".encode()
    for name, arguments in (("tokenize", ["-joiner_annotate", "-nparallel", "2"]), ("detokenize", [])):
        result = subprocess.run(
            [sys.executable, str(ROOT / "tools" / f"{name}.py"), *arguments],
            input=text,
            capture_output=True,
            cwd=tmp_path,
            env=environment,
            check=True,
        )
        text = result.stdout
    assert text == "L'été, 3½ ｟x：y｠.\n\u0085\n".encode()


@pytest.mark.parametrize(
    "name", ["tokenize", "detokenize", "learn_bpe", "score", "build_vocab", "embeddings"]
)
def test_help_needs_no_torch(name: str, tmp_path: Path) -> None:
    """Each launcher finds the toolkit from any folder and shows its help without importing heavy packages."""
    code = (
        "import runpy, sys; sys.argv = ['x', '-h']; sys.path.insert(0, 'replaced by the launcher')\n"
        f"try: runpy.run_path({str(ROOT / 'tools' / f'{name}.py')!r}, run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "assert code == 0\n"
        "assert not {'torch', 'numpy', 'sacrebleu', 'sacremoses'} & sys.modules.keys()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"Usage: tools/{name}.py")
