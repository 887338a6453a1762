"""TensorFlow 1.0's optimisers that OpenNMT Lua does not have, with TensorFlow's formulas and defaults.

Written from the documentation of tf.train.*Optimizer and the papers. In TensorFlow a table of word vectors
gets a sparse gradient: the rows of words that did not occur, and their rows in the slots, do not change.
"""

from abc import abstractmethod
from collections.abc import Mapping, Set

import torch
from torch import Tensor

from onmt.google.optimisation import OptimizerSettings
from onmt.training.optim import Adam, Optimizer, Sgd

_Tensors = list[Tensor] | tuple[Tensor, ...]


class _TableOptimizer(Optimizer):
    """Updates parameters by `_next`; rows of tables with a zero gradient do not change.

    `initial`: initial value of the first slot; the others start at 0. Set it before `__init__`.
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
            for tensor in self.slot_tensors[slot]:
                tensor.fill_(value)

    def _update(self, gradients: list[Tensor], learning_rate: float, finite: Tensor | None) -> None:
        for part in self._parts():
            changed = [self.parameters[part], *(self.slot_tensors[slot][part] for slot in self.slots)]
            following = [list(new) for new in self._next(gradients[part], learning_rate, *changed)]
            for place, name in enumerate(self.names[part]):
                touched = finite
                if name in self._tables:
                    rows = (gradients[part][place] != 0).any(dim=-1, keepdim=True)
                    touched = rows if finite is None else rows & finite
                if touched is not None:
                    for old, new in zip(changed, following, strict=True):
                        new[place] = torch.where(touched, new[place], old[place])
            for old, new in zip(changed, following, strict=True):
                torch._foreach_copy_(old, new)

    def _parts(self) -> list[slice]:
        """Return groups of parameters to update together: on a GPU all of them, to save kernel launches;
        elsewhere one at a time, to save memory for the new values.
        """
        if self.parameters and self.parameters[0].device.type != "cpu":
            return [slice(None)]
        return [slice(place, place + 1) for place in range(len(self.parameters))]

    @abstractmethod
    def _next(
        self, gradients: _Tensors, learning_rate: float, parameters: _Tensors, *gathered: _Tensors
    ) -> list[_Tensors]:
        """Return parameters and their slots after a step, as new tensors."""


class _Momentum(_TableOptimizer):
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
        self, gradients: _Tensors, learning_rate: float, parameters: _Tensors, *gathered: _Tensors
    ) -> list[_Tensors]:
        velocity = torch._foreach_mul(gathered[0], self.momentum)
        torch._foreach_add_(velocity, gradients)
        step = velocity
        if self.use_nesterov:
            step = torch._foreach_add(gradients, torch._foreach_mul(velocity, self.momentum))
        return [_minus(parameters, torch._foreach_mul(step, learning_rate)), velocity]


class _AccumulatingAdagrad(_TableOptimizer):
    """s = `initial`, then s += g^2; p -= lr g / sqrt(s) (Duchi et al. 2011)."""

    name = "adagrad"
    slots = ("squares",)

    def __init__(
        self, parameters: Mapping[str, Tensor], tables: Set[str], initial_accumulator_value: float
    ) -> None:
        self.initial = initial_accumulator_value
        super().__init__(parameters, tables)

    def _next(
        self, gradients: _Tensors, learning_rate: float, parameters: _Tensors, *gathered: _Tensors
    ) -> list[_Tensors]:
        squares = torch._foreach_add(gathered[0], torch._foreach_pow(gradients, 2))
        step = torch._foreach_mul(gradients, learning_rate)
        torch._foreach_div_(step, torch._foreach_sqrt(squares))
        return [_minus(parameters, step), squares]


class _RmsProp(_TableOptimizer):
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
        self, gradients: _Tensors, learning_rate: float, parameters: _Tensors, *gathered: _Tensors
    ) -> list[_Tensors]:
        squares = self._average(gathered[0], torch._foreach_pow(gradients, 2))
        velocity = self._velocity(gathered[1], gradients, learning_rate, squares)
        return [_minus(parameters, velocity), squares, velocity]

    def _average(self, before: _Tensors, values: _Tensors) -> _Tensors:
        """d before + (1 - d) values."""
        average = torch._foreach_mul(before, self.decay)
        torch._foreach_add_(average, torch._foreach_mul(values, 1 - self.decay))
        return average

    def _velocity(
        self, before: _Tensors, gradients: _Tensors, learning_rate: float, variances: _Tensors
    ) -> _Tensors:
        """m before + lr g / sqrt(variances + epsilon)."""
        roots = torch._foreach_add(variances, self.epsilon)
        torch._foreach_sqrt_(roots)
        step = torch._foreach_mul(gradients, learning_rate)
        torch._foreach_div_(step, roots)
        return torch._foreach_add(torch._foreach_mul(before, self.momentum), step)


class _CenteredRmsProp(_RmsProp):
    """As RmsProp, but divided by sqrt(s - m^2 + epsilon), with m = 0, then m = d m + (1 - d) g (Graves 2013).

    s - m^2 counts as 0 where rounding makes it negative.
    """

    name = "rmsprop_centered"
    slots = ("squares", "velocity", "means")

    def _next(
        self, gradients: _Tensors, learning_rate: float, parameters: _Tensors, *gathered: _Tensors
    ) -> list[_Tensors]:
        squares = self._average(gathered[0], torch._foreach_pow(gradients, 2))
        means = self._average(gathered[2], gradients)
        variances = _minus(squares, torch._foreach_pow(means, 2))
        torch._foreach_clamp_min_(variances, 0.0)
        velocity = self._velocity(gathered[1], gradients, learning_rate, variances)
        return [_minus(parameters, velocity), squares, velocity, means]


class _Ftrl(_TableOptimizer):
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
        self, gradients: _Tensors, learning_rate: float, parameters: _Tensors, *gathered: _Tensors
    ) -> list[_Tensors]:
        squares = torch._foreach_add(gathered[0], torch._foreach_pow(gradients, 2))
        grown = torch._foreach_pow(squares, self.power)
        change = _minus(grown, torch._foreach_pow(gathered[0], self.power))
        torch._foreach_div_(change, learning_rate)
        torch._foreach_mul_(change, parameters)
        linear = _minus(torch._foreach_add(gathered[1], gradients), change)
        quadratic = torch._foreach_div(grown, learning_rate)
        torch._foreach_add_(quadratic, 2 * self.l2)
        shrunk = _minus(torch._foreach_mul(torch._foreach_sign(linear), self.l1), linear)
        torch._foreach_div_(shrunk, quadratic)
        kept = [torch.where(z.abs() > self.l1, p, 0.0) for z, p in zip(linear, shrunk, strict=True)]
        return [kept, squares, linear]


def _minus(values: _Tensors, others: _Tensors) -> _Tensors:
    return torch._foreach_sub(values, others)


def tensorflow_optimizer(
    settings: OptimizerSettings, parameters: Mapping[str, Tensor], tables: frozenset[str]
) -> Optimizer:
    """Return the optimiser that google/seq2seq's parameters name.

    `tables`: names of the parameters that hold word vectors.
    """
    params = settings.params
    if settings.name == "Adam":
        return Adam(parameters, (params["beta1"], params["beta2"]), params["epsilon"])
    if settings.name == "SGD":
        return Sgd(parameters)
    if settings.name == "Momentum":
        return _Momentum(parameters, tables, params["momentum"], params["use_nesterov"])
    if settings.name == "Adagrad":
        return _AccumulatingAdagrad(parameters, tables, params["initial_accumulator_value"])
    if settings.name == "RMSProp":
        kind = _CenteredRmsProp if params["centered"] else _RmsProp
        return kind(parameters, tables, params["decay"], params["momentum"], params["epsilon"])
    return _Ftrl(
        parameters,
        tables,
        learning_rate_power=params["learning_rate_power"],
        initial_accumulator_value=params["initial_accumulator_value"],
        l1=params["l1_regularization_strength"],
        l2=params["l2_regularization_strength"],
    )
