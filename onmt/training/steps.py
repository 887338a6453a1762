"""A training that counts steps: what the loop takes for an epoch is so many batches, wherever a pass ends."""

from collections.abc import Iterator

from onmt.data.batch import Batch
from onmt.data.dataset import BatchPlan
from onmt.training.batches import EpochBatches


class StepBatches:
    """The batches of passes over the data that follow on one another, `iterations` of them per epoch.

    total: there are no more batches after so many steps, counted from the first epoch; 0: no end. Like the
    order of a pass, which batch a step takes depends on the step's number alone.
    """

    def __init__(self, passes: EpochBatches, iterations: int, total: int) -> None:
        self._passes = passes
        self._total = total
        self.iterations = iterations

    @property
    def plan(self) -> BatchPlan:
        """The batches of a pass."""
        return self._passes.plan

    def take(self, epoch: int, first: int) -> Iterator[Batch | None]:
        """See `EpochBatches.take`."""
        step, end = (epoch - 1) * self.iterations + first - 1, epoch * self.iterations
        if self._total > 0:
            end = min(end, self._total)
        while step < end:
            number, place = divmod(step, self._passes.iterations)
            for batch in self._passes.take(number + 1, place + 1):
                yield batch
                step += 1
                if step >= end:
                    return
