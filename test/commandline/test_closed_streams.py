"""A standard stream that the caller closed ends the run with one line if needed, and is ignored otherwise."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script: str, *argv: str, closed: int) -> tuple[int, str]:
    """Run a script with descriptor `closed` closed; return its exit code and standard error."""
    code = f"import os, sys; os.close({closed}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    finished = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / script), *argv],
        input=b"a b\n" if closed else None,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL if closed != 1 else None,
        cwd=ROOT,
    )
    return finished.returncode, finished.stderr.decode()


@pytest.mark.parametrize("script", ["tools/tokenize.py", "tools/detokenize.py"])
@pytest.mark.parametrize(("closed", "told"), [(0, "input"), (1, "output")])
def test_what_is_needed_is_named(script: str, closed: int, told: str) -> None:
    assert run(script, closed=closed) == (1, f"{Path(script).name}: standard {told} is closed\n")


def test_results_are_not_lost_in_silence(tmp_path: Path) -> None:
    (tmp_path / "ref").write_text("a b\n", encoding="utf-8")
    code, errors = run("tools/score.py", str(tmp_path / "ref"), closed=1)
    assert (code, errors) == (1, "score.py: standard output is closed\n")


def test_a_log_is_not_missed(tmp_path: Path) -> None:
    code, errors = run("tools/learn_bpe.py", "-save_bpe", str(tmp_path / "b"), closed=1)
    assert errors in ("", "learn_bpe.py: there is no text on standard input\n")
    assert code in (0, 1)
