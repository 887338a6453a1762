"""A moving average of the parameters, which is validated and saved in their place."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from onmt.errors import CheckpointError


class MovingAverage:
    """average += d * (parameters - average), d = max(decay, 9 / (updates + 9)).

    The second term makes the average forget the first, untrained parameters.
    """

    def __init__(self, names: Sequence[str], parameters: Sequence[Tensor], decay: float) -> None:
        self._names = names
        self._parameters = list(parameters)
        self._decay = decay
        self._others = [parameter.detach().clone() for parameter in parameters]

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take in the parameters after this many updates, counted from 1."""
        share = max(self._decay, 9 / (updates + 9))
        torch._foreach_lerp_(self._others, self._parameters, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The average stands in the parameters' place inside the context."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def trained(self) -> dict[str, Tensor]:
        """Inside `applied`: by name and on the CPU, the parameters that training goes on with."""
        return {name: tensor.cpu() for name, tensor in zip(self._names, self._others, strict=True)}

    @torch.no_grad()
    def load(self, trained: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint: the parameters hold the stored average, `trained` what they had.

        Raises CheckpointError if `trained` does not fit the parameters.
        """
        for name, parameter in zip(self._names, self._parameters, strict=True):
            if name not in trained:
                continue  # it was frozen before
            if trained[name].shape != parameter.shape:
                raise CheckpointError(f"the checkpoint's trained weights do not fit parameter '{name}'")
            parameter.copy_(trained[name])

    @torch.no_grad()
    def _exchange(self) -> None:
        for parameter, other in zip(self._parameters, self._others, strict=True):
            held = parameter.detach().clone()
            parameter.copy_(other)
            other.copy_(held)
