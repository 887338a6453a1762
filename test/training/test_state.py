import pytest
import torch

from onmt.errors import CheckpointError
from onmt.kernels.products import Products
from onmt.training.checkpoints import Batching, Environment, TrainingState
from onmt.training.optim import LearningRate

BATCHING = Batching(max_batch_size=20, max_tokens=1800, uneven_batches=False, replicas=1, iterations=18)


def test_a_state_survives_its_dictionary() -> None:
    state = TrainingState(
        rate=LearningRate(0.5, last_score=7.5, decaying=True),
        epoch=3,
        iteration=5,
        minutes=1.5,
        gold_probability=0.25,
        optimizer={"name": "sgd", "steps": 2, "gathered": {}},
        kept_models=["m_epoch1_7.50.pt", "m_epoch2_7.00.pt"],
        batching=BATCHING,
        environment=Environment.current(torch.device("cpu"), Products()),
    )
    assert TrainingState.from_dict(state.to_dict()) == state
    fresh = TrainingState(rate=LearningRate(1.0))
    assert TrainingState.from_dict(fresh.to_dict()) == fresh


@pytest.mark.parametrize(
    "change",
    [
        {"rate": None},
        {"rate": {"speed": 1}},
        {"more": 1},
        {"batching": {"a": 1}},
        {"kept_models": "all"},
        {"kept_models": [1]},
        {"kept_models": ["../m_epoch1_7.50.pt"]},
        {"kept_models": [""]},
    ],
)
def test_a_malformed_state_is_refused(change: dict[str, object]) -> None:
    content = TrainingState(rate=LearningRate(1.0)).to_dict() | change
    with pytest.raises(CheckpointError, match="malformed"):
        TrainingState.from_dict(content)


def test_differences_are_told_by_name() -> None:
    other = Batching(max_batch_size=64, max_tokens=1800, uneven_batches=True, replicas=1, iterations=18)
    assert BATCHING.differences(other) == ["max_batch_size: 64 -> 20", "uneven_batches: True -> False"]
    here = Environment.current(torch.device("cpu"), Products())
    there = Environment("abacus", here.torch_version, here.threads, here.compute)
    assert here.differences(there) == [f"machine: abacus -> {here.machine}"]
    assert here.differences(here) == []
