"""Optimisers and learning rate by the formulas of OpenNMT Lua (onmt/train/Optim.lua), and moving averages."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor

from onmt.errors import CheckpointError
from onmt.kernels.updates import adam_update
from onmt.training.trainer_options import Metric, OptimOptions

_DECAYED: Final = ("sgd", "adam")
"""Optimisers whose learning rate the decay rules change; the others adapt their steps themselves."""


_LARGEST_RATE: Final = torch.finfo(torch.float32).max


def _zero_unless(finite: Tensor | None, gradients: list[Tensor]) -> None:
    """Set the gradients to zero, in place, if the flag is given and false."""
    if finite is not None:
        spoilt = finite.logical_not()
        for gradient in gradients:
            gradient.masked_fill_(spoilt, 0)


class Optimizer(ABC):
    """Updates named parameters.

    slot_tensors: by slot, a tensor for each parameter, of the parameter's shape.
    """

    name: str
    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.names = tuple(parameters)
        self.parameters = list(parameters.values())
        self.steps = 0
        self.weight_decay = 0.0
        self._weights = [parameter for parameter in self.parameters if parameter.dim() > 1]
        self.slot_tensors: dict[str, list[Tensor]] = {
            slot: [torch.zeros_like(parameter) for parameter in self.parameters] for slot in self.slots
        }

    @staticmethod
    def can_use(learning_rate: float) -> bool:
        """Return whether the learning rate is a finite float32: parameters cannot be changed by another."""
        return abs(learning_rate) <= _LARGEST_RATE

    @torch.no_grad()
    def step(self, gradients: list[Tensor], learning_rate: float, finite: Tensor | None = None) -> None:
        """Update the parameters by gradients in the same order; the gradients may be overwritten.

        finite: 0-dim, on the parameters' device. Where it is false, or `can_use` refuses the learning rate,
        only `steps` changes. The update itself tests the flag, since the host does not wait for a GPU; on the
        CPU the host reads it.
        """
        self.steps += 1
        if not self.can_use(learning_rate):
            return
        if finite is not None and finite.device.type == "cpu":
            if not finite:
                return
            finite = None
        self._apply_weight_decay(learning_rate, finite)
        self._update(gradients, learning_rate, finite)

    def _apply_weight_decay(self, learning_rate: float, finite: Tensor | None) -> None:
        """Decoupled weight decay (Loshchilov and Hutter 2019)."""
        if self.weight_decay == 0:
            return
        factor: float | Tensor = 1 - learning_rate * self.weight_decay
        if finite is not None:
            factor = torch.where(finite, factor, 1.0).to(self.parameters[0].dtype)
        torch._foreach_mul_(self._weights, factor)

    @abstractmethod
    def _update(self, gradients: list[Tensor], learning_rate: float, finite: Tensor | None) -> None:
        """Update parameters and slots unless `finite` is false: then the gradients may not be finite."""

    @property
    def decays(self) -> bool:
        """Whether the learning-rate decay rules apply."""
        return self.name in _DECAYED

    @property
    def initial_values(self) -> Mapping[str, float]:
        """Initial values of slots by name; 0 for slots that are not named."""
        return {}

    def restart(self) -> None:
        """Clear all slots (`-decay_method restart`)."""
        self.steps = 0
        for tensors in self.slot_tensors.values():
            torch._foreach_zero_(tensors)

    def to_state(self) -> dict[str, Any]:
        """Return name, number of steps and slot_tensors tensors by parameter name, for a checkpoint."""
        return {
            "name": self.name,
            "steps": self.steps,
            "gathered": {
                slot: dict(zip(self.names, (tensor.cpu() for tensor in tensors), strict=True))
                for slot, tensors in self.slot_tensors.items()
            },
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `to_state` returned; a parameter that it lacks keeps its initial slots.

        Raises CheckpointError if the state is another optimiser's or does not fit.
        """
        if state["name"] != self.name or set(state["gathered"]) != set(self.slots):
            raise CheckpointError(
                f"the checkpoint has the optimiser state of {state['name']}, not {self.name}"
            )
        for slot, tensors in self.slot_tensors.items():
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

    def _update(self, gradients: list[Tensor], learning_rate: float, finite: Tensor | None) -> None:
        _zero_unless(finite, gradients)
        torch._foreach_add_(self.parameters, gradients, alpha=-learning_rate)


class _Adagrad(Optimizer):
    """s += g^2; p -= lr g / (sqrt(s) + 1e-10) (Duchi et al. 2011)."""

    name = "adagrad"
    slots = ("squares",)
    epsilon: Final = 1e-10

    def _update(self, gradients: list[Tensor], learning_rate: float, finite: Tensor | None) -> None:
        _zero_unless(finite, gradients)
        squares = self.slot_tensors["squares"]
        torch._foreach_addcmul_(squares, gradients, gradients)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, self.epsilon)
        torch._foreach_addcdiv_(self.parameters, gradients, roots, value=-learning_rate)


class _Adadelta(Optimizer):
    """v = .9 v + .1 g^2; d = sqrt(a + 1e-6) / sqrt(v + 1e-6) g; p -= d; a = .9 a + .1 d^2 (Zeiler 2012)."""

    name = "adadelta"
    slots = ("squares", "deltas")
    rho: Final = 0.9
    epsilon: Final = 1e-6

    def _update(self, gradients: list[Tensor], learning_rate: float, finite: Tensor | None) -> None:
        _zero_unless(finite, gradients)
        rho: float | Tensor = self.rho
        if finite is not None:
            rho = torch.where(finite, self.rho, 1.0).to(gradients[0].dtype)
        squares, deltas = self.slot_tensors["squares"], self.slot_tensors["deltas"]
        torch._foreach_mul_(squares, rho)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - self.rho)
        steps = torch._foreach_add(deltas, self.epsilon)
        torch._foreach_sqrt_(steps)
        roots = torch._foreach_add(squares, self.epsilon)
        torch._foreach_sqrt_(roots)
        torch._foreach_div_(steps, roots)
        torch._foreach_mul_(steps, gradients)
        torch._foreach_sub_(self.parameters, steps)
        torch._foreach_mul_(deltas, rho)
        torch._foreach_addcmul_(deltas, steps, steps, value=1 - self.rho)


class Adam(Optimizer):
    """m = .9 m + .1 g; v = .999 v + .001 g^2; p -= lr sqrt(1 - .999^t) / (1 - .9^t) m / (sqrt(v) + 1e-8).

    Kingma and Ba 2015. As in Lua and TensorFlow, epsilon is added to the uncorrected sqrt(v). torch's kernel,
    which takes one pass over the memory, adds it to the corrected sqrt(v / (1 - .999^t)), so epsilon is
    rescaled each step. `betas`: .9 and .999 unless given.
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

    def _update(self, gradients: list[Tensor], learning_rate: float, finite: Tensor | None) -> None:
        epsilon = self.epsilon / math.sqrt(1 - self.betas[1] ** self.steps)
        adam_update(
            self.parameters,
            gradients,
            (self.slot_tensors["mean"], self.slot_tensors["squares"]),
            self._counter.fill_(self.steps),
            (learning_rate, *self.betas, epsilon),
            None if finite is None else finite.logical_not().float(),
        )


OPTIMIZERS: Final[Mapping[str, type[Optimizer]]] = {
    "sgd": Sgd,
    "adagrad": _Adagrad,
    "adadelta": _Adadelta,
    "adam": Adam,
}


class MovingAverage:
    """average += d * (parameters - average), d = max(decay, 9 / (updates + 9)).

    The second term makes the average forget the first, untrained parameters.
    """

    def __init__(self, names: Sequence[str], parameters: Sequence[Tensor], decay: float) -> None:
        self._names = names
        self._parameters = list(parameters)
        self._decay = decay
        self._shadow = [parameter.detach().clone() for parameter in parameters]

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Add the parameters to the average after this many updates, counted from 1."""
        share = max(self._decay, 9 / (updates + 9))
        torch._foreach_lerp_(self._shadow, self._parameters, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the context the parameters hold the average."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def trained(self) -> dict[str, Tensor]:
        """Inside `applied`, return the parameters that training goes on with, by name and on the CPU."""
        return {name: tensor.cpu() for name, tensor in zip(self._names, self._shadow, strict=True)}

    @torch.no_grad()
    def load(self, trained: Mapping[str, Tensor]) -> None:
        """Restore a checkpoint: the parameters hold the stored average; `trained` are those that it replaced.

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
        for parameter, other in zip(self._parameters, self._shadow, strict=True):
            held = parameter.detach().clone()
            parameter.copy_(other)
            other.copy_(held)


HIGHER_IS_BETTER: Final[frozenset[Metric]] = frozenset({"bleu"})


@dataclass
class LearningRate:
    """The learning rate of the next step, and the state of the decay rules.

    Lua forgets the last score and the latch `decaying` when training is continued from a file. Here a
    checkpoint stores them, so a continued training decays where an uninterrupted one does.
    """

    value: float
    last_score: float | None = None
    decaying: bool = False
    metric: Metric = "perplexity"
    """The metric of the last score, which cannot be compared with scores of another metric."""

    def after_epoch(self, options: OptimOptions, metric: Metric, epoch: int, score: float | None) -> bool:
        """Apply the decay rules after `epoch` (from 1) with its score; return whether the rate decayed.

        `score`: None without validation data; no rule by score applies then.
        """
        if metric != self.metric:
            self.last_score, self.metric = None, metric
        by_epoch = epoch >= options.start_decay_at
        by_score = self._stalled(score, metric, options.start_decay_score_delta)
        if score is None or not math.isnan(score):  # no score can be compared with NaN
            self.last_score = score
        if options.decay == "score_only":
            decay = by_score
        elif options.decay == "epoch_only":
            decay = by_epoch
        else:
            self.decaying = self.decaying or by_epoch or by_score
            decay = self.decaying
        if decay:
            self.value *= options.learning_rate_decay
        return decay

    def _stalled(self, score: float | None, metric: Metric, delta: float) -> bool:
        if score is not None and not math.isfinite(score):
            return True
        if score is None or self.last_score is None:
            return False
        if metric in HIGHER_IS_BETTER:
            return score < self.last_score + delta
        return score > self.last_score - delta

    def to_state(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "LearningRate":
        """Inverse of `to_state`. Raises CheckpointError for anything else."""
        try:
            return cls(**state)
        except TypeError as error:
            raise CheckpointError(f"the learning rate of the checkpoint is malformed: {error}") from error
