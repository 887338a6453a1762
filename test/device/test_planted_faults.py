"""Faults that the device tests must detect, planted one at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import budgets
import pytest
import torch
from configurations import Configuration, lua, training_configurations
from measuring import GPU, cost_of, make_step
from pretended_gpu import pretended_gpu
from pretended_tensors import WrongDeviceError
from torch import Tensor

from onmt.checkpoint import load_checkpoint
from onmt.data.dataset import Batch
from onmt.kernels import recurrent
from onmt.models.base import Model
from onmt.models.networks import Seq2Seq
from onmt.modules.encoding import Bridge
from onmt.modules.noise import Noise
from onmt.training.checkpoints import ModelDescription, Saver, TrainingState
from onmt.training.optim import LearningRate

EVEN = next(one for one in training_configurations() if one.name == "dbrnn, even")
UNEVEN = next(one for one in training_configurations() if one.name == "dbrnn, uneven")


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def before_loss(patch: pytest.MonkeyPatch, fault: Any) -> None:
    """Call `fault(model, batch)` before every computation of the loss."""
    loss = Seq2Seq.loss

    def faulty(self: Seq2Seq, batch: Batch, step: Any) -> Any:
        fault(self, batch)
        return loss(self, batch, step)

    patch.setattr(Seq2Seq, "loss", faulty)


def over_budget(configuration: Configuration) -> dict[str, bool]:
    """Return for each column of the table whether a step exceeds the budget."""
    cost = cost_of(configuration)[0]
    budget = budgets.read()[f"step: {configuration.name}"]
    return {name: getattr(cost, name) > most for name, most in zip(budgets.COLUMNS, budget, strict=True)}


def test_a_tensor_without_device(patch: pytest.MonkeyPatch) -> None:
    before_loss(patch, lambda model, batch: batch.src_lengths + torch.zeros(batch.size, dtype=torch.int64))
    with pytest.raises(WrongDeviceError):
        cost_of(EVEN)


def test_a_generator_of_the_cpu(patch: pytest.MonkeyPatch) -> None:
    mask = Noise.dropout_mask

    def faulty(self: Noise, *args: Any) -> Tensor | None:
        return mask(Noise(torch.Generator().manual_seed(1)), *args)

    patch.setattr(Noise, "dropout_mask", faulty)
    with pytest.raises(WrongDeviceError, match="generator"):
        cost_of(EVEN)


def test_waiting_for_a_number(patch: pytest.MonkeyPatch) -> None:
    before_loss(patch, lambda model, batch: batch.src.sum().item())
    assert over_budget(EVEN)["syncs"]


def test_strided_states(patch: pytest.MonkeyPatch) -> None:
    bridge = Bridge.forward

    def faulty(self: Bridge, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(torch.stack([state, state], 2)[..., 0] for state in bridge(self, states))

    patch.setattr(Bridge, "forward", faulty)
    with pytest.raises(RuntimeError, match="contiguous"):
        cost_of(lua("strided", flags={"input_feed": False, "bridge": "dense"}))


def test_an_upload_of_float64(patch: pytest.MonkeyPatch) -> None:
    before_loss(patch, lambda model, batch: torch.tensor([0.5], dtype=torch.float64, device=batch.src.device))
    assert over_budget(EVEN)["uploads"]


def test_a_mask_on_the_wrong_device(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "onmt.modules.recurrent_encoders.padding_mask",
        lambda lengths, steps: torch.ones(len(lengths), steps, dtype=torch.bool),
    )
    with pytest.raises(WrongDeviceError):
        cost_of(UNEVEN)


def test_a_copy_that_blocks(patch: pytest.MonkeyPatch) -> None:
    before_loss(patch, lambda model, batch: torch.zeros(3).to(batch.src.device, non_blocking=True))
    assert over_budget(EVEN)["uploads"]


def test_one_more_launch_per_step(patch: pytest.MonkeyPatch) -> None:
    before_loss(patch, lambda model, batch: batch.src_lengths + 1)
    assert over_budget(EVEN)["launches"]


def test_weights_that_lie_apart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("onmt.modules.rnn.move_into_one_chunk", lambda kind, weights: None)
    assert over_budget(EVEN)["loose_weights"]


def saved_by(model: Model, folder: Path) -> dict[str, Any]:
    """Save a model and return the content of the checkpoint."""

    class SilentLogger:
        def info(self, message: str) -> None:
            pass

    description = ModelDescription(data_type="bitext", spec={}, options={}, vocabularies={})
    saver = Saver(str(folder / "model"), 0, 0, description, model, SilentLogger())  # type: ignore[arg-type]
    rate = LearningRate(1.0)
    return load_checkpoint(saver.save_checkpoint(TrainingState(rate=rate)))


def shares_memory(weights: dict[str, Tensor]) -> bool:
    """Return whether any tensor shares its storage with another or has a larger storage than it needs."""
    sizes = {name: tensor.untyped_storage().nbytes() for name, tensor in weights.items()}
    whole = all(sizes[name] == tensor.nbytes for name, tensor in weights.items())
    places = {tensor.untyped_storage().data_ptr() for tensor in weights.values()}
    return not whole or len(places) < len(weights)


def test_an_aliasing_save(tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
    with pretended_gpu() as session:
        model = make_step(EVEN, GPU).model
        session.ledger.clear()
        assert not shares_memory(saved_by(model, tmp_path)["weights"])
        assert session.ledger.count("sync") <= len(list(model.parameters()))
        patch.setattr("onmt.training.checkpoints._on_host", lambda tensor: tensor.detach().host)
        assert shares_memory(saved_by(model, tmp_path)["weights"])


def test_the_chunk_is_what_the_layers_use() -> None:
    with pretended_gpu():
        model = make_step(EVEN, GPU).model
        before = {name: part.host.clone() for name, part in model.named_parameters()}
        for part in model.modules():
            if hasattr(part, "weight_hh"):
                weights = [part.weight_ih, part.weight_hh, part.bias_ih, part.bias_hh]
                assert len({weight.host.untyped_storage().data_ptr() for weight in weights}) == 1
                recurrent.move_into_one_chunk(part.cell.kind, weights)
        assert all(torch.equal(before[name], part.host) for name, part in model.named_parameters())
