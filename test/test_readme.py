"""The README is true: its commands run, and its scripts and make targets exist."""

import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXECUTED = re.compile(r"<!-- executed by .*? -->\n```sh\n(.*?)```", re.DOTALL)
SMALLER = {
    "-rnn_size 128": "-rnn_size 8",
    "-word_vec_size 64": "-word_vec_size 4",
    "epoch 7": "epoch 1",
    "epoch7": "epoch1",
}


def commands() -> str:
    text = "".join(EXECUTED.findall(README))
    for large, small in SMALLER.items():
        assert large in text
        text = text.replace(large, small)
    return text


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the scripts and the first lines of the corpus."""
    for name in ("preprocess.py", "train.py", "translate.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data" / "dates").mkdir(parents=True)
    (tmp_path / "demo").mkdir()
    for file in (ROOT / "data" / "dates").iterdir():
        with file.open("rb") as lines:
            (tmp_path / "data" / "dates" / file.name).write_bytes(b"".join(islice(lines, 30)))
    return tmp_path


def test_the_quickstart_runs(checkout: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "set -eu\n" + commands()
    done = subprocess.run(
        ["bash", "-c", script], cwd=checkout, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (checkout / "demo" / "test.pred").read_bytes().count(b"\n") == 30


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^|`)make (\S+?)(?:`| )", README, re.MULTILINE)))
)
def test_make_targets_exist(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_script_is_listed() -> None:
    listed = re.findall(r"`((?:tools/)?\w+\.py)`", README)
    scripts = [*ROOT.glob("*.py"), *(ROOT / "tools").glob("*.py")]
    assert set(listed) == {str(path.relative_to(ROOT)) for path in scripts} - {"setup.py"}
