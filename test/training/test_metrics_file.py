"""The metrics file of onmt/training/progress.py, through train.py and tools/plot_training.py."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onmt.commands.pictures import read_history
from onmt.logger import Logger, LoggerOptions
from onmt.training.progress import MetricsFile

RunTrain = Callable[..., tuple[int, str, str]]
TIMES = ("time", "tokens_per_second")


def records(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in TIMES} for line in lines]


def test_a_continued_training_leaves_the_file_of_an_uninterrupted_one(
    run_train: RunTrain, tmp_path: Path
) -> None:
    flags = ["-report_every", "4", "-save_every", "6", "-dropout", "0.3"]
    assert run_train(*flags, "-end_epoch", "3", "-save_model", str(tmp_path / "whole"))[0] == 0
    part = ["-save_model", str(tmp_path / "part")]
    assert run_train(*flags, "-end_epoch", "2", *part)[0] == 0
    with (tmp_path / "part_metrics.jsonl").open("a") as file:
        file.write('{"kind": "rep')  # a killed run leaves an unfinished line
    again = ["-train_from", str(tmp_path / "part_checkpoint.pt"), "-continue", "-max_batch_size", "10"]
    assert run_train(*again, *flags, *part, "-end_epoch", "3")[0] == 0
    whole, found = (records(tmp_path / f"{name}_metrics.jsonl") for name in ("whole", "part"))
    assert found == whole


def test_a_new_training_begins_a_new_file(run_train: RunTrain, tmp_path: Path) -> None:
    for _ in range(2):
        assert run_train("-end_epoch", "1")[0] == 0
    assert [record["kind"] for record in records(tmp_path / "m_metrics.jsonl")] == ["report", "validation"]


def test_it_can_be_left_out(run_train: RunTrain, tmp_path: Path) -> None:
    assert run_train("-end_epoch", "1", "-save_metrics", "0")[0] == 0
    assert not (tmp_path / "m_metrics.jsonl").exists()


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    metrics = MetricsFile(str(tmp_path / "m"), Logger(LoggerOptions(), None))
    metrics.start(1, 1)
    metrics.add("report", 1, 5, {"perplexity": math.inf})
    assert records(tmp_path / "m_metrics.jsonl")[0]["perplexity"] is None


@pytest.mark.parametrize("name", ["log.txt", "m_metrics.jsonl"])
def test_a_log_and_the_file_give_the_same_picture(name: str, run_train: RunTrain, tmp_path: Path) -> None:
    _, log, _ = run_train("-end_epoch", "2", "-report_every", "5")
    (tmp_path / "log.txt").write_text(log, encoding="utf-8")
    history = read_history(str(tmp_path / name))
    assert [place for place, _ in history.perplexities] == pytest.approx(
        [1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2], abs=0.01
    )
    assert [place for place, _ in history.scores["perplexity"]] == [1, 2]


def test_a_training_cut_by_steps_goes_on_with_its_report(run_train: RunTrain, tmp_path: Path) -> None:
    flags = ["-report_every", "4", "-eval_every_n_steps", "9"]
    assert run_train(*flags, "-train_steps", "18", "-save_model", str(tmp_path / "whole"))[0] == 0
    part = ["-save_model", str(tmp_path / "part")]
    assert run_train(*flags, "-train_steps", "6", *part)[0] == 0
    assert [record["iteration"] for record in records(tmp_path / "part_metrics.jsonl")] == [4, 6, 6]
    (cut,) = tmp_path.glob("part_epoch1_*.pt")
    again = ["-train_from", str(cut), "-continue", "-max_batch_size", "10", "-train_steps", "18"]
    assert run_train(*again, *flags, *part)[0] == 0
    assert records(tmp_path / "part_metrics.jsonl") == records(tmp_path / "whole_metrics.jsonl")


def test_a_validation_is_not_recorded_twice(tmp_path: Path) -> None:
    """A run resumed between an epoch's last iteration and its validation validates again."""
    metrics = MetricsFile(str(tmp_path / "m"), Logger(LoggerOptions(), None))
    metrics.start(1, 1)
    metrics.add("report", 1, 9, {})
    metrics.add("validation", 1, 9, {})
    metrics.start(2, 1)
    assert len(records(tmp_path / "m_metrics.jsonl")) == 2
    metrics.start(1, 10)
    assert [record["kind"] for record in records(tmp_path / "m_metrics.jsonl")] == ["report"]


@pytest.mark.parametrize(
    "line", ["[1]", '{"kind": "report", "epoch": Infinity, "iteration": 1}', "{", "[" * 9999]
)
def test_other_lines_are_dropped(line: str, tmp_path: Path) -> None:
    path = tmp_path / "m_metrics.jsonl"
    path.write_text(f'{{"kind": "report", "epoch": 1, "iteration": 1}}\n{line}\n', encoding="utf-8")
    MetricsFile(str(tmp_path / "m"), Logger(LoggerOptions(), None)).start(1, 2)
    assert [record["iteration"] for record in records(path)] == [1]


def test_what_cannot_be_read_stays(tmp_path: Path) -> None:
    (tmp_path / "m_metrics.jsonl").mkdir()
    log = io.StringIO()
    metrics = MetricsFile(str(tmp_path / "m"), Logger(LoggerOptions(), log))
    metrics.start(1, 1)
    metrics.add("report", 1, 1, {})
    assert log.getvalue().count("Cannot write") == 1
    assert (tmp_path / "m_metrics.jsonl").is_dir()
