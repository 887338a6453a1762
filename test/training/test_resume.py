"""Runs that are stopped and continued, as real processes, end as if they had never stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.kernels.products import multiplies_bfloat16

ROOT = Path(__file__).parents[2]
RUN = ["-dropout", "0.4", "-end_epoch", "3", "-report_every", "5"]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def start(tiny_data: str, tiny_model: list[str]) -> Start:
    """Start train.py in a folder of its own."""

    def run(folder: Path, *argv: str, save_every: int = 5) -> "subprocess.Popen[str]":
        command = [
            sys.executable,
            str(ROOT / "train.py"),
            "-data",
            tiny_data,
            "-save_model",
            str(folder / "m"),
        ]
        command += [*tiny_model, *RUN, "-save_every", str(save_every), *argv]
        return subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    return run


def finish(process: "subprocess.Popen[str]") -> str:
    log, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return log


def signal_at(process: "subprocess.Popen[str]", text: str, times: int, number: signal.Signals) -> None:
    """Send the signal when the log has shown `text` this many times."""
    assert process.stdout is not None
    for line in process.stdout:
        times -= text in line
        if times == 0:
            process.send_signal(number)
            return
    raise AssertionError(f"the run ended without '{text}'")


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("m_epoch3_*.pt")
    weights: dict[str, torch.Tensor] = load_checkpoint(path)["weights"]
    return weights


@pytest.fixture(scope="module")
def uninterrupted(start: Start, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The final weights of a run that was not stopped."""
    folder = tmp_path_factory.mktemp("whole")
    finish(start(folder))
    return final_weights(folder)


def assert_identical(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def test_a_killed_run_continues_bit_for_bit(
    start: Start, tmp_path: Path, uninterrupted: dict[str, torch.Tensor]
) -> None:
    process = start(tmp_path)
    signal_at(process, "Saving checkpoint", 5, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("m_epoch3_*"))
    log = finish(start(tmp_path, "-train_from", str(tmp_path / "m_checkpoint.pt"), "-continue"))
    assert "Resuming training from epoch" in log
    assert "WARNING" not in log
    assert_identical(final_weights(tmp_path), uninterrupted)


@pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor falls back to fp32")
def test_bfloat16_products_continue_bit_for_bit(start: Start, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
    finish(start(whole, "-precision", "bf16"))
    process = start(stopped, "-precision", "bf16")
    signal_at(process, "Saving checkpoint", 3, signal.SIGKILL)
    process.communicate()
    again = ["-train_from", str(stopped / "m_checkpoint.pt"), "-continue", "-precision", "bf16"]
    log = finish(start(stopped, *again))
    assert "WARNING" not in log
    assert_identical(final_weights(stopped), final_weights(whole))


@pytest.mark.slow
def test_an_interrupted_run_saves_and_continues_bit_for_bit(
    start: Start, tmp_path: Path, uninterrupted: dict[str, torch.Tensor]
) -> None:
    process = start(tmp_path, save_every=0)
    signal_at(process, "Iteration 10/", 1, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.startswith("train.py: interrupted before epoch 1, iteration ")
    assert errors.count("\n") == 1
    finish(start(tmp_path, "-train_from", str(tmp_path / "m_checkpoint.pt"), "-continue"))
    assert_identical(final_weights(tmp_path), uninterrupted)
