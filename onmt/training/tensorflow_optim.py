"""TensorFlow 1.0's optimisers that OpenNMT Lua does not have, with TensorFlow's formulas and defaults.

Written from the documentation of tf.train.*Optimizer and the papers. A table of word vectors gets a sparse
gradient there: rows of words that did not occur stay as they are, and so does what is gathered for them.
"""

from abc import abstractmethod
from collections.abc import Mapping, Set

import torch
from torch import Tensor

from onmt.training.optim import Optimizer


class TableOptimizer(Optimizer):
    """Updates one parameter after another by `_next`; in a table, rows whose gradient is zero stay.

    `initial`: what the first slot holds at the start; the others hold zeros. Set it before `__init__`.
    """

    initial: float = 0.0

    def __init__(self, parameters: Mapping[str, Tensor], tables: Set[str]) -> None:
        """`tables`: the names of the parameters that hold word vectors."""
        super().__init__(parameters)
        self._tables = tables
        self._fill()

    @property
    def initial_values(self) -> Mapping[str, float]:
        """See `Optimizer.initial_values`."""
        return {self.slots[0]: self.initial}

    def restart(self) -> None:
        """See `Optimizer.restart`."""
        super().restart()
        self._fill()

    def _fill(self) -> None:
        for slot, value in self.initial_values.items():
            for tensor in self.gathered[slot]:
                tensor.fill_(value)

    def _update(self, gradients: list[Tensor], learning_rate: float, finite: Tensor | None) -> None:
        for index, (name, gradient) in enumerate(zip(self.names, gradients, strict=True)):
            changed = [self.parameters[index], *(self.gathered[slot][index] for slot in self.slots)]
            following = self._next(gradient, learning_rate, *changed)
            touched = (gradient != 0).any(dim=-1, keepdim=True) if name in self._tables else None
            if finite is not None:
                touched = finite if touched is None else touched & finite
            for old, new in zip(changed, following, strict=True):
                old.copy_(new if touched is None else torch.where(touched, new, old))

    @abstractmethod
    def _next(
        self, gradient: Tensor, learning_rate: float, parameter: Tensor, *gathered: Tensor
    ) -> tuple[Tensor, ...]:
        """The parameter and its slots after a step, as new tensors."""


class Momentum(TableOptimizer):
    """a = m a + g; p -= lr a, or with Nesterov's form p -= lr (g + m a)."""

    name = "momentum"
    slots = ("velocity",)

    def __init__(
        self, parameters: Mapping[str, Tensor], tables: Set[str], momentum: float, use_nesterov: bool
    ) -> None:
        self.momentum = momentum
        self.use_nesterov = use_nesterov
        super().__init__(parameters, tables)

    def _next(
        self, gradient: Tensor, learning_rate: float, parameter: Tensor, *gathered: Tensor
    ) -> tuple[Tensor, ...]:
        velocity = self.momentum * gathered[0] + gradient
        step = gradient + self.momentum * velocity if self.use_nesterov else velocity
        return parameter - learning_rate * step, velocity


class AccumulatingAdagrad(TableOptimizer):
    """s = `initial`, then s += g^2; p -= lr g / sqrt(s) (Duchi et al. 2011)."""

    name = "adagrad"
    slots = ("squares",)

    def __init__(
        self, parameters: Mapping[str, Tensor], tables: Set[str], initial_accumulator_value: float
    ) -> None:
        self.initial = initial_accumulator_value
        super().__init__(parameters, tables)

    def _next(
        self, gradient: Tensor, learning_rate: float, parameter: Tensor, *gathered: Tensor
    ) -> tuple[Tensor, ...]:
        squares = gathered[0] + gradient**2
        return parameter - learning_rate * gradient / squares.sqrt(), squares


class RmsProp(TableOptimizer):
    """s = 1, then s = d s + (1 - d) g^2; v = m v + lr g / sqrt(s + epsilon); p -= v (Hinton 2012)."""

    name = "rmsprop"
    slots: tuple[str, ...] = ("squares", "velocity")
    initial = 1.0

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        tables: Set[str],
        decay: float,
        momentum: float,
        epsilon: float,
    ) -> None:
        self.decay = decay
        self.momentum = momentum
        self.epsilon = epsilon
        super().__init__(parameters, tables)

    def _next(
        self, gradient: Tensor, learning_rate: float, parameter: Tensor, *gathered: Tensor
    ) -> tuple[Tensor, ...]:
        squares = self.decay * gathered[0] + (1 - self.decay) * gradient**2
        step = learning_rate * gradient / (squares + self.epsilon).sqrt()
        velocity = self.momentum * gathered[1] + step
        return parameter - velocity, squares, velocity


class CenteredRmsProp(RmsProp):
    """As RmsProp, but divided by sqrt(s - m^2 + epsilon), with m = 0, then m = d m + (1 - d) g (Graves 2013).

    s - m^2 counts as 0 where rounding makes it negative.
    """

    name = "rmsprop_centered"
    slots = ("squares", "velocity", "means")

    def _next(
        self, gradient: Tensor, learning_rate: float, parameter: Tensor, *gathered: Tensor
    ) -> tuple[Tensor, ...]:
        squares = self.decay * gathered[0] + (1 - self.decay) * gradient**2
        means = self.decay * gathered[2] + (1 - self.decay) * gradient
        variance = (squares - means**2).clamp(min=0.0)
        velocity = self.momentum * gathered[1] + learning_rate * gradient / (variance + self.epsilon).sqrt()
        return parameter - velocity, squares, velocity, means


class Ftrl(TableOptimizer):
    """Follow the regularised leader (McMahan et al. 2013), with q = -`learning_rate_power`:

    s' = s + g^2; z += g - (s'^q - s^q) / lr p; p = (sign(z) l1 - z) / (s'^q / lr + 2 l2) where |z| > l1, else
    0; s = `initial` at first.
    """

    name = "ftrl"
    slots = ("squares", "linear")

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        tables: Set[str],
        learning_rate_power: float,
        initial_accumulator_value: float,
        l1: float,
        l2: float,
    ) -> None:
        self.power = -learning_rate_power
        self.initial = initial_accumulator_value
        self.l1 = l1
        self.l2 = l2
        super().__init__(parameters, tables)

    def _next(
        self, gradient: Tensor, learning_rate: float, parameter: Tensor, *gathered: Tensor
    ) -> tuple[Tensor, ...]:
        squares = gathered[0] + gradient**2
        grown = squares**self.power
        linear = gathered[1] + gradient - (grown - gathered[0] ** self.power) / learning_rate * parameter
        quadratic = grown / learning_rate + 2 * self.l2
        shrunk = (torch.sign(linear) * self.l1 - linear) / quadratic
        return torch.where(linear.abs() > self.l1, shrunk, 0.0), squares, linear
