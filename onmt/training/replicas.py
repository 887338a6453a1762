"""Data-parallel training: every process holds a replica of the model and takes its share of the batches.

As in OpenNMT Lua's synchronous mode, an iteration takes one batch per replica, the gradients are summed and
divided by the sentences of all these batches together, and every replica makes the same update.
"""

from typing import TypeVar

import torch
from torch import Tensor, distributed

Value = TypeVar("Value")


class Replicas:
    """One process alone."""

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that logs and saves."""
        return self.rank == 0

    def sum_gradients(self, gradients: list[Tensor], sentences: int, loss: Tensor) -> float | Tensor:
        """Sum the gradients of all replicas in place; returns the number of sentences they come from.

        loss: 0-dim, of this replica; where that of another one is not finite, the returned number is NaN.
        """
        return float(sentences)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all replicas."""
        return values

    def largest(self, value: int) -> int:
        """The largest value of all replicas."""
        return value

    def same_for_all(self, value: Value) -> Value:
        """The first replica's value."""
        return value

    def gather(self, value: Value) -> list[Value]:
        """The values of all replicas."""
        return [value]


class DistributedReplicas(Replicas):
    """The processes of an initialised `torch.distributed` group."""

    def __init__(self, device: torch.device) -> None:
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()
        self._device = device
        # Numbers that the host needs travel apart from the gradients, so that no GPU has to be waited for.
        self._control = distributed.new_group(backend="gloo")

    def sum_gradients(self, gradients: list[Tensor], sentences: int, loss: Tensor) -> float | Tensor:
        """See `Replicas.sum_gradients`; one message for all of them."""
        count = torch.full((1,), float(sentences), dtype=gradients[0].dtype, device=self._device)
        count += 0 * loss.to(count.dtype)
        message = torch.cat([count, *(gradient.reshape(-1) for gradient in gradients)])
        distributed.all_reduce(message)
        parts = message[1:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return message[0]

    def sum(self, values: Tensor) -> Tensor:
        """See `Replicas.sum`."""
        values = values.cpu()
        distributed.all_reduce(values, group=self._control)
        return values

    def largest(self, value: int) -> int:
        """See `Replicas.largest`."""
        holder = torch.tensor([value])
        distributed.all_reduce(holder, op=distributed.ReduceOp.MAX, group=self._control)
        return int(holder)

    def same_for_all(self, value: Value) -> Value:
        """See `Replicas.same_for_all`."""
        holder = [value]
        distributed.broadcast_object_list(holder, src=0, group=self._control)
        return holder[0]

    def gather(self, value: Value) -> list[Value]:
        """See `Replicas.gather`."""
        values = [value] * self.size
        distributed.all_gather_object(values, value, group=self._control)
        return values
