"""The published settings under examples/google learn with the optimiser that they name."""

from pathlib import Path

import pytest
import torch

from onmt.constants import BOS, EOS, PAD
from onmt.data.dataset import Batch
from onmt.google.model import read_model, spec_of
from onmt.google.optimisation import optimizer_settings, schedule_of
from onmt.google.settings import read_config_files
from onmt.models.lua import DataSizes
from onmt.models.networks import build_model
from onmt.modules.noise import Noise, TrainingStep
from onmt.runtime.random import torch_generator
from onmt.training.gradients import Clipping
from onmt.training.recipe import _table_names, tensorflow_optimizer

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "google"
UPDATES = 12


def copies(count: int, length: int, words: int) -> Batch:
    """Write sentences, and the same sentences as their translations."""
    text = torch.randint(4, words, (count, length), generator=torch.Generator().manual_seed(1))
    start, end = torch.full((count, 1), BOS), torch.full((count, 1), EOS)
    return Batch(
        src=text[..., None],
        src_lengths=torch.full((count,), length),
        tgt_input=torch.cat([start, text], dim=1)[..., None],
        tgt_output=torch.cat([text, end], dim=1)[..., None],
        size=count,
        src_words=count * length,
        tgt_words=count * (length + 1),
        indices=torch.arange(count),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "medium", "large", "conv"])
def test_a_published_model_learns(name: str) -> None:
    config = read_config_files([str(FOLDER / f"{name}.yml")])
    google = read_model(config["model"], config["model_params"])
    model = build_model(spec_of(google, DataSizes((30,), (30,))))
    model.initialise(0.0, torch_generator(1, "initial parameters"))
    parameters = dict(model.named_parameters())
    settings = optimizer_settings(google.parameters)
    optimizer = tensorflow_optimizer(settings, parameters, _table_names(model))
    batch = copies(6, 5, 30)
    assert int((batch.src == PAD).sum()) == 0
    losses = []
    for update in range(UPDATES):
        step = TrainingStep(Noise(torch_generator(1, "step", update)))
        loss = model.loss(batch, step)
        gradients = list(torch.autograd.grad(loss.total, list(parameters.values())))
        Clipping(settings.clip_gradients).apply(gradients, loss.divisor)
        optimizer.step(gradients, schedule_of(google.parameters).after(update))
        with torch.no_grad():
            losses.append(float(model.loss(batch, None).total))
    assert losses == sorted(losses, reverse=True)
