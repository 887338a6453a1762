"""Losses, gradients and parameters that are not finite."""

import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from onmt.checkpoint import load_checkpoint
from onmt.data.dataset import Batch
from onmt.logger import Logger, LoggerOptions
from onmt.models.networks import Seq2Seq
from onmt.modules.generator import Loss
from onmt.training.distributed import Replicas
from onmt.training.gradients import Attempt, LossScale, NotFiniteError, SkippedSteps, _ranges
from onmt.training.optim import OPTIMIZERS, Optimizer
from onmt.training.tensorflow_optim import _CenteredRmsProp, _Ftrl, _Momentum

RunTrain = Callable[..., tuple[int, str, str]]
CPU = torch.device("cpu")
SMALL = "-rnn_size 8 -word_vec_size 6 -layers 1 -max_batch_size 10".split()
EXPLODING = "-keep_checkpoint_max 1 -start_decay_at 3 -learning_rate_decay 1e38 -max_grad_norm 0".split()
SKIPPED = re.compile(
    r"WARNING\] Skipped a step, its loss or gradient is not finite: epoch (\d+), iteration (\d+) \(lines "
    r"[-\d, .]+ of the data as it is stored, learning rate \S+, loss \S+, gradient norm \S+\)"
)


def spoil(monkeypatch: pytest.MonkeyPatch, *calls: int, value: float = math.nan) -> None:
    """Spoil the loss of these training steps (from 1), and with it all gradients."""
    loss, done = Seq2Seq.loss, 0

    def spoilt(self: Seq2Seq, batch: Batch, step: Any) -> Loss:
        nonlocal done
        measured = loss(self, batch, step)
        done += step is not None
        if step is None or done not in calls:
            return measured
        return replace(measured, total=measured.total * value)

    monkeypatch.setattr(Seq2Seq, "loss", spoilt)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("m_*.pt")}


def is_finite(path: Path) -> bool:
    content = load_checkpoint(path)
    tensors = [*content["weights"].values()]
    for gathered in content["training"]["optimizer"]["gathered"].values():
        tensors += gathered.values()
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_spoilt_step_is_skipped_and_told(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, optimizer: str
) -> None:
    spoil(monkeypatch, 3, 6, value=value)
    code, log, errors = run_train(*SMALL, "-end_epoch", "1", "-report_every", "5", "-optim", optimizer)
    assert (code, errors) == (0, "")
    assert SKIPPED.findall(log) == [("1", "3"), ("1", "6")]
    assert not re.search("[Pp]erplexity:? (nan|inf)", log)
    (path,) = tmp_path.glob("m_epoch1_*.pt")
    assert is_finite(path)


def test_a_training_with_a_skipped_step_resumes_bit_for_bit(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("-dropout", "0.3", "-end_epoch", "2")
    with monkeypatch.context() as patch:
        spoil(patch, 4)
        assert run_train(*arguments, "-save_every", "8")[0] == 0
    (whole,) = tmp_path.glob("m_epoch2_*.pt")
    (first,) = tmp_path.glob("m_epoch1_*.pt")
    assert load_checkpoint(first)["training"]["optimizer"]["steps"] >= 12
    goes_on = ("-train_from", str(first), "-continue", "-save_model", str(tmp_path / "other"))
    assert run_train(*goes_on, "-end_epoch", "2", "-max_batch_size", "10")[0] == 0
    (other,) = tmp_path.glob("other_epoch2_*.pt")
    one, two = (load_checkpoint(path)["weights"] for path in (whole, other))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_ten_in_a_row_end_the_training_and_leave_what_was_saved(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, *range(6, 100))
    code, log, errors = run_train("-end_epoch", "9", "-save_every", "2")
    assert code == 1
    assert re.fullmatch(
        r"train.py: 10 steps in a row had a loss or a gradient that is not finite, the last one was epoch 1, "
        r"iteration 15 \(lines [-\d, .]+ of the data as it is stored, learning rate 0.01, loss nan, gradient "
        r"norm nan\); start again with a smaller -learning_rate [^\n]*\n",
        errors,
    )
    assert len(SKIPPED.findall(log)) == 9
    assert "No checkpoint is saved now: the last step was skipped" in log
    assert load_checkpoint(tmp_path / "m_checkpoint.pt")["training"]["iteration"] == 5


def test_nine_in_a_row_do_not(run_train: RunTrain, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, *range(1, 10), *range(11, 14))
    assert run_train("-end_epoch", "1")[0] == 0


@pytest.mark.parametrize("batch", ["10", "40"])
def test_a_training_that_explodes_keeps_its_last_good_model(
    run_train: RunTrain, tmp_path: Path, batch: str
) -> None:
    more = ("-decay", "epoch_only", "-max_batch_size", batch)
    code, _, errors = run_train(*(*SMALL[:-2], *EXPLODING, *more), "-end_epoch", "20", "-save_every", "3")
    assert code == 1
    assert "not finite" in errors
    assert errors.count("\n") == 1
    assert [path.name.rpartition("_")[0] for path in tmp_path.glob("m_epoch*")] == ["m_epoch3"]
    assert all(is_finite(path) for path in tmp_path.glob("m_*.pt"))


def test_a_state_that_is_not_finite_is_not_saved(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Optimizer.step

    def overflowing(self: Optimizer, gradients: list[Tensor], rate: float, finite: Tensor) -> None:
        step(self, gradients, rate, finite)
        if self.steps == 7:
            self.parameters[0].data.view(-1)[0] = math.inf

    assert run_train("-end_epoch", "1", "-save_every", "6")[0] == 0
    before = files(tmp_path)
    monkeypatch.setattr(Optimizer, "step", overflowing)
    code, _, errors = run_train("-end_epoch", "1", "-save_every", "7")
    assert code == 1
    assert re.match(r"train.py: not saved: '\S+' has numbers that are not finite; start again", errors)
    assert files(tmp_path) == before


OPTIONS: dict[str, Callable[[dict[str, Tensor]], Optimizer]] = {
    **OPTIMIZERS,
    "momentum": lambda parameters: _Momentum(parameters, {"table"}, 0.9, True),
    "rmsprop": lambda parameters: _CenteredRmsProp(parameters, {"table"}, 0.9, 0.5, 1e-8),
    "ftrl": lambda parameters: _Ftrl(parameters, {"table"}, -0.5, 0.1, 0.01, 0.01),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_update_that_knows_the_flag_obeys_it(name: str) -> None:
    """On a GPU the host does not read the flag: a false one must stop the update itself."""
    draw = torch.Generator().manual_seed(1)
    start = {key: torch.rand(3, 4, generator=draw) for key in ("table", "other")}
    gradients = [[torch.rand(3, 4, generator=draw) for _ in start] for _ in range(3)]
    plain, flagged = (OPTIONS[name]({key: value.clone() for key, value in start.items()}) for _ in range(2))
    for optimizer in (plain, flagged):
        optimizer.step([gradient.clone() for gradient in gradients[0]], 0.1)
    before = state(flagged)
    flagged.steps += 1
    flagged._update([gradient * math.nan for gradient in gradients[1]], 0.1, torch.tensor(False))
    assert all(torch.equal(old, new) for old, new in zip(before, state(flagged), strict=True))
    plain.steps += 1
    for optimizer, flag in ((plain, None), (flagged, torch.tensor(True))):
        optimizer.steps += 1
        optimizer._update([gradient.clone() for gradient in gradients[2]], 0.1, flag)
    assert all(torch.equal(one, two) for one, two in zip(state(plain), state(flagged), strict=True))
    plain.step([gradient * math.nan for gradient in gradients[1]], 0.1, torch.tensor(False))
    assert all(torch.equal(one, two) for one, two in zip(state(flagged), state(plain), strict=True))


def state(optimizer: Optimizer) -> list[Tensor]:
    gathered = [tensor for tensors in optimizer.slot_tensors.values() for tensor in tensors]
    return [tensor.clone() for tensor in (*optimizer.parameters, *gathered)]


@pytest.mark.parametrize("rate", [math.nan, math.inf, 1e76])
def test_a_rate_that_no_parameter_can_bear_changes_nothing(rate: float) -> None:
    optimizer = OPTIMIZERS["sgd"]({"a": torch.ones(2)})
    optimizer.step([torch.ones(2)], rate, torch.tensor(True))
    assert optimizer.parameters[0].tolist() == [1, 1]
    assert not Optimizer.can_use(rate)
    assert Optimizer.can_use(3e38)


def test_skipped_words_and_many_skipped_steps() -> None:
    log = io.StringIO()
    skipped = SkippedSteps(Replicas(), Logger(LoggerOptions(), log), CPU)
    for iteration in range(60):
        taken = torch.tensor(iteration % 2 == 0)
        skipped.record(Attempt(1, iteration, [], 0.1, torch.tensor(1.0), torch.tensor(2.0), taken, 7))
    assert skipped.take_words() == 30 * 7
    assert skipped.take_words() == 0
    assert log.getvalue().count("Skipped a step") == 20


def test_an_overflow_that_lowers_the_loss_scale_does_not_end_the_training() -> None:
    log = io.StringIO()
    skipped = SkippedSteps(Replicas(), Logger(LoggerOptions(), log), CPU)
    scale = LossScale(CPU, {"scale": 2.0**12, "steps": 0})

    def overflow(iteration: int) -> None:
        lowered = scale.update(torch.tensor(math.inf))
        numbers = (torch.tensor(1.0), torch.tensor(math.inf), torch.tensor(False))
        skipped.record(Attempt(1, iteration, [], 0.1, *numbers, 7, lowered))

    for iteration in range(12):
        overflow(iteration)
    assert (skipped.in_a_row, skipped.take_words()) == (0, 12 * 7)
    assert log.getvalue().count("Skipped a step, the loss scale of -fp16 was too large and is halved") == 12
    for iteration in range(9):
        overflow(iteration)
    assert skipped.in_a_row == 9
    with pytest.raises(NotFiniteError, match="10 steps in a row"):
        overflow(9)


def test_a_loss_is_read_with_the_flags() -> None:
    skipped = SkippedSteps(Replicas(), Logger(LoggerOptions(), io.StringIO()), torch.device("meta"))
    assert skipped.read() is None
    assert skipped.read(torch.tensor(1.5).double()) == 1.5
    skipped.record(Attempt(1, 1, [], 0.1, *(torch.tensor(1.0),) * 2, torch.tensor(True), 7))
    assert skipped.read(torch.tensor(2.5).double()) == 2.5


class TwoReplicas(Replicas):
    """Two replicas, the other of which has numbers that are not finite."""

    size = 2

    def maximum(self, value: int) -> int:
        return max(value, 1)


def test_replicas_agree() -> None:
    log = Logger(LoggerOptions(), None)
    SkippedSteps(Replicas(), log, CPU).require_finite({"a": torch.ones(2), "b": torch.arange(2)}, "")
    with pytest.raises(NotFiniteError, match="not saved: the model of another replica has numbers"):
        SkippedSteps(TwoReplicas(), log, CPU).require_finite({"a": torch.ones(2)}, "")


@pytest.mark.parametrize(
    ("numbers", "shown"), [([], ""), ([3], "3"), ([1, 2, 3, 5], "1-3, 5"), ([*range(0, 40, 2)], "0, 2, 4, 6")]
)
def test_ranges(numbers: list[int], shown: str) -> None:
    assert _ranges(numbers)[: len(shown)] == shown
    assert len(_ranges(numbers)) < 60
