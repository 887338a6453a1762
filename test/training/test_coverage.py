"""`-coverage_attn` and `-lambda_coverage` through train.py and translate.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commands.pipeline import translate

RunTrain = Callable[..., tuple[int, str, str]]
GOOGLE = (
    "{embedding.dim: 8, encoder.params: {rnn_cell: {cell_params: {num_units: 8}}}, "
    "decoder.params: {rnn_cell: {cell_params: {num_units: 8}}}, attention.params: {num_units: 8}}"
)
COVERED = ["-coverage_attn", "-lambda_coverage", "0.5"]
WEIGHT = "decoder.attention.coverage_weight"


def content_of(folder: Path, name: str, epoch: int) -> dict[str, dict[str, torch.Tensor]]:
    (path,) = folder.glob(f"{name}_epoch{epoch}_*.pt")
    content: dict[str, dict[str, torch.Tensor]] = load_checkpoint(path)
    return content


def test_a_continued_run_equals_an_uninterrupted_one(run_train: RunTrain, tmp_path: Path) -> None:
    assert run_train("-save_model", str(tmp_path / "whole"), *COVERED, "-end_epoch", "2")[0] == 0
    assert run_train("-save_model", str(tmp_path / "part"), *COVERED, "-end_epoch", "1")[0] == 0
    (first,) = tmp_path.glob("part_epoch1_*.pt")
    again = ["-train_from", str(first), "-continue", "-end_epoch", "2", "-max_batch_size", "10"]
    code, log, _ = run_train("-save_model", str(tmp_path / "part"), *again)
    assert code == 0
    assert "WARNING" not in log
    whole, part = (content_of(tmp_path, name, 2)["weights"] for name in ("whole", "part"))
    assert all(torch.equal(whole[name], part[name]) for name in whole)
    assert not torch.equal(whole[WEIGHT], content_of(tmp_path, "part", 1)["weights"][WEIGHT])
    (model,) = tmp_path.glob("part_epoch2_*.pt")
    (tmp_path / "in").write_text("a b c\nd e\n", encoding="utf-8")
    argv = ["-model", str(model), "-src", str(tmp_path / "in"), "-output", str(tmp_path / "out"), "-n_best"]
    assert translate([*argv, "2"]) == 0
    assert (tmp_path / "out").read_text(encoding="utf-8").count("\n") == 4


def test_the_coverage_loss_is_learnt_but_not_reported(run_train: RunTrain, tmp_path: Path) -> None:
    still = ["-learning_rate", "1e-30", "-end_epoch", "1", "-dropout", "0", "-coverage_attn"]
    logs = [run_train(*still, *more)[1] for more in ([], ["-lambda_coverage", "2"])]
    found = [log.partition("Perplexity ")[2].split("\n")[0] for log in logs]
    assert found[0] == found[1]
    for name, weight in (("without", "0"), ("with", "2")):
        flags = ["-save_model", str(tmp_path / name), "-coverage_attn", "-lambda_coverage", weight]
        assert run_train(*flags, "-end_epoch", "1")[0] == 0
    weights = [content_of(tmp_path, name, 1)["weights"][WEIGHT] for name in ("without", "with")]
    assert not torch.equal(*weights)


def test_google_models_take_it_too(run_train: RunTrain, tmp_path: Path) -> None:
    given = ["-train_from", "", "-train_steps", "3", "-model", "AttentionSeq2Seq", "-model_params", GOOGLE]
    code, _, errors = run_train(*given, *COVERED)
    assert code == 0, errors
    (path,) = tmp_path.glob("m_epoch*.pt")
    assert WEIGHT in load_checkpoint(path)["weights"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["-coverage_attn", "-attention", "none"], "-coverage_attn needs a decoder with attention"),
        (["-lambda_coverage", "1"], "-lambda_coverage needs a model that was created with -coverage_attn"),
        (["-lambda_coverage", "-1"], "-lambda_coverage"),
        (["-coverage_attn", "-model_type", "seqtagger"], "-coverage_attn"),
    ],
)
def test_what_does_not_fit_is_refused(flags: list[str], complaint: str, run_train: RunTrain) -> None:
    code, _, errors = run_train(*flags)
    assert code == 2
    assert complaint in errors
    assert errors.count("\n") == 1


def test_a_model_without_coverage_does_not_get_it_later(run_train: RunTrain, tmp_path: Path) -> None:
    assert run_train("-end_epoch", "1")[0] == 0
    (path,) = tmp_path.glob("m_epoch1_*.pt")
    code, _, errors = run_train("-train_from", str(path), "-lambda_coverage", "1", "-end_epoch", "1")
    assert code == 2
    assert errors.count("\n") == 1
    assert "-lambda_coverage" in errors
