"""Which epoch models are kept."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from onmt.checkpoint import load_checkpoint
from onmt.models.base import Model
from onmt.training.evaluation import Evaluator

RunTrain = Callable[..., tuple[int, str, str]]


def epochs(folder: Path, name: str = "m") -> list[str]:
    return sorted(path.name.split("_")[1] for path in folder.glob(f"{name}_epoch*.pt"))


def test_only_the_last_models_stay_whoever_trained_on(run_train: RunTrain, tmp_path: Path) -> None:
    foreign = tmp_path / "m_epoch0_9.99.pt"
    foreign.write_bytes(b"of another training")
    assert run_train("-end_epoch", "3", "-keep_checkpoint_max", "2")[0] == 0
    assert epochs(tmp_path) == ["epoch0", "epoch2", "epoch3"]
    (last,) = tmp_path.glob("m_epoch3_*.pt")
    kept = load_checkpoint(last)["training"]["kept_models"]
    assert kept == sorted(path.name for path in tmp_path.glob("m_epoch[23]_*.pt"))
    go_on = ("-train_from", str(last), "-continue", "-keep_checkpoint_max", "2")
    assert run_train(*go_on, "-end_epoch", "4")[0] == 0
    assert epochs(tmp_path) == ["epoch0", "epoch3", "epoch4"]
    assert foreign.read_bytes() == b"of another training"


def test_a_training_from_a_model_leaves_the_models_before_it(run_train: RunTrain, tmp_path: Path) -> None:
    keep = ("-keep_checkpoint_max", "1")
    assert run_train("-end_epoch", "2", *keep)[0] == 0
    (first,) = tmp_path.glob("m_epoch2_*.pt")
    assert (
        run_train(
            "-train_from", str(first), "-end_epoch", "2", "-start_epoch", "2", "-learning_rate", "0.02", *keep
        )[0]
        == 0
    )
    assert first.exists()
    other = str(tmp_path / "other")
    assert (
        run_train("-train_from", str(first), "-continue", "-end_epoch", "4", "-save_model", other, *keep)[0]
        == 0
    )
    assert first.exists()
    assert epochs(tmp_path, "other") == ["epoch4"]


def test_all_stay_unless_asked(run_train: RunTrain, tmp_path: Path) -> None:
    assert run_train("-end_epoch", "3")[0] == 0
    assert epochs(tmp_path) == ["epoch1", "epoch2", "epoch3"]
    (last,) = tmp_path.glob("m_epoch3_*.pt")
    go_on = ("-train_from", str(last), "-continue", "-end_epoch", "5", "-keep_checkpoint_max", "1")
    assert run_train(*go_on)[0] == 0
    assert epochs(tmp_path) == ["epoch1", "epoch2", "epoch3", "epoch5"]


def test_a_model_that_cannot_be_removed_is_told(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    code, log, _ = run_train("-end_epoch", "2", "-keep_checkpoint_max", "1")
    assert code == 0
    assert "WARNING] Cannot remove '" in log
    assert epochs(tmp_path) == ["epoch1", "epoch2"]


def test_the_last_model_with_a_finite_score_stays(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A score may be NaN while the model is sound: validation data can be spoilt, too."""
    scores = Evaluator.scores

    def spoilt(
        self: Evaluator, model: Model, epoch: int, between_batches: Callable[[], None]
    ) -> dict[str, float]:
        if 2 <= epoch <= 4:
            return {"perplexity": math.nan}
        return scores(self, model, epoch, between_batches)

    monkeypatch.setattr(Evaluator, "scores", spoilt)
    keep = ("-keep_checkpoint_max", "1")
    assert run_train("-end_epoch", "4", *keep)[0] == 0
    assert epochs(tmp_path) == ["epoch1", "epoch4"]
    (last,) = tmp_path.glob("m_epoch4_nan.pt")
    assert run_train("-train_from", str(last), "-continue", "-end_epoch", "5", *keep)[0] == 0
    assert epochs(tmp_path) == ["epoch5"]
