import math
import sys
from pathlib import Path

import pytest

from onmt.commands import plot_training

LOG = """[INFO] Start training from epoch 1 to 2...
[INFO] Epoch 1 ; Iteration 9/18 ; Optim ADAM LR 0.002000 ; Source tokens/s 200 ; Perplexity 26.07
[INFO] Epoch 1 ; Iteration 18/18 ; Optim ADAM LR 0.002000 ; Source tokens/s 20 ; Perplexity inf
[INFO] Validation perplexity: 26.05
[INFO] Epoch 2 ; Iteration 18/18 ; Optim ADAM LR 0.001000 ; Source tokens/s 20 ; Perplexity 20.00
[INFO] Validation perplexity: 21.69
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "train.log"
    path.write_text(LOG)
    return path


def test_the_figures_of_a_log_are_found(log: Path) -> None:
    history = plot_training.read_history(str(log))
    assert history.perplexities == [(0.5, 26.07), (1.0, math.inf), (2.0, 20.0)]
    assert history.rates == [(0.5, 0.002), (1.0, 0.002), (2.0, 0.001)]
    assert history.scores == [(1.0, 26.05), (2.0, 21.69)]
    assert history.metric == "perplexity"


def test_adadelta_has_no_learning_rate(log: Path) -> None:
    log.write_text(LOG.replace("ADAM LR 0.002000", "ADADELTA").replace("ADAM LR 0.001000", "ADADELTA"))
    history = plot_training.read_history(str(log))
    assert len(history.perplexities) == 3
    assert history.rates == []


def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "poem.txt"
    path.write_bytes(b"roses\n\xff are red")
    assert plot_training.main(["-logs", str(path)]) == 1
    assert capsys.readouterr().err == f"plot_training.py: {path}: no line of this file reports a training\n"


def test_a_missing_library_is_named(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plot_training.main(["-logs", str(log), "-output", str(tmp_path / "p.png")]) == 2
    assert "drawing needs matplotlib" in capsys.readouterr().err


def test_a_picture_is_drawn(log: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / "picture.png"
    assert plot_training.main(["-logs", str(log), "-output", str(output)]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
