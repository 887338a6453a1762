"""Two processes on the CPU exchange gradients through gloo."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commandline.parser import parse
from onmt.commandline.values import options_to_dict
from onmt.commands.pipeline import train
from onmt.data.dataset import epoch_order, plan_batches
from onmt.data.loading import open_prepared
from onmt.logger import Logger, LoggerOptions
from onmt.models.base import Model
from onmt.training.checkpoints import TrainingState
from onmt.training.data import TrainingData
from onmt.training.distributed import Torchrun, _ReplicaError, run_in_processes
from onmt.training.gradients import Clipping
from onmt.training.optim import OPTIMIZERS
from onmt.training.recipe import Recipe
from onmt.training.run import _train_in_process, _train_one_of_several
from onmt.training.starting_point import StartingPoint

CPU = torch.device("cpu")
HOOK = """
from dataclasses import dataclass

from onmt.commandline.declare import option


def declareOpts(options):
    @dataclass(frozen=True, kw_only=True)
    class Upper(options):
        upper: bool = option(False, "In upper case.")

    return Upper


def mpreprocess(options, lines):
    return [line.upper() for line in lines] if options.upper else lines
"""


def expected_weights(model: Model, data: str) -> dict[str, torch.Tensor]:
    """Train an epoch in this process, each update from two consecutive batches."""
    train = open_prepared(data).train
    plan = plan_batches(train.src_lengths, 10, 1800, False)
    order = epoch_order(len(plan), 1, 0, 3435)
    parameters = dict(model.named_parameters())
    optimizer = OPTIMIZERS["adam"](parameters)
    for first in range(0, len(order), 2):
        sentences = 0
        for parameter in parameters.values():
            parameter.grad = None
        for index in order[first : first + 2]:
            loss = model.loss(train.batch(plan[int(index)]), None)
            loss.total.backward()
            sentences += loss.divisor
        gradients = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
        Clipping(5.0).apply(gradients, sentences)
        optimizer.step(gradients, 0.01)
    return {name: parameter.detach() for name, parameter in parameters.items()}


def test_two_replicas_train_as_one_with_both_batches(
    tiny_data: str, tiny_model: list[str], tmp_path: Path
) -> None:
    argv = [
        *tiny_model,
        "-data",
        tiny_data,
        "-save_model",
        str(tmp_path / "m"),
        "-end_epoch",
        "1",
        "-dropout",
        "0",
    ]
    parsed = parse(train.script, argv)
    run_in_processes(partial(_train_one_of_several, parsed.options, parsed.given), (CPU, CPU), use_nccl=True)
    (path,) = tmp_path.glob("m_epoch1_*")
    content = load_checkpoint(path)
    assert content["training"]["batching"]["replicas"] == 2
    silent = Logger(LoggerOptions(), None)
    start = StartingPoint.new(
        Recipe.of(parsed.options),
        TrainingData.open(parsed.options, None, silent),
        TrainingState.new(parsed.options),
        silent,
    )
    for name, weight in expected_weights(start.model, tiny_data).items():
        torch.testing.assert_close(content["weights"][name], weight, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_two_replicas_with_a_hook_sample_by_perplexity_and_go_on(
    tiny_files: list[str], tiny_model: list[str], tmp_path: Path
) -> None:
    hook = tmp_path / "hook.py"
    hook.write_text(HOOK)
    argv = [*tiny_files, *tiny_model, "-hook_file", str(hook), "-upper", "-save_every", "3"]
    argv += ["-report_every", "2"]
    argv += "-sample 60 -sample_vocab -sample_type perplexity -sample_perplexity_init 1000".split()

    def run(name: str, *more: str) -> None:
        parsed = parse(train.script, [*argv, "-save_model", str(tmp_path / name), *more])
        words = {"model_type": "seq2seq", "hook_file": str(hook)}
        work = partial(_train_in_process, words, options_to_dict(parsed.options), parsed.given)
        run_in_processes(work, (CPU, CPU), use_nccl=False)

    run("whole", "-end_epoch", "3")
    run("half", "-end_epoch", "2")
    run("half", "-end_epoch", "3", "-train_from", str(tmp_path / "half_checkpoint.pt"), "-continue")
    whole, half = (load_checkpoint(next(tmp_path.glob(f"{name}_epoch3_*"))) for name in ("whole", "half"))
    assert set(whole["vocabularies"]["src"][0]["words"][4:]) == set("ABCDEFGH")
    for name, weight in whole["weights"].items():
        assert torch.equal(half["weights"][name], weight)
    known = [content["training"]["sampler"]["perplexities"] for content in (whole, half)]
    assert torch.equal(known[0].nan_to_num(-1), known[1].nan_to_num(-1))
    assert known[0].isnan().sum() < 60
    reports = [perplexities(tmp_path / f"{name}_metrics.jsonl") for name in ("whole", "half")]
    assert reports[1] == pytest.approx(reports[0], rel=1e-12)


def perplexities(path: Path) -> dict[str, float]:
    """Return the perplexity of each report, by its position."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    reports = [record for record in records if record["kind"] == "report"]
    assert reports
    return {f"{record['epoch']} {record['iteration']}": record["perplexity"] for record in reports}


@pytest.mark.slow
def test_two_replicas_accumulate_as_one_process(
    tiny_data: str, tiny_model: list[str], tmp_path: Path
) -> None:
    weights = []
    for devices, accumulated in (((CPU,), "4"), ((CPU, CPU), "2")):
        stem = str(tmp_path / accumulated)
        argv = [*tiny_model, "-data", tiny_data, "-save_model", stem, "-end_epoch", "2", "-dropout", "0"]
        parsed = parse(train.script, [*argv, "-accum_count", accumulated, "-average_decay", "0.1"])
        work = partial(_train_one_of_several, parsed.options, parsed.given)
        run_in_processes(work, devices, use_nccl=False)
        weights.append(load_checkpoint(next(tmp_path.glob(f"{accumulated}_epoch2_*")))["weights"])
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_a_failure_of_one_replica_ends_all(
    tiny_data: str, tiny_model: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m_checkpoint.pt").mkdir()
    argv = [*tiny_model, "-data", tiny_data, "-save_model", str(tmp_path / "m"), "-save_every", "2"]
    parsed = parse(train.script, argv)
    work = partial(_train_one_of_several, parsed.options, parsed.given)
    with pytest.raises(_ReplicaError, match=r"cannot write the checkpoint '.*/m_checkpoint\.pt") as caught:
        run_in_processes(work, (CPU, CPU), use_nccl=False)
    assert caught.value.exit_code == 1
    assert capfd.readouterr().err == ""


def test_torchrun_is_recognised() -> None:
    assert Torchrun.found({}) is None
    assert Torchrun.found({"RANK": "0", "WORLD_SIZE": "1"}) is None
    assert Torchrun.found({"WORLD_SIZE": "2"}) is None
    assert Torchrun.found({"RANK": "1", "WORLD_SIZE": "2"}) == Torchrun(1, 2)


@pytest.mark.slow
def test_replicas_agree_that_numbers_are_not_finite(
    tiny_data: str, tiny_model: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = [*tiny_model, "-data", tiny_data, "-save_model", str(tmp_path / "m"), "-keep_checkpoint_max", "1"]
    argv += "-start_decay_at 2 -learning_rate_decay 1e40 -max_grad_norm 0 -decay epoch_only".split()
    parsed = parse(train.script, argv)
    work = partial(_train_one_of_several, parsed.options, parsed.given)
    with pytest.raises(_ReplicaError, match="10 steps in a row had a loss or a gradient") as caught:
        run_in_processes(work, (CPU, CPU), use_nccl=False)
    assert caught.value.exit_code == 1
    output = capfd.readouterr()
    assert output.out.count("Skipped a step") == 9
    assert output.err == ""
    (path,) = tmp_path.glob("m_*.pt")
    assert path.name.startswith("m_epoch2_")
    assert all(weight.isfinite().all() for weight in load_checkpoint(path)["weights"].values())
