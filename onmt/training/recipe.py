"""How a model is trained, as the options say: optimiser, rate schedule, clipping, moving average, and
scheduled sampling (Bengio et al. 2015).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn

from onmt.errors import OptionError
from onmt.google.model import GoogleModel, read_model
from onmt.google.optimisation import optimizer_settings, schedule_of
from onmt.google.settings import from_text
from onmt.models.base import Model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.embeddings import Embeddings
from onmt.training.gradients import Clipping
from onmt.training.optim import OPTIMIZERS, MovingAverage, Optimizer
from onmt.training.options import AnyTrainOptions
from onmt.training.tensorflow_optim import tensorflow_optimizer
from onmt.training.trainer_options import CoverageOptions


@dataclass(frozen=True)
class ScheduledSampling:
    """How often the decoder is fed the gold word in place of its own prediction.

    `initial`: probability in epoch 1. With i = epoch - 1, `decay` lowers it to max(0, initial - i rate)
    (`linear`) or initial k / (k + exp(i / k) - 1), k = rate (`invsigmoid`). `scope`: whether a coin is tossed
    for each word or once per sentence.
    """

    initial: float = 1.0
    scope: Literal["token", "sentence"] = "token"
    decay: Literal["linear", "invsigmoid"] = "linear"
    rate: float = 0.0

    def gold_probability(self, epoch: int) -> float:
        """Return the probability in this epoch (from 1). A rate of 0 keeps the initial value."""
        done = epoch - 1
        if self.rate == 0:
            return self.initial
        if self.decay == "linear":
            return min(1.0, max(0.0, self.initial - done * self.rate))
        try:
            growth = math.exp(done / self.rate)
        except OverflowError:
            return 0.0
        return min(1.0, self.initial * self.rate / (self.rate + growth - 1))


class Schedule(Protocol):
    """A learning rate that depends on the number of updates."""

    def after(self, steps: int) -> float:
        """Return the rate of the next update when this many have been made."""


@dataclass(frozen=True)
class _InverseRootSchedule:
    """rate * min(t / warmup, sqrt(warmup / t)) for update t, counted from 1 (after Vaswani et al. 2017)."""

    rate: float
    warmup: int

    def after(self, steps: int) -> float:
        """See `Schedule.after`."""
        step = steps + 1
        return self.rate * min(step / self.warmup, math.sqrt(self.warmup / step))


@dataclass(frozen=True)
class Recipe:
    """How to train a model, whichever dialect described it.

    google: the google/seq2seq model that `-model` names, its parameters checked; None for a model described
    by Lua's flags. sampling: how often the decoder is fed gold words. schedule: the learning rate by step,
    None where it decays by epoch. max_grad_norm: limit of the L2 norm of all gradients together (0: none).
    coverage_weight: weight of the coverage loss.
    """

    options: AnyTrainOptions
    google: GoogleModel | None
    sampling: ScheduledSampling
    schedule: Schedule | None
    max_grad_norm: float
    coverage_weight: float = 0.0

    @classmethod
    def of(cls, options: AnyTrainOptions) -> "Recipe":
        """Return the recipe that checked options describe."""
        sampling = ScheduledSampling()
        if isinstance(options, Seq2SeqModelOptions):
            sampling = ScheduledSampling(
                initial=options.scheduled_sampling,
                scope=options.scheduled_sampling_scope,
                decay=options.scheduled_sampling_decay_type,
                rate=options.scheduled_sampling_decay_rate,
            )
        coverage = options.lambda_coverage if isinstance(options, CoverageOptions) else 0.0
        google = read_model(options.model, from_text(options.model_params)) if options.model else None
        if google is None:
            by_flags = _warmup(options, options.learning_rate)
            return cls(options, None, sampling, by_flags, options.max_grad_norm, coverage)
        of_model = schedule_of(google.parameters)
        if options.warmup_steps and of_model.decay:
            raise OptionError(
                "-warmup_steps and optimizer.lr_decay_type both set the learning rate: choose one"
            )
        clip = optimizer_settings(google.parameters).clip_gradients
        schedule = _warmup(options, of_model.rate) or of_model
        return cls(options, google, sampling, schedule, clip, coverage)

    def optimizer(self, model: Model) -> Optimizer:
        """Return the optimiser of all parameters that are trained."""
        parameters = {name: part for name, part in model.named_parameters() if part.requires_grad}
        optimizer = self._optimizer(parameters, _table_names(model))
        optimizer.weight_decay = self.options.weight_decay
        return optimizer

    @property
    def initial_slots(self) -> Mapping[str, float]:
        """Initial values of the optimiser's slots, see `Optimizer.initial_values`."""
        return self._optimizer({}, frozenset()).initial_values

    def clipping(self, model: Model, optimizer: Optimizer) -> Clipping:
        """Return the limits of the gradients of the optimiser's parameters."""
        tables = _table_names(model)
        return Clipping(
            self.max_grad_norm,
            model.spec.policies.embedding_gradient_clip,
            tuple(place for place, name in enumerate(optimizer.names) if name in tables),
        )

    def moving_average(
        self, optimizer: Optimizer, trained_weights: Mapping[str, Tensor] | None
    ) -> MovingAverage | None:
        """Return the average of the optimiser's parameters that `-average_decay` asks for.

        trained_weights: of a stored training whose model holds the average, see `MovingAverage.load`.
        """
        if not self.options.average_decay:
            return None
        average = MovingAverage(optimizer.names, optimizer.parameters, self.options.average_decay)
        if trained_weights is not None:
            average.load(trained_weights)
        return average

    def _optimizer(self, parameters: Mapping[str, Tensor], tables: frozenset[str]) -> Optimizer:
        if self.google is None:
            return OPTIMIZERS[self.options.optim](parameters)
        return tensorflow_optimizer(optimizer_settings(self.google.parameters), parameters, tables)


def _warmup(options: AnyTrainOptions, rate: float) -> _InverseRootSchedule | None:
    return _InverseRootSchedule(rate, options.warmup_steps) if options.warmup_steps else None


def _table_names(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that hold word vectors."""
    modules = model.named_modules()
    return frozenset(f"{name}.words" for name, module in modules if isinstance(module, Embeddings))
