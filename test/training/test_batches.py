import numpy as np
import pytest
import torch

from onmt.data.dataset import Dataset, plan_batches
from onmt.data.loading import open_prepared
from onmt.training.data import StoredBatches, _EpochBatches
from onmt.training.distributed import Replicas

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tiny_data: str) -> Dataset:
    return open_prepared(tiny_data).train


def taken(
    dataset: Dataset, rank: int, size: int, epoch: int, first: int, curriculum: int
) -> list[list[int] | None]:
    replicas = Replicas()
    replicas.rank, replicas.size = rank, size
    plan = plan_batches(dataset.src_lengths, 7, 1800, False)
    batches = _EpochBatches(dataset, plan, curriculum, 1, 3435, replicas, CPU)
    return [batch[0].indices.tolist() if batch else None for batch in batches.take(epoch, first)]


def test_an_epoch_takes_every_sentence_once(dataset: Dataset) -> None:
    for epoch in (1, 2):
        indices = [index for batch in taken(dataset, 0, 1, epoch, 1, 0) for index in batch or ()]
        assert sorted(indices) == list(range(len(dataset)))


def test_the_curriculum_keeps_the_stored_order(dataset: Dataset) -> None:
    stored = taken(dataset, 0, 1, 2, 1, curriculum=2)
    assert [index for batch in stored for index in batch or ()] == list(range(len(dataset)))
    shuffled = [taken(dataset, 0, 1, epoch, 1, curriculum=2) for epoch in (3, 4)]
    assert stored != shuffled[0] != shuffled[1]


def test_an_epoch_taken_up_in_the_middle_is_the_rest_of_it(dataset: Dataset) -> None:
    whole = taken(dataset, 0, 1, 3, 1, 0)
    for first in (1, 2, len(whole), len(whole) + 1):
        assert taken(dataset, 0, 1, 3, first, 0) == whole[first - 1 :]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_replicas_share_consecutive_batches(dataset: Dataset, size: int) -> None:
    alone = taken(dataset, 0, 1, 3, 1, 0)
    iterations = -(-len(alone) // size)
    shares = [taken(dataset, rank, size, 3, 1, 0) for rank in range(size)]
    assert {len(share) for share in shares} == {iterations}
    together = [share[iteration] for iteration in range(iterations) for share in shares]
    assert together == alone + [None] * (iterations * size - len(alone))
    resumed = [taken(dataset, rank, size, 3, 2, 0) for rank in range(size)]
    assert resumed == [share[1:] for share in shares]


def test_stored_batches_come_the_same_every_time(dataset: Dataset) -> None:
    batches = StoredBatches(dataset, plan_batches(dataset.src_lengths, 7, 1800, False), CPU)
    for _ in range(2):
        indices = np.concatenate([batch.indices.numpy() for batch in batches])
        assert indices.tolist() == list(range(len(dataset)))


@pytest.mark.parametrize(("size", "accumulated"), [(1, 3), (2, 2), (3, 4)])
def test_accumulated_batches_are_consecutive_ones(dataset: Dataset, size: int, accumulated: int) -> None:
    alone = [batch for batch in taken(dataset, 0, 1, 3, 1, 0) if batch is not None]
    plan = plan_batches(dataset.src_lengths, 7, 1800, False)
    shares = []
    for rank in range(size):
        replicas = Replicas()
        replicas.rank, replicas.size = rank, size
        batches = _EpochBatches(dataset, plan, 0, accumulated, 3435, replicas, CPU)
        shares.append([[batch.indices.tolist() for batch in taken] for taken in batches.take(3, 1)])
        assert len(shares[-1]) == batches.iterations == -(-len(alone) // (size * accumulated))
    for iteration, start in enumerate(range(0, len(alone), size * accumulated)):
        together = [batch for share in shares for batch in share[iteration]]
        assert sorted(together) == sorted(alone[start : start + size * accumulated])
