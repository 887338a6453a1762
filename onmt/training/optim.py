"""Optimisers with OpenNMT Lua's formulas (onmt/train/Optim.lua), over all parameters at once.

Nothing here waits for the device: clipping multiplies by a factor that stays a tensor.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from onmt.errors import CheckpointError
from onmt.kernels.updates import adam_update

_DECAYED: Final = ("sgd", "adam")
"""The optimisers whose learning rate the decay rules touch; the others adapt their steps themselves."""


def scale_and_clip(gradients: list[Tensor], divisor: float | Tensor, max_norm: float) -> Tensor:
    """Divide the gradients by `divisor`, scale them to `max_norm` if longer (0: never), in place.

    Returns the L2 norm of all of them together, after the division and before the clipping (0-dim tensor).
    """
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))) / divisor
    factor = torch.ones_like(norm) if max_norm <= 0 else torch.clamp(max_norm / norm, max=1.0)
    torch._foreach_mul_(gradients, factor / divisor)
    return norm


def clip_each(gradients: list[Tensor], max_norm: float) -> None:
    """Scale every one of the gradients to `max_norm` if it is longer, in place."""
    if gradients:
        factors = [torch.clamp(max_norm / norm, max=1.0) for norm in torch._foreach_norm(gradients)]
        torch._foreach_mul_(gradients, factors)


class Optimizer(ABC):
    """Updates named parameters; what it gathers has the parameters' names and shapes."""

    name: str
    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.names = tuple(parameters)
        self.parameters = list(parameters.values())
        self.steps = 0
        self.gathered: dict[str, list[Tensor]] = {
            slot: [torch.zeros_like(parameter) for parameter in self.parameters] for slot in self.slots
        }

    @torch.no_grad()
    def step(self, gradients: list[Tensor], learning_rate: float) -> None:
        """Change the parameters by gradients in the same order; the gradients may be overwritten."""
        self.steps += 1
        self._update(gradients, learning_rate)

    @abstractmethod
    def _update(self, gradients: list[Tensor], learning_rate: float) -> None: ...

    @property
    def decays(self) -> bool:
        """Whether the learning-rate decay rules apply."""
        return self.name in _DECAYED

    @property
    def initial_values(self) -> Mapping[str, float]:
        """What slots hold before the first step, by their names; those that are not named hold 0."""
        return {}

    def restart(self) -> None:
        """Forget everything gathered (`-decay_method restart`)."""
        self.steps = 0
        for tensors in self.gathered.values():
            torch._foreach_zero_(tensors)

    def to_state(self) -> dict[str, Any]:
        """Name, number of steps and gathered tensors by parameter name, for a checkpoint."""
        return {
            "name": self.name,
            "steps": self.steps,
            "gathered": {
                slot: dict(zip(self.names, (tensor.cpu() for tensor in tensors), strict=True))
                for slot, tensors in self.gathered.items()
            },
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `to_state` gave; a parameter that was not trained then starts from nothing.

        Raises CheckpointError if the state is another optimiser's or does not fit.
        """
        if state["name"] != self.name or set(state["gathered"]) != set(self.slots):
            raise CheckpointError(
                f"the checkpoint has the optimiser state of {state['name']}, not {self.name}"
            )
        for slot, tensors in self.gathered.items():
            saved = state["gathered"][slot]
            for name, tensor in zip(self.names, tensors, strict=True):
                if name not in saved:
                    continue
                if saved[name].shape != tensor.shape:
                    raise CheckpointError(
                        f"the optimiser state of the checkpoint does not fit parameter '{name}'"
                    )
                tensor.copy_(saved[name])
        self.steps = int(state["steps"])


class Sgd(Optimizer):
    """p -= lr g, without momentum."""

    name = "sgd"

    def _update(self, gradients: list[Tensor], learning_rate: float) -> None:
        torch._foreach_add_(self.parameters, gradients, alpha=-learning_rate)


class Adagrad(Optimizer):
    """s += g^2; p -= lr g / (sqrt(s) + 1e-10) (Duchi et al. 2011)."""

    name = "adagrad"
    slots = ("squares",)
    epsilon: Final = 1e-10

    def _update(self, gradients: list[Tensor], learning_rate: float) -> None:
        squares = self.gathered["squares"]
        torch._foreach_addcmul_(squares, gradients, gradients)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, self.epsilon)
        torch._foreach_addcdiv_(self.parameters, gradients, roots, value=-learning_rate)


class Adadelta(Optimizer):
    """v = .9 v + .1 g^2; d = sqrt(a + 1e-6) / sqrt(v + 1e-6) g; p -= d; a = .9 a + .1 d^2 (Zeiler 2012)."""

    name = "adadelta"
    slots = ("squares", "deltas")
    rho: Final = 0.9
    epsilon: Final = 1e-6

    def _update(self, gradients: list[Tensor], learning_rate: float) -> None:
        squares, deltas = self.gathered["squares"], self.gathered["deltas"]
        torch._foreach_mul_(squares, self.rho)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - self.rho)
        steps = torch._foreach_add(deltas, self.epsilon)
        torch._foreach_sqrt_(steps)
        roots = torch._foreach_add(squares, self.epsilon)
        torch._foreach_sqrt_(roots)
        torch._foreach_div_(steps, roots)
        torch._foreach_mul_(steps, gradients)
        torch._foreach_sub_(self.parameters, steps)
        torch._foreach_mul_(deltas, self.rho)
        torch._foreach_addcmul_(deltas, steps, steps, value=1 - self.rho)


class Adam(Optimizer):
    """m = .9 m + .1 g; v = .999 v + .001 g^2; p -= lr sqrt(1 - .999^t) / (1 - .9^t) m / (sqrt(v) + 1e-8).

    Kingma and Ba 2015, with Lua's (and TensorFlow's) epsilon beside the uncorrected sqrt(v). torch's kernel,
    one pass over the memory, has it beside the corrected sqrt(v / (1 - .999^t)), so its epsilon is rescaled
    each step. `betas`: .9 and .999 unless given.
    """

    name = "adam"
    slots = ("mean", "squares")

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters)
        self.betas = betas
        self.epsilon = epsilon
        device = self.parameters[0].device if self.parameters else None
        self._counter = torch.zeros((), dtype=torch.float32, device=device)

    def _update(self, gradients: list[Tensor], learning_rate: float) -> None:
        epsilon = self.epsilon / math.sqrt(1 - self.betas[1] ** self.steps)
        adam_update(
            self.parameters,
            gradients,
            (self.gathered["mean"], self.gathered["squares"]),
            self._counter.fill_(self.steps),
            (learning_rate, *self.betas, epsilon),
        )


OPTIMIZERS: Final[Mapping[str, type[Optimizer]]] = {
    "sgd": Sgd,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adam": Adam,
}
