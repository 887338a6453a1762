"""Training steps on a device: what they cost, and what comes out."""

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
from onmt.training.gradients import LossScale
from onmt.training.optim import OPTIMIZERS, Clipping, Optimizer
from onmt.training.recipe import _table_names, tensorflow_optimizer
from onmt.training.trainer import Trainer

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
STEPS = 2


@dataclass(frozen=True)
class Cost:
    """What the second of two training steps asks of a GPU."""

    launches: int
    syncs: int
    uploads: int
    loose_weights: int

    @classmethod
    def of(cls, ledger: Ledger) -> "Cost":
        """Everything that the ledger counted."""
        return cls(
            ledger.count("launch"),
            ledger.count("sync"),
            ledger.count("upload"),
            ledger.count("loose weights"),
        )


@dataclass(frozen=True)
class Outcome:
    """Losses and gradient norms of the steps, and the parameters after them, on the CPU."""

    losses: list[float]
    norms: list[float]
    parameters: dict[str, Tensor]

    def difference(self, other: "Outcome") -> float:
        """The largest difference of any number, relative where numbers are large."""
        pairs = [*zip(self.losses + self.norms, other.losses + other.norms, strict=True)]
        numbers = [abs(a - b) / max(1.0, abs(a)) for a, b in pairs]
        tensors = [
            float(((values - other.parameters[name]).abs() / values.abs().clamp(min=1.0)).max())
            for name, values in self.parameters.items()
            if values.numel()
        ]
        return max(numbers + tensors)


class CountingPhases:
    """In place of the trainer's own phases: the ledger counts by them."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger

    def during(self, name: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._ledger is None else self._ledger.during(name)


def make_step(configuration: Configuration, device: torch.device, ledger: Ledger | None = None) -> Trainer:
    """As much of a trainer as its `step` needs."""
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
        _statistics=[buffer for _, buffer in model.named_buffers() if buffer.is_floating_point()],
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
    """Two steps; the ledger holds the second one afterwards, since the first may set things up."""
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
    """What a step costs on the pretended GPU, and what comes out."""
    with pretended_gpu() as session:
        outcome = train(configuration, GPU, session.ledger)
        return Cost.of(session.ledger), outcome, session.ledger


@contextlib.contextmanager
def masks_of_a_gpu() -> Iterator[None]:
    """Dropout masks on the CPU drawn as on a GPU, where the quicker way of the CPU does not exist."""

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
    """What comes out on the CPU from the same random numbers."""
    with masks_of_a_gpu():
        return train(configuration, CPU)


def numbers(row: Any) -> tuple[int, ...]:
    """The figures of a cost in the order of the table's columns."""
    return (row.launches, row.syncs, row.uploads, row.loose_weights)


@dataclass(frozen=True)
class Found:
    """What a search found: for every hypothesis of every sentence its words, labels, score and attention."""

    hypotheses: list[tuple[list[str], list[list[str]], float, Any]]
    gold_scores: list[float | None]
    steps: int

    @classmethod
    def of(cls, translations: list[Translation], steps: int) -> "Found":
        """Of the translations of a batch."""
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
    """What a search costs on the pretended GPU, and what it finds."""
    with tempfile.TemporaryDirectory() as folder, pretended_gpu() as session:
        found = Found.of(*case.run(GPU, Path(folder), session.ledger))
        return Cost.of(session.ledger), found, session.ledger


def search_on_cpu(case: SearchCase) -> Found:
    """What the CPU finds."""
    with tempfile.TemporaryDirectory() as folder:
        return Found.of(*case.run(CPU, Path(folder)))
