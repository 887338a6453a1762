"""Which batch each iteration of each epoch takes."""

from collections.abc import Iterator

import torch

from onmt.data.batch import Batch
from onmt.data.dataset import BatchPlan, Dataset, SentenceSet, epoch_order, prefetch
from onmt.training.replicas import Replicas


class EpochBatches:
    """The batches of a training set, epoch by epoch: as stored for the first `curriculum` epochs, then
    shuffled.

    With N replicas an iteration takes N consecutive batches of that order, one for each.
    """

    def __init__(
        self,
        dataset: SentenceSet,
        plan: BatchPlan,
        curriculum: int,
        seed: int,
        replicas: Replicas,
        device: torch.device,
    ) -> None:
        self._dataset = dataset
        self.plan = plan
        self._curriculum = curriculum
        self._seed = seed
        self._replicas = replicas
        self._device = device

    @property
    def iterations(self) -> int:
        """Per epoch."""
        return -(-len(self.plan) // self._replicas.size)

    def take(self, epoch: int, first: int) -> Iterator[Batch | None]:
        """This replica's batches of the iterations `first` (from 1) and later, on its device.

        None where the last iteration has no batch left for this replica.
        """
        order = epoch_order(len(self.plan), epoch, self._curriculum, self._seed)
        mine = range((first - 1) * self._replicas.size + self._replicas.rank, len(order), self._replicas.size)
        yield from prefetch(lambda place: self._batch(int(order[place])), mine)
        if len(mine) < self.iterations - first + 1:
            yield None

    def _batch(self, index: int) -> Batch:
        return self._dataset.batch(self.plan[index]).to(self._device)


class StoredBatches:
    """All batches of a data set in stored order, read anew each time."""

    def __init__(self, dataset: Dataset, plan: BatchPlan, device: torch.device) -> None:
        self._dataset = dataset
        self._plan = plan
        self._device = device

    def __iter__(self) -> Iterator[Batch]:
        return prefetch(
            lambda index: self._dataset.batch(self._plan[index]).to(self._device), range(len(self._plan))
        )
