import json
import math
import sys
from pathlib import Path

import pytest

from onmt.commands.pictures import curve_names, plot_training, read_history

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
    history = read_history(str(log))
    assert history.perplexities == [(0.5, 26.07), (1.0, math.inf), (2.0, 20.0)]
    assert history.rates == [(0.5, 0.002), (1.0, 0.002), (2.0, 0.001)]
    assert history.scores == {"perplexity": [(1.0, 26.05), (2.0, 21.69)]}


def test_adadelta_has_no_learning_rate(log: Path) -> None:
    log.write_text(LOG.replace("ADAM LR 0.002000", "ADADELTA").replace("ADAM LR 0.001000", "ADADELTA"))
    history = read_history(str(log))
    assert len(history.perplexities) == 3
    assert history.rates == []


def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "poem.txt"
    path.write_bytes(b"roses\n\xff are red")
    assert plot_training(["-logs", str(path)]) == 1
    assert capsys.readouterr().err == f"plot_training.py: {path}: no line of this file reports a training\n"


def test_a_missing_library_is_named(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plot_training(["-logs", str(log), "-output", str(tmp_path / "p.png")]) == 2
    assert "drawing needs matplotlib" in capsys.readouterr().err


def test_a_picture_is_drawn(log: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / "picture.png"
    assert plot_training(["-logs", str(log), "-output", str(output)]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")


REPORT = {
    "kind": "report",
    "epoch": 1,
    "iteration": 9,
    "iterations": 9,
    "perplexity": 3.5,
    "learning_rate": 0.5,
}


def test_each_metric_has_its_own_curve(tmp_path: Path) -> None:
    path = tmp_path / "m_metrics.jsonl"
    scores = [("bleu", 10.0), ("perplexity", 4.0), ("bleu", None)]
    records = [{**REPORT, "kind": "validation", "metric": name, "score": score} for name, score in scores]
    text = "".join(json.dumps(record) + "\n" for record in (REPORT, *records))
    path.write_text(text + '{"kind": "rep')  # a training that is still running
    history = read_history(str(path))
    assert history.scores == {"bleu": [(1.0, 10.0)], "perplexity": [(1.0, 4.0)]}
    assert history.perplexities == [(1.0, 3.5)]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{}", "'epoch' is missing"),
        ("[1]", "indices must be integers"),
        (json.dumps({**REPORT, "iterations": 0}), "division by zero"),
        (json.dumps({**REPORT, "perplexity": "high"}), "could not convert"),
        ("[" * 100_000, "line 2"),
    ],
)
def test_other_records_are_refused(
    line: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m_metrics.jsonl"
    path.write_text(f"{json.dumps(REPORT)}\n{line}\n")
    assert plot_training(["-logs", str(path)]) == 1
    errors = capsys.readouterr().err
    assert f"{path}, line 2: " in errors
    assert complaint in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/m_metrics.jsonl", "a/train.log"], ["m", "train"]),
        (["a/m_metrics.jsonl", "b/m_metrics.jsonl"], ["a/m", "b/m"]),
        (["a/m_metrics.jsonl", "a/m.log"], ["a/m_metrics.jsonl", "a/m.log"]),
    ],
)
def test_curves_are_told_apart(paths: list[str], names: list[str]) -> None:
    assert curve_names(paths) == names


def test_names_are_taken_from_the_command_line(log: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / "picture.svg"
    argv = ["-logs", str(log), str(log), "-names", "first run", "second run", "-output", str(output)]
    assert plot_training(argv) == 0
    assert b"second run (perplexity)" in output.read_bytes()


@pytest.mark.parametrize("names", [["one"], ["same", "same"]])
def test_names_that_do_not_fit_are_refused(
    names: list[str], log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plot_training(["-logs", str(log), str(log), "-names", *names]) == 2
    assert "-names" in capsys.readouterr().err
