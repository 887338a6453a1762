"""Costs and results of training steps and searches on a device."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from configurations import TENSORFLOW_OPTIMISERS, VOCABULARIES, WORDS, Configuration
from ledger import Ledger
from pretended_gpu import pretended_gpu
from pretended_tensors import host_of
from searches import SearchCase
from torch import Tensor

from onmt.decoding.translator import Translation
from onmt.google.optimisation import OptimizerSettings
from onmt.kernels.products import Products, multiply_with
from onmt.models.base import Model
from onmt.models.networks import build_model
from onmt.modules.noise import Noise
from onmt.training.distributed import Replicas
from onmt.training.gradients import Clipping, LossScale
from onmt.training.optim import OPTIMIZERS, Optimizer
from onmt.training.recipe import _table_names, tensorflow_optimizer
from onmt.training.trainer import Trainer

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
STEPS = 2


@dataclass(frozen=True)
class Cost:
    """The cost on a GPU, for training that of the second of two steps."""

    launches: int
    syncs: int
    uploads: int
    loose_weights: int

    @classmethod
    def of(cls, ledger: Ledger) -> "Cost":
        """Return the totals of a ledger."""
        return cls(
            ledger.count("launch"),
            ledger.count("sync"),
            ledger.count("upload"),
            ledger.count("loose weights"),
        )


@dataclass(frozen=True)
class Outcome:
    """Losses and gradient norms of training steps, and the final parameters, as tensors of the CPU."""

    losses: list[float]
    norms: list[float]
    parameters: dict[str, Tensor]

    def difference(self, other: "Outcome") -> float:
        """Return the largest difference of any number, relative to ours where that exceeds 1."""
        pairs = [*zip(self.losses + self.norms, other.losses + other.norms, strict=True)]
        numbers = [abs(a - b) / max(1.0, abs(a)) for a, b in pairs]
        tensors = [
            float(((values - other.parameters[name]).abs() / values.abs().clamp(min=1.0)).max())
            for name, values in self.parameters.items()
            if values.numel()
        ]
        return max(numbers + tensors)


class CountingPhases:
    """A replacement for the trainer's phases, by which the ledger counts events."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger

    def during(self, name: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._ledger is None else self._ledger.during(name)


def make_step(configuration: Configuration, device: torch.device, ledger: Ledger | None = None) -> Trainer:
    """Return a trainer with only the attributes that its `step` needs."""
    model = build_model(configuration.spec)
    model.initialise(0.1, torch.Generator().manual_seed(1))
    model.use_vocabularies(VOCABULARIES)
    model = model.to(device)
    multiply_with(model, Products(configuration.products))
    optimiser = _optimiser(configuration.optimiser, model)
    trainer = object.__new__(Trainer)
    trainer.__dict__.update(
        model=model,
        optimizer=optimiser,
        epochs=SimpleNamespace(measure=lambda *_: None),
        options=SimpleNamespace(seed=7, label_smoothing=0.0),
        _coverage_weight=configuration.coverage_weight,
        sampling=SimpleNamespace(scope="token"),
        schedule=None,
        state=SimpleNamespace(
            gold_probability=configuration.gold_probability, rate=SimpleNamespace(value=0.01)
        ),
        progress=SimpleNamespace(phases=CountingPhases(ledger)),
        replicas=Replicas(),
        _device=device,
        _clipping=_clipping(model, optimiser),
        _output_words=torch.arange(WORDS, device=device) if configuration.restricted else None,
        _skipped=SimpleNamespace(record=lambda _: None),
        _running_statistics=[buffer for _, buffer in model.named_buffers() if buffer.is_floating_point()],
        _average=None,
        _graphs=None,
        _loss_scale=LossScale(device, None) if configuration.products is torch.float16 else None,
    )
    return trainer


def _clipping(model: Model, optimiser: Optimizer) -> Clipping:
    places = [place for place, name in enumerate(optimiser.names) if name in _table_names(model)]
    return Clipping(5.0, model.spec.policies.embedding_gradient_clip, places)


def _optimiser(name: str, model: Model) -> Optimizer:
    parameters = {name: part for name, part in model.named_parameters() if part.requires_grad}
    if name in OPTIMIZERS:
        return OPTIMIZERS[name](parameters)
    settings = OptimizerSettings(name=name, params=TENSORFLOW_OPTIMISERS[name], clip_gradients=5.0)
    return tensorflow_optimizer(settings, parameters, _table_names(model))


def train(configuration: Configuration, device: torch.device, ledger: Ledger | None = None) -> Outcome:
    """Take two training steps; the ledger counts only the second, as the first may set things up."""
    trainer = make_step(configuration, device, ledger)
    batch = configuration.batch().to(device)
    results = []
    for iteration in range(1, STEPS + 1):
        if ledger is not None:
            ledger.clear()
        results.append(trainer.step([batch], 1, iteration))
    parameters = {name: host_of(part) for name, part in trainer.model.named_parameters()}
    losses = [float(host_of(result.loss)) for result in results]
    return Outcome(losses, [float(host_of(result.grad_norm)) for result in results], parameters)


def cost_of(configuration: Configuration) -> tuple[Cost, Outcome, Ledger]:
    """Return the cost of a step on the pretended GPU, its outcome and the ledger."""
    with pretended_gpu() as session:
        outcome = train(configuration, GPU, session.ledger)
        return Cost.of(session.ledger), outcome, session.ledger


@contextlib.contextmanager
def masks_of_a_gpu() -> Iterator[None]:
    """Draw dropout masks and coins on the CPU in the way of a GPU; the CPU's own way is different."""

    def dropout_mask(self: Noise, shape: tuple[int, ...], probability: float, like: Tensor) -> Tensor | None:
        if probability <= 0:
            return None
        mask = torch.empty(shape, dtype=like.dtype)
        return mask.bernoulli_(1 - probability, generator=self.generator).div_(1 - probability)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Noise, "dropout_mask", dropout_mask)
        patch.setattr("onmt.models.base._coins_for", Tensor.numel)
        yield


def on_cpu(configuration: Configuration) -> Outcome:
    """Return the outcome on the CPU with the same random numbers."""
    with masks_of_a_gpu():
        return train(configuration, CPU)


def numbers(row: Any) -> tuple[int, ...]:
    """Return a cost's figures in the order of the table's columns."""
    return (row.launches, row.syncs, row.uploads, row.loose_weights)


@dataclass(frozen=True)
class Found:
    """Results of a search: words, labels, score and attention of every hypothesis of every sentence."""

    hypotheses: list[tuple[list[str], list[list[str]], float, Any]]
    gold_scores: list[float | None]
    steps: int

    @classmethod
    def of(cls, translations: list[Translation], steps: int) -> "Found":
        """Return the results in the translations of a batch."""
        return cls(
            [
                (hypothesis.words, hypothesis.features, hypothesis.score, hypothesis.attention)
                for translation in translations
                for hypothesis in translation.hypotheses
            ],
            [translation.gold_score for translation in translations],
            steps,
        )


def search_cost(case: SearchCase) -> tuple[Cost, Found, Ledger]:
    """Return the cost of a search on the pretended GPU, its results and the ledger."""
    with tempfile.TemporaryDirectory() as folder, pretended_gpu() as session:
        found = Found.of(*case.run(GPU, Path(folder), session.ledger))
        return Cost.of(session.ledger), found, session.ledger


def search_on_cpu(case: SearchCase) -> Found:
    """Return the results of a search on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        return Found.of(*case.run(CPU, Path(folder)))
