import errno
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commands.pipeline import preprocess
from onmt.training.evaluation import Evaluator
from onmt.training.trainer import StepResult, Trainer

RunTrain = Callable[..., tuple[int, str, str]]


def messages(log: str) -> list[str]:
    return [line.partition("] ")[2] for line in log.splitlines()]


def saved(folder: Path) -> list[str]:
    return sorted(re.sub(r"_[\d.]+\.pt", "", path.name) for path in folder.glob("m_epoch*.pt"))


def test_the_log_has_the_original_s_lines(run_train: RunTrain, tmp_path: Path) -> None:
    code, log, _ = run_train("-end_epoch", "2", "-report_every", "7", "-save_every", "9")
    assert code == 0
    lines = messages(log)
    assert lines[0] == "Training Sequence to Sequence with Attention model..."
    assert lines[1].startswith("Loading data from '")
    assert "Building model..." in lines
    start = lines.index("Start training from epoch 1 to 2...")
    iterations = int(re.search(r"number of batches: (\d+)", log)[1])  # type: ignore[index]
    assert 14 <= iterations < 18
    shape = [
        re.sub(r"tokens/s \d+ ; Perplexity [\d.]+|: [\d.]+$|_[\d.]+\.pt", "", line)
        for line in lines[start + 1 :]
    ]
    expected = []
    for epoch in (1, 2):
        report = f"Epoch {epoch} ; Iteration {{}}/{iterations} ; Optim ADAM LR 0.010000 ; Source "
        expected += [
            "",
            report.format(7),
            f"Saving checkpoint to '{tmp_path}/m_checkpoint.pt'...",
            report.format(14),
            report.format(iterations),
            "Evaluating on the validation dataset...",
            "Validation perplexity",
            f"Saving checkpoint to '{tmp_path}/m_epoch{epoch}'...",
        ]
    if iterations == 14:
        expected = [line for line in expected if line != report.format(14)]
    assert shape == expected


@pytest.mark.parametrize(
    ("every", "kept"), [("0", ["m_epoch5"]), ("2", ["m_epoch2", "m_epoch4", "m_epoch5"])]
)
def test_models_are_kept_every_so_many_epochs_and_at_the_end(
    run_train: RunTrain, tmp_path: Path, every: str, kept: list[str]
) -> None:
    assert run_train("-end_epoch", "5", "-save_every_epochs", every)[0] == 0
    assert saved(tmp_path) == kept


def test_a_file_name_carries_the_score(run_train: RunTrain, tmp_path: Path) -> None:
    _, log, _ = run_train("-end_epoch", "1", "-validation_metric", "loss")
    score = re.search(r"Validation loss: (\d+\.\d\d)\n", log)
    assert score is not None
    content = load_checkpoint(tmp_path / f"m_epoch1_{score[1]}.pt")
    assert content["training"]["epoch"] == 2
    assert content["training"]["iteration"] == 1
    assert f"{content['training']['rate']['last_score']:.2f}" == score[1]
    assert content["options"]["validation_metric"] == "loss"


def test_the_checkpoint_says_what_comes_next(run_train: RunTrain, tmp_path: Path) -> None:
    run_train("-end_epoch", "1", "-save_every", "4")
    training = load_checkpoint(tmp_path / "m_checkpoint.pt")["training"]
    assert training["epoch"] == 1
    assert training["iteration"] % 4 == 1
    assert training["optimizer"]["steps"] == training["iteration"] - 1
    assert training["environment"]["threads"] >= 1


def test_training_starts_where_the_options_say(run_train: RunTrain) -> None:
    _, log, _ = run_train(
        "-start_epoch", "3", "-start_iteration", "5", "-end_epoch", "3", "-report_every", "1"
    )
    lines = messages(log)
    assert "Start training from epoch 3 to 3..." in lines
    reports = [line for line in lines if line.startswith("Epoch")]
    assert reports[0].startswith("Epoch 3 ; Iteration 5/")


def test_a_learning_rate_too_small_stops_after_saving(run_train: RunTrain, tmp_path: Path) -> None:
    code, log, _ = run_train(
        *"-learning_rate_decay 0.1 -start_decay_at 1 -min_learning_rate 0.0005 -save_every_epochs 0".split()
    )
    assert code == 0
    assert saved(tmp_path) == ["m_epoch2"]
    assert messages(log)[-1] == "Stopping training due to a too small learning rate value."


def test_the_restart_method_clears_the_optimiser(run_train: RunTrain, tmp_path: Path) -> None:
    run_train(*"-end_epoch 1 -start_decay_at 1 -decay_method restart".split())
    (path,) = tmp_path.glob("m_epoch1_*")
    optimizer = load_checkpoint(path)["training"]["optimizer"]
    assert optimizer["steps"] == 0
    assert all(not tensor.any() for tensors in optimizer["gathered"].values() for tensor in tensors.values())


@pytest.mark.parametrize("metric", ["bleu", "ter", "dlratio"])
def test_validation_can_translate(run_train: RunTrain, tmp_path: Path, metric: str) -> None:
    name = {"bleu": "BLEU", "ter": "TER", "dlratio": "DLratio"}[metric]
    arguments = f"-end_epoch 2 -validation_metric {metric} -save_validation_translation_every 2 -beam_size 2"
    code, log, _ = run_train(*arguments.split())
    assert code == 0
    assert len(re.findall(rf"Validation {name}: [\d.]+\n", log)) == 2
    (path,) = tmp_path.glob("*_validation_translation.txt")
    assert path.name == "m_epoch2_validation_translation.txt"
    lines = path.read_text().splitlines()
    assert len(lines) == 30
    assert all(re.fullmatch(r"[\d.]+ \|\|\| [a-h ]*\|\|\| [a-h ]+", line) for line in lines)


def test_without_validation_data_the_score_is_zero(run_train: RunTrain, tmp_path: Path) -> None:
    for side in ("src", "tgt"):
        (tmp_path / f"t.{side}").write_text("a b\nb\n" * 20)
    data = str(tmp_path / "novalid")
    files = ["-train_src", str(tmp_path / "t.src"), "-train_tgt", str(tmp_path / "t.tgt")]
    assert preprocess([*files, "-save_data", data]) == 0
    code, log, _ = run_train("-data", data, "-end_epoch", "1")
    assert code == 0
    assert "Evaluating" not in log
    assert (tmp_path / "m_epoch1_0.00.pt").exists()


def test_scheduled_sampling_falls_and_is_told(run_train: RunTrain, tmp_path: Path) -> None:
    _, log, _ = run_train(*"-end_epoch 3 -scheduled_sampling 1 -scheduled_sampling_decay_rate 0.25".split())
    assert re.findall(r"Set Scheduled Sampling rate: (\S+)", log) == ["0.750", "0.500"]
    (path,) = tmp_path.glob("m_epoch3_*")
    assert load_checkpoint(path)["training"]["gold_probability"] == 0.5


def test_a_run_repeats_itself_and_follows_its_seed(run_train: RunTrain, tmp_path: Path) -> None:
    logs = []
    for seed in ("1", "1", "2"):
        _, log, _ = run_train("-end_epoch", "2", "-seed", seed)
        logs.append(re.findall(r"[Pp]erplexity:? ([\d.]+)", log))
    assert logs[0] == logs[1] != logs[2]


def test_sigterm_saves_and_ends_with_one_line(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step

    def interrupted_step(self: Trainer, batch: Any, epoch: int, iteration: int) -> StepResult:
        if (epoch, iteration) == (1, 6):
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch, epoch, iteration)

    monkeypatch.setattr(Trainer, "step", interrupted_step)
    before = signal.getsignal(signal.SIGTERM)
    code, _, errors = run_train("-end_epoch", "1")
    assert code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert errors == (
        f"train.py: interrupted before epoch 1, iteration 7; -train_from {tmp_path}/m_checkpoint.pt "
        f"-continue "
        "goes on from there\n"
    )
    assert load_checkpoint(tmp_path / "m_checkpoint.pt")["training"]["iteration"] == 7


def test_flags_without_meaning_are_told_once(run_train: RunTrain) -> None:
    _, log, _ = run_train("-end_epoch", "1", "-disable_mem_optimization", "-async_parallel", "-exp_port", "1")
    assert [line for line in messages(log) if "has no effect" in line] == [
        "-async_parallel has no effect: several GPUs always train synchronously",
        "-disable_mem_optimization has no effect: PyTorch shares the memory of time steps by itself",
        "-exp_port has no effect: -exp writes files for TensorBoard",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ("-data ''", 2, "-data is missing"),
        ("-data nowhere", 2, "there is no prepared data 'nowhere'"),
        ("-continue", 2, "-continue needs -train_from"),
        ("-update_vocab merge", 2, "-update_vocab needs -train_from"),
        ("-model_type lm -rnn_size 4", 2, "-model_type lm learns from monotext data"),
        ("-gpuid 99", 2, "-gpuid 99: there "),
        ("-exp trial", 2, "-exp needs the tensorboard package"),
        ("-pre_word_vecs_enc nothing.pt", 2, "the file must exist"),
        ("-save_model /nowhere/m", 2, "-save_model /nowhere/m: there is no folder '/nowhere'"),
        ("-train_from nothing.pt", 2, "there is no 'nothing.pt'"),
    ],
)
def test_what_a_user_can_cause_is_one_line(
    run_train: RunTrain, monkeypatch: pytest.MonkeyPatch, arguments: str, code: int, told: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    result, _, errors = run_train(*(word.strip("'") for word in arguments.split()))
    assert told in errors
    assert result == code
    assert errors.startswith("train.py: ")
    assert errors.count("\n") == 1


def test_a_full_disk_is_one_line(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("onmt.files.os.fsync", full)
    code, _, errors = run_train("-end_epoch", "1")
    assert code == 1
    assert errors.startswith(f"train.py: cannot write the checkpoint '{tmp_path}/m_epoch1_")
    assert errors.endswith("No space left on device\n")
    assert not list(tmp_path.glob("m_*"))


def test_batches_may_be_limited_by_tokens_alone(run_train: RunTrain) -> None:
    code, log, _ = run_train(
        "-max_batch_size", "0", "-end_epoch", "1", "-rnn_size", "4", "-word_vec_size", "3"
    )
    assert code == 0
    assert "maximum size: 120 sentences / 1800 tokens" in log
    assert "number of batches: 6" in log


def test_a_run_interrupted_while_validating_goes_on_with_validation(
    run_train: RunTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["-end_epoch", "2", "-dropout", "0.3"]
    assert run_train(*arguments, "-save_model", str(tmp_path / "whole"))[0] == 0
    score = Evaluator.scores

    def interrupted_score(self: Evaluator, *rest: Any) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return score(self, *rest)

    monkeypatch.setattr(Evaluator, "scores", interrupted_score)
    code, _, _ = run_train(*arguments)
    assert code == 130
    assert not list(tmp_path.glob("m_epoch*"))
    monkeypatch.setattr(Evaluator, "scores", score)
    checkpoint = str(tmp_path / "m_checkpoint.pt")
    code, log, _ = run_train(*arguments, "-train_from", checkpoint, "-continue", "-max_batch_size", "10")
    assert code == 0
    after = messages(log)[messages(log).index("Start training from epoch 1 to 2...") + 1 :]
    assert after[:2] == ["", "Evaluating on the validation dataset..."]
    finals = [load_checkpoint(next(tmp_path.glob(f"{stem}_epoch2_*")))["weights"] for stem in ("whole", "m")]
    assert all(torch.equal(finals[0][name], finals[1][name]) for name in finals[0])
