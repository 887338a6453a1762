"""The tables of docs/models.md are true: combinations are accepted or refused as they say, and the
alternatives that they name work.
"""

import ast
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onmt.commandline.parser import parse
from onmt.commands.pipeline import preprocess, train
from onmt.errors import OptionError
from onmt.models import options

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
DRAWINGS = sorted((ROOT / "docs" / "drawings").glob("*.svg"))


def table(mark: int) -> list[list[str]]:
    """The cells of the table after the `mark`-th comment that names this test, without backticks."""
    after = PAGE.split("test/test_docs_models.py -->\n")[mark]
    lines = list(itertools.takewhile(lambda line: line.startswith("|"), after.split("\n")))
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in lines
        if "---" not in line
    ]


ALLOWED, REFUSED, REFUSED_WITH_DATA = table(1), table(2)[1:], table(3)[1:]


def flags_of(text: str) -> dict[str, list[str]]:
    """`-a 1 -b` -> {"-a": ["1"], "-b": []}"""
    flags: dict[str, list[str]] = {}
    for word in shlex.split(text):
        if word.startswith("-"):
            flags[word] = []
        else:
            list(flags.values())[-1].append(word)
    return flags


def command_line(data: Path, *texts: str) -> list[str]:
    """Merge texts with flags into one command line; later flags replace earlier ones."""
    merged = {"-data": [str(data)], "-save_model": ["never"]}
    for text in texts:
        merged |= flags_of(text)
    return [word for flag, values in merged.items() for word in (flag, *values)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty manifest: it must exist, but is never read."""
    path = tmp_path / "toy-train.json"
    path.touch()
    return path


@pytest.mark.parametrize("row", ALLOWED[1:], ids=lambda row: row[0])
def test_the_table_of_combinations_says_what_the_command_line_says(row: list[str], data: Path) -> None:
    assert len(row) == len(ALLOWED[0])
    found = ["yes" if accepted(command_line(data, row[0], column)) else "no" for column in ALLOWED[0][1:]]
    assert found == row[1:]


def test_the_table_of_combinations_is_complete() -> None:
    field = options.EncoderOptions.__dataclass_fields__["encoder_type"]
    encoders = re.findall(r"'(\w+)'", str(field.type))
    assert [row[0] for row in ALLOWED[1:]] == [f"-encoder_type {encoder}" for encoder in encoders]
    assert {column.split(" ")[1] for column in ALLOWED[0][1:]} == {
        *("copy", "dense", "dense_nonlinear", "none", "seqtagger", "lm")
    }


def accepted(words: list[str]) -> bool:
    try:
        parse(train.script, words)
    except OptionError:
        return False
    return True


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0])
def test_what_the_page_calls_refused_is_refused_in_one_line(
    row: list[str], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags, _, instead = row
    assert train(command_line(data, flags)) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert accepted(command_line(data, flags, instead))


def test_every_refusal_of_the_model_options_is_on_the_page(data: Path) -> None:
    sources = [Path(options.__file__)]
    raised = {
        (source, node.lineno)
        for source in sources
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Raise)
    }
    shown = set()
    for flags, _, _ in REFUSED:
        with pytest.raises(OptionError) as caught:
            parse(train.script, command_line(data, flags))
        shown |= {(Path(frame.path), frame.lineno + 1) for frame in caught.traceback}
    assert raised <= shown


CORPORA = {
    "words": ("a b c", "x y"),
    "source features": ("a￨1 b￨2 c￨1", "x y"),
    "two source features": ("a￨1￨5 b￨2￨6 c￨1￨7", "x y"),
    "target features": ("a b c", "x￨1 y￨2 z￨3"),
    "source vectors": ("key [\n1 2\n3 4 ]", "key x y"),
}


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """prepare(kind of data) -> the path of the manifest."""
    monkeypatch.chdir(tmp_path)

    def prepare(kind: str) -> Path:
        for side, text in zip(("src", "tgt"), CORPORA[kind], strict=True):
            Path(side).write_text(f"{text}\n", encoding="utf-8")
        vectors = ["-data_type", "feattext", "-idx_files"] if kind == "source vectors" else []
        files = ["-train_src", "src", "-train_tgt", "tgt", "-save_data", "toy"]
        assert preprocess([*files, *vectors]) == 0
        return tmp_path / "toy-train.json"

    return prepare


@pytest.mark.parametrize("row", REFUSED_WITH_DATA, ids=lambda row: row[0])
def test_what_does_not_fit_the_data_is_refused_in_one_line(
    row: list[str], prepare: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    flags, kind, _, instead = row
    data = prepare(kind)
    torch.save(torch.zeros(7, 4), "vectors.pt")
    nothing_to_train = "-rnn_size 4 -start_epoch 2 -end_epoch 1"
    capsys.readouterr()
    assert train(command_line(data, nothing_to_train, flags)) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert train(command_line(data, nothing_to_train, flags, instead)) == 0


def test_the_drawings_are_those_that_the_script_draws(tmp_path: Path) -> None:
    for script in (ROOT / "docs" / "drawings").glob("*.py"):
        (tmp_path / script.name).write_bytes(script.read_bytes())
    subprocess.run([sys.executable, str(tmp_path / "draw.py")], check=True)
    assert [path.name for path in sorted(tmp_path.glob("*.svg"))] == [path.name for path in DRAWINGS]
    for path in DRAWINGS:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
        assert f"(drawings/{path.name})" in PAGE


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (ROOT / "docs" / target).exists()
