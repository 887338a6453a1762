"""-cuda_graphs on the pretended GPU: captured steps equal plain ones; others run without a graph."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from configurations import Configuration, google, lua, training_configurations
from measuring import GPU, make_step
from pretended_gpu import pretended_gpu
from pretended_tensors import host_of

from onmt.data.dataset import Batch
from onmt.logger import Logger, LoggerOptions
from onmt.models.lua import with_copying, with_coverage
from onmt.training import gradients
from onmt.training.gradients import GradientGraphs

CONVOLUTIONS = lua("cnn", flags={"encoder_type": "cnn", "dropout": 0.3})
VARIATIONAL = lua("dbrnn, variational", flags={"dropout_type": "variational", "dropout": 0.3})
COPYING = replace(
    CONVOLUTIONS, name="coverage and copying", spec=with_copying(with_coverage(CONVOLUTIONS.spec))
)
GOOGLE = google(
    "ConvEncoder",
    "AttentionSeq2Seq",
    {"encoder.class": "ConvEncoder", "decoder.params": {"rnn_cell": {"cell_class": "GRUCell"}}},
)


def batches(configuration: Configuration, count: int) -> list[Batch]:
    """Return batches that alternate between two shapes, all with different words."""
    draw = np.random.default_rng(1)
    made = []
    for number in range(count):
        batch = replace(configuration, even=True, batch_size=3 + number % 2).batch()
        words = torch.from_numpy(draw.integers(4, 9, tuple(batch.src.shape)))
        assert batch.tgt_output is not None
        real = batch.tgt_output > 3
        targets = torch.from_numpy(draw.integers(4, 9, tuple(real.shape)))
        made.append(replace(batch, src=words, tgt_output=torch.where(real, targets, batch.tgt_output)))
    return made


def train(
    configuration: Configuration, with_graphs: bool, count: int = 8
) -> tuple[dict[str, torch.Tensor], list[float], Any, str]:
    log = io.StringIO()
    with pretended_gpu() as session:
        # Adam would amplify rounding errors of gradients near zero.
        trainer = make_step(replace(configuration, optimiser="sgd"), GPU)
        if with_graphs:
            logger = Logger(LoggerOptions(), log)
            trainer._graphs = GradientGraphs(trainer.model, trainer.optimizer.parameters, GPU, logger)
        losses = []
        launches = []
        for iteration, batch in enumerate(batches(configuration, count), start=1):
            moved = batch.to(GPU)
            session.ledger.clear()
            losses.append(float(host_of(trainer.step([moved], 1, iteration).loss)))
            launches.append(session.ledger.count("launch"))
        weights = {name: host_of(part) for name, part in trainer.model.named_parameters()}
        return weights, losses, launches, log.getvalue()


@pytest.mark.parametrize(
    "configuration",
    [CONVOLUTIONS, *(pytest.param(one, marks=pytest.mark.slow) for one in (VARIATIONAL, COPYING, GOOGLE))],
    ids=lambda one: one.name,
)
def test_captured_steps_equal_plain_ones(configuration: Configuration) -> None:
    weights, losses, launches, _ = train(configuration, False)
    with_graphs, losses_with, launches_with, log = train(configuration, True)
    assert log == ""
    assert losses_with == pytest.approx(losses, rel=1e-6)
    for name, weight in weights.items():
        torch.testing.assert_close(with_graphs[name], weight, rtol=1e-6, atol=1e-6)
    # Of each shape, the first batch runs without a graph, the second is captured, later ones are replayed.
    assert launches_with[:2] == launches[:2]
    assert 2 * max(launches_with[4:]) < min(launches[4:])


@pytest.mark.slow
def test_the_loss_scale_reaches_the_graph() -> None:
    configuration = replace(VARIATIONAL, products=torch.float16)
    weights, losses, *_ = train(configuration, False)
    with_graphs, losses_with, *_ = train(configuration, True)
    assert losses_with == pytest.approx(losses, rel=1e-6)
    for name, weight in weights.items():
        torch.testing.assert_close(with_graphs[name], weight, rtol=1e-6, atol=1e-6)


def test_what_cannot_be_captured_is_computed_plainly_and_said_once() -> None:
    configuration = lua("dbrnn")  # the stand-in for cuDNN's layers cannot be captured
    weights, losses, *_ = train(configuration, False)
    with_graphs, losses_with, _, log = train(configuration, True)
    assert losses_with == losses
    assert all(torch.equal(with_graphs[name], weight) for name, weight in weights.items())
    assert log.count("-cuda_graphs: a step cannot be captured, going on without graphs") == 1


def test_images_are_computed_plainly_and_said_once() -> None:
    (images,) = (one for one in training_configurations() if one.name == "Image2Seq")
    log = io.StringIO()
    with pretended_gpu():
        trainer = make_step(images, GPU)
        logger = Logger(LoggerOptions(), log)
        made = GradientGraphs(trainer.model, trainer.optimizer.parameters, GPU, logger)
        batch = images.batch().to(GPU)
        assert [made.compute(batch, trainer._training_step(1, 1)) for _ in range(3)] == [None] * 3
    assert log.getvalue().count("-cuda_graphs has no effect") == 1


def test_uneven_batches_are_left_alone() -> None:
    with pretended_gpu():
        uneven = replace(CONVOLUTIONS, even=False)
        trainer = make_step(uneven, GPU)
        made = GradientGraphs(trainer.model, trainer.optimizer.parameters, GPU, Logger(LoggerOptions(), None))
        batch = uneven.batch().to(GPU)
        for _ in range(3):
            assert made.compute(batch, trainer._training_step(1, 1)) is None


def test_the_number_of_graphs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "_MOST_GRAPHS", 1)
    with pretended_gpu():
        trainer = make_step(CONVOLUTIONS, GPU)
        made = GradientGraphs(trainer.model, trainer.optimizer.parameters, GPU, Logger(LoggerOptions(), None))
        for size in (3, 4, 3, 4, 3):
            made.compute(
                replace(CONVOLUTIONS, even=True, batch_size=size).batch().to(GPU),
                trainer._training_step(1, 1),
            )
        assert len(made._graphs) == 1


def test_a_batch_that_is_not_copied_into_the_graph_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulation is faithful: without the copy, a replay computes with the words of an earlier batch."""
    _, losses, *_ = train(CONVOLUTIONS, False)

    def stale(self: GradientGraphs, captured: Any, batch: Batch, step: Any) -> None:
        self._generator.manual_seed(step.noise.generator.initial_seed())
        captured.graph.replay()

    monkeypatch.setattr(GradientGraphs, "_replay", stale)
    _, losses_with, *_ = train(CONVOLUTIONS, True)
    assert losses_with[:4] == pytest.approx(losses[:4], rel=1e-6)
    assert losses_with[4:] != pytest.approx(losses[4:], rel=1e-6)
