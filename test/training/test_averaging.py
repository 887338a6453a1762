"""MovingAverage of onmt/training/optim.py against the formula in plain Python, and through train.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.errors import CheckpointError
from onmt.training.checkpoints import TrainingState
from onmt.training.optim import MovingAverage

RunTrain = Callable[..., tuple[int, str, str]]


def test_the_average_follows_the_formula() -> None:
    parameter = torch.nn.Parameter(torch.tensor([2.0, -1.0]))
    average = MovingAverage(["p"], [parameter], 0.25)
    expected = [2.0, -1.0]
    for update in range(1, 60):
        with torch.no_grad():
            parameter.add_(update % 7)
        average.update(update)
        share = max(0.25, 9 / (update + 9))
        expected = [old + share * (new - old) for old, new in zip(expected, parameter.tolist(), strict=True)]
        with average.applied():
            assert parameter.tolist() == pytest.approx(expected, rel=1e-5)
    held = parameter.tolist()
    with average.applied():
        assert parameter.tolist() == pytest.approx(expected, rel=1e-5)
        assert average.trained()["p"].tolist() == held
    assert parameter.tolist() == held


def test_a_stored_average_goes_on() -> None:
    parameter = torch.nn.Parameter(torch.tensor([5.0]))  # the stored model: the average
    average = MovingAverage(["p"], [parameter], 0.5)
    average.load({"p": torch.tensor([3.0])})
    assert parameter.tolist() == [3.0]
    average.update(100)
    with average.applied():
        assert parameter.tolist() == [4.0]


def test_weights_of_another_shape_are_refused() -> None:
    average = MovingAverage(["p"], [torch.nn.Parameter(torch.zeros(2))], 0.5)
    with pytest.raises(CheckpointError, match="do not fit parameter 'p'"):
        average.load({"p": torch.zeros(3)})


def test_a_restarted_optimiser_leaves_the_average_alone(run_train: RunTrain, tmp_path: Path) -> None:
    flags = ["-end_epoch", "3", "-average_decay", "0.001", "-decay_method", "restart", "-start_decay_at", "1"]
    assert run_train(*flags)[0] == 0
    (path,) = tmp_path.glob("m_epoch3_*.pt")
    training = load_checkpoint(path)["training"]
    assert training["optimizer"]["steps"] == 0
    assert training["updates"] == 3 * training["batching"]["iterations"]
    del training["updates"]
    assert TrainingState.from_dict({**training, "optimizer": {"steps": 7}}).updates == 7
