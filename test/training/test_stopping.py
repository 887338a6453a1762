"""-early_stopping, -keep_best, -keep_checkpoints and -accum_count through train.py."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.models.networks import Seq2Seq
from onmt.training.checkpoints import _ValidationHistory

RunTrain = Callable[..., tuple[int, str, str]]
SMALL = "-rnn_size 8 -word_vec_size 6 -layers 1 -max_batch_size 10 -optim adam".split()


@pytest.mark.parametrize(
    ("metric", "scores", "improvements", "best", "since"),
    [
        ("perplexity", [5.0, 4.0, 4.0, float("nan")], 2, 4.0, 2),
        ("bleu", [5.0, 4.0, 6.0, 6.0], 2, 6.0, 1),
        ("perplexity", [float("inf")], 0, None, 1),
    ],
)
def test_the_best_score_so_far(
    metric: str, scores: list[float], improvements: int, best: float | None, since: int
) -> None:
    history = _ValidationHistory()
    improved = [history.record(metric, score) for score in scores]  # type: ignore[arg-type]
    assert (history.best, history.since_best) == (best, since)
    assert sum(improved) == improvements
    assert _ValidationHistory.from_state(history.to_state()) == history


def test_another_metric_starts_anew() -> None:
    history = _ValidationHistory()
    history.record("perplexity", 3.0)
    assert history.record("bleu", 1.0)
    assert history.best == 1.0


def epochs(folder: Path) -> list[int]:
    return sorted(int(path.name.split("_epoch")[1].split("_")[0]) for path in folder.glob("m_epoch*.pt"))


def scores_of(log: str) -> list[float]:
    return [float(part.split("\n")[0]) for part in log.split("Validation perplexity: ")[1:]]


@pytest.mark.parametrize("last", [4, 7])
def test_the_best_models_and_the_last_stay(last: int, run_train: RunTrain, tmp_path: Path) -> None:
    code, log, _ = run_train(*SMALL, "-end_epoch", str(last), "-keep_best", "2", "-learning_rate", "0.3")
    assert code == 0
    scores = scores_of(log)
    best = sorted(range(1, last + 1), key=lambda epoch: scores[epoch - 1])
    assert (best[0] == last) == (last == 7)  # once the best model is the last one, once not
    assert epochs(tmp_path) == sorted({*best[:2], last})
    (path,) = tmp_path.glob(f"m_epoch{best[0]}_*.pt")
    left, right = load_checkpoint(path), load_checkpoint(tmp_path / "m_best.pt")
    assert all(torch.equal(left["weights"][name], right["weights"][name]) for name in left["weights"])


def test_a_training_that_no_longer_improves_stops(run_train: RunTrain, tmp_path: Path) -> None:
    still = [*SMALL, "-learning_rate", "1e-30", "-early_stopping", "2"]
    code, log, _ = run_train(*still, "-end_epoch", "9")
    assert code == 0
    assert "Stopping early: 2 validations in a row were not better than" in log
    assert len(scores_of(log)) == 3
    assert epochs(tmp_path) == [1, 2, 3]


def test_the_patience_survives_a_restart(run_train: RunTrain, tmp_path: Path) -> None:
    still = [*SMALL, "-learning_rate", "1e-30", "-early_stopping", "3"]
    assert run_train(*still, "-end_epoch", "2")[0] == 0
    (first,) = tmp_path.glob("m_epoch2_*.pt")
    again = ["-train_from", str(first), "-continue", "-max_batch_size", "10", "-early_stopping", "3"]
    code, log, _ = run_train(*again, "-end_epoch", "9")
    assert code == 0
    assert len(scores_of(log)) == 2


def test_only_the_last_models_stay(run_train: RunTrain, tmp_path: Path) -> None:
    assert run_train("-end_epoch", "4", "-keep_checkpoints", "2")[0] == 0
    assert epochs(tmp_path) == [3, 4]


def test_validations_are_needed(run_train: RunTrain, tiny_files: list[str]) -> None:
    code, _, errors = run_train(*tiny_files[:4], "-early_stopping", "2")
    assert code == 2
    assert "give validation data" in errors


def trained(tmp_path: Path, name: str) -> dict[str, torch.Tensor]:
    (path,) = tmp_path.glob(f"{name}_epoch2_*.pt")
    weights: dict[str, torch.Tensor] = load_checkpoint(path)["weights"]
    return weights


def test_accumulated_batches_equal_a_large_one(run_train: RunTrain, tmp_path: Path) -> None:
    """120 sentences: four batches of 30, or one of 120, in the order of the curriculum."""
    flags = "-dropout 0 -uneven_batches -max_tokens 100000 -optim sgd -learning_rate 0.5 -end_epoch 2".split()
    flags += "-rnn_size 8 -word_vec_size 6 -layers 1 -curriculum 2 -precision fp32".split()
    reported = {}
    for name, size, accumulated in (("large", 120, 1), ("small", 30, 4)):
        more = ["-max_batch_size", str(size), "-accum_count", str(accumulated)]
        code, log, _ = run_train("-save_model", str(tmp_path / name), *flags, *more, "-report_every", "1")
        assert code == 0
        assert "Iteration 1/1 " in log
        reported[name] = re.findall(r"; (Perplexity .*)", log)
    assert len(reported["large"]) == 2
    assert reported["small"] == reported["large"]
    large, small = trained(tmp_path, "large"), trained(tmp_path, "small")
    for name, weight in large.items():
        torch.testing.assert_close(small[name], weight, rtol=0, atol=2e-6)


def test_a_continued_run_accumulates_as_before(run_train: RunTrain, tmp_path: Path) -> None:
    flags = ["-accum_count", "4", "-save_every", "2", "-dropout", "0.3"]
    assert run_train(*flags, "-save_model", str(tmp_path / "whole"), "-end_epoch", "2")[0] == 0
    assert run_train(*flags, "-save_model", str(tmp_path / "part"), "-end_epoch", "1")[0] == 0
    again = ["-train_from", str(tmp_path / "part_checkpoint.pt"), "-continue", "-max_batch_size", "10"]
    code, log, _ = run_train(*again, *flags[:2], "-save_model", str(tmp_path / "part"), "-end_epoch", "2")
    assert code == 0
    assert "WARNING" not in log
    whole, part = trained(tmp_path, "whole"), trained(tmp_path, "part")
    assert all(torch.equal(whole[name], part[name]) for name in whole)


def test_a_stopped_run_keeps_the_models_of_an_uninterrupted_one(run_train: RunTrain, tmp_path: Path) -> None:
    flags = [*SMALL, "-keep_best", "2", "-keep_checkpoints", "2", "-learning_rate", "0.3"]
    folders = [tmp_path / name for name in ("whole", "part")]
    for folder, end in zip(folders, ("7", "3"), strict=True):
        folder.mkdir()
        (folder / "m_epoch9_1.00.pt").write_bytes(b"of somebody else")
        assert run_train(*flags, "-end_epoch", end, "-save_model", str(folder / "m"))[0] == 0
    (last,) = folders[1].glob("m_epoch3_*.pt")
    again = ["-train_from", str(last), "-continue", "-max_batch_size", "10", *flags[-6:], "-end_epoch", "7"]
    assert run_train(*again, "-save_model", str(folders[1] / "m"))[0] == 0
    files = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert files[0] == files[1]
    assert "m_epoch9_1.00.pt" in files[0]
    left, right = (load_checkpoint(folder / "m_best.pt")["weights"] for folder in folders)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_accumulation_is_exact(run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64 and with sentences of different lengths; 120 sentences, so 50 + 50 + 20."""
    flags = "-dropout 0 -uneven_batches -max_tokens 100000 -optim adam -end_epoch 2 -precision fp32".split()
    flags += "-rnn_size 8 -word_vec_size 6 -layers 1 -curriculum 2 -learning_rate 0.01".split()
    monkeypatch.setattr(Seq2Seq, "to", lambda model, *_: model.double())
    for name, size, accumulated in (("large", 120, 1), ("small", 50, 3)):
        more = ["-max_batch_size", str(size), "-accum_count", str(accumulated)]
        assert run_train("-save_model", str(tmp_path / name), *flags, *more)[0] == 0
    large, small = trained(tmp_path, "large"), trained(tmp_path, "small")
    for name, weight in large.items():
        assert weight.dtype == torch.float64
        torch.testing.assert_close(small[name], weight, rtol=0, atol=1e-9)


def test_replaced_models_are_told_once(run_train: RunTrain, tmp_path: Path) -> None:
    code, log, _ = run_train("-end_epoch", "2", "-keep_best", "1")
    assert code == 0
    assert "of an earlier training" not in log
    (last,) = tmp_path.glob("m_epoch2_*.pt")
    _, log, _ = run_train("-train_from", str(last), "-continue", "-max_batch_size", "10", "-end_epoch", "2")
    assert "of an earlier training" not in log
    assert run_train("-end_epoch", "1")[1].count("of an earlier training") == 1
    for path in tmp_path.glob("m_epoch*"):
        path.unlink()
    assert f"'{tmp_path / 'm_best.pt'}' of an earlier training" in run_train("-end_epoch", "1")[1]
