import numpy as np
import pytest
import torch

from onmt.data.dataset import BatchPlan
from onmt.training.data import _EpochBatches, _StepBatches
from onmt.training.distributed import Replicas


class Numbers:
    """A data set whose batches are the indices asked for."""

    class Indices:
        def __init__(self, indices: np.ndarray) -> None:
            self.number = int(indices[0])

        def to(self, device: torch.device) -> "Numbers.Indices":
            return self

    def batch(self, indices: np.ndarray) -> "Numbers.Indices":
        return self.Indices(indices)


class OneOfTwo(Replicas):
    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.size = 2


def passes(count: int = 7, replicas: Replicas | None = None) -> _EpochBatches:
    plan = BatchPlan(np.arange(count + 1), 1, 0, False)
    device = torch.device("cpu")
    return _EpochBatches(Numbers(), plan, 1, 1, 3, replicas or Replicas(), device)  # type: ignore[arg-type]


def taken(source: _StepBatches | _EpochBatches, epoch: int, first: int = 1) -> list[int | None]:
    found = source.take(epoch, first)
    return [batches[0].number if batches else None for batches in found]  # type: ignore[attr-defined]


def test_passes_follow_on_one_another() -> None:
    endless = [number for epoch in range(1, 6) for number in taken(passes(), epoch)]
    by_steps = _StepBatches(passes(), 10, 0)
    assert [number for epoch in (1, 2, 3) for number in taken(by_steps, epoch)] == endless[:30]
    assert by_steps.iterations == 10
    assert len(by_steps.plan) == 7
    assert set(endless[7:14]) == set(range(7))


@pytest.mark.parametrize("first", range(1, 12))
def test_a_step_takes_the_same_batch_wherever_a_run_began(first: int) -> None:
    whole = taken(_StepBatches(passes(), 10, 0), 2)
    assert taken(_StepBatches(passes(), 10, 0), 2, first) == whole[first - 1 :]


def test_the_last_step_ends_all() -> None:
    limited = _StepBatches(passes(), 10, 23)
    assert [len(taken(limited, epoch)) for epoch in (1, 2, 3, 4)] == [10, 10, 3, 0]
    assert taken(limited, 3, 4) == []
    assert taken(limited, 3) == taken(_StepBatches(passes(), 10, 0), 3)[:3]


def test_replicas_stay_together() -> None:
    shares = [taken(_StepBatches(passes(7, OneOfTwo(rank)), 6, 0), 1) for rank in (0, 1)]
    assert [len(share) for share in shares] == [6, 6]
    assert shares[1][3] is None  # seven batches are four iterations of two
    assert shares[0][:4] == taken(passes(), 1)[::2]
