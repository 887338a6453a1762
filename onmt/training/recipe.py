"""Choose optimiser, rate schedule, clipping, and scheduled sampling (Bengio et al. 2015) by the options."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from onmt.errors import OptionError
from onmt.google.model import GoogleModel
from onmt.google.optimisation import optimizer_settings, schedule_of
from onmt.google.settings import stored_google_model
from onmt.models.base import Model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.embeddings import Embeddings
from onmt.training.optim import OPTIMIZERS, InverseRootSchedule, Optimizer, Schedule, clip_each
from onmt.training.options import AnyTrainOptions
from onmt.training.tensorflow_optim import (
    tensorflow_optimizer,
)
from onmt.training.trainer_options import CoverageOptions


@dataclass(frozen=True)
class ScheduledSampling:
    """`initial`: chance of the gold word in epoch 1, falling by `rate` as `decay` says.

    With i = epoch - 1: `linear` max(0, initial - i rate); `invsigmoid` initial k / (k + exp(i / k) - 1), k
    = rate. `scope`: whether the coin falls for each word or once per sentence.
    """

    initial: float = 1.0
    scope: Literal["token", "sentence"] = "token"
    decay: Literal["linear", "invsigmoid"] = "linear"
    rate: float = 0.0

    def gold_probability(self, epoch: int) -> float:
        """In this epoch (from 1). A rate of 0 keeps the initial value."""
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


@dataclass(frozen=True)
class Recipe:
    """How to train a model, whichever dialect described it.

    google: the google/seq2seq model that `-model` names, its parameters checked; None for a model of Lua's
    flags. sampling: how often the decoder is fed gold words. schedule: the learning rate by step, None where
    it decays by epoch. max_grad_norm: limit of the L2 norm of all gradients (0: none). coverage_weight: of
    the coverage loss.
    """

    options: AnyTrainOptions
    google: GoogleModel | None
    sampling: ScheduledSampling
    schedule: Schedule | None
    max_grad_norm: float
    coverage_weight: float = 0.0


def make_recipe(options: AnyTrainOptions) -> Recipe:
    """The recipe that checked options describe."""
    sampling = ScheduledSampling()
    if isinstance(options, Seq2SeqModelOptions):
        sampling = ScheduledSampling(
            initial=options.scheduled_sampling,
            scope=options.scheduled_sampling_scope,
            decay=options.scheduled_sampling_decay_type,
            rate=options.scheduled_sampling_decay_rate,
        )
    coverage = options.lambda_coverage if isinstance(options, CoverageOptions) else 0.0
    google = stored_google_model(options.model, options.model_params)
    if google is None:
        by_flags = _warmup(options, options.learning_rate)
        return Recipe(options, None, sampling, by_flags, options.max_grad_norm, coverage)
    of_model = schedule_of(google.parameters)
    if options.warmup_steps and of_model.decay:
        raise OptionError("-warmup_steps and optimizer.lr_decay_type both set the learning rate: choose one")
    clip = optimizer_settings(google.parameters).clip_gradients
    schedule = _warmup(options, of_model.rate) or of_model
    return Recipe(options, google, sampling, schedule, clip, coverage)


def _warmup(options: AnyTrainOptions, rate: float) -> InverseRootSchedule | None:
    return InverseRootSchedule(rate, options.warmup_steps) if options.warmup_steps else None


def make_optimizer(recipe: Recipe, model: Model) -> Optimizer:
    """The optimiser of all parameters that are trained."""
    parameters = {name: part for name, part in model.named_parameters() if part.requires_grad}
    optimizer = _optimizer(recipe, parameters, _table_names(model))
    optimizer.weight_decay = recipe.options.weight_decay
    return optimizer


def initial_slots(recipe: Recipe) -> Mapping[str, float]:
    """Initial values of the optimiser's slots, see `Optimizer.initial_values`."""
    return _optimizer(recipe, {}, frozenset()).initial_values


def _optimizer(recipe: Recipe, parameters: Mapping[str, Tensor], tables: frozenset[str]) -> Optimizer:
    if recipe.google is None:
        return OPTIMIZERS[recipe.options.optim](parameters)
    return tensorflow_optimizer(optimizer_settings(recipe.google.parameters), parameters, tables)


def _table_names(model: nn.Module) -> frozenset[str]:
    """The names of the parameters that hold word vectors."""
    modules = model.named_modules()
    return frozenset(f"{name}.words" for name, module in modules if isinstance(module, Embeddings))


class TableClip:
    """Scales the gradient of each table of word vectors down to the model's own limit (0: never)."""

    def __init__(self, model: Model, names: Sequence[str]) -> None:
        """names: of all gradients, in their order."""
        tables = _table_names(model)
        self._limit = model.spec.policies.embedding_gradient_clip
        self._places = [place for place, name in enumerate(names) if name in tables]

    def __call__(self, gradients: Sequence[Tensor]) -> None:
        """Change the gradients in place."""
        if self._limit > 0:
            clip_each([gradients[place] for place in self._places], self._limit)
