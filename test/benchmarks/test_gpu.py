"""The GPU report, as far as a machine without a GPU can produce it."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import BEAMS, PRECISIONS, main
from onmt.kernels.products import set_tf32


def test_a_tiny_report_has_every_precision_and_beam(tmp_path: Path) -> None:
    assert main([str(tmp_path / "gpu.json"), "--tiny"]) == 0
    set_tf32(False)
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert set(report["training"]) == set(report["matrix_flops_per_second"]) == set(PRECISIONS)
    assert {row["beam_size"] for row in report["translation"]} == set(BEAMS)
    assert all(row["median_seconds"] > 0 for row in report["training"].values())


def test_a_missing_gpu_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert main([str(tmp_path / "gpu.json")]) == 2
    assert "no such GPU" in capsys.readouterr().err
