import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onmt.errors import OptionError
from onmt.training.progress import TensorBoard


def test_points_go_to_the_experiment_s_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[Any] = []

    class Writer:
        def __init__(self, log_dir: str) -> None:
            calls.append(log_dir)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            calls.append((name, value, step))

        def close(self) -> None:
            calls.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    board = TensorBoard("trial", str(tmp_path / "models" / "m"))
    board.add("perplexity", 7.5, 3)
    board.close()
    assert calls == [str(tmp_path / "models" / "runs" / "trial"), ("perplexity", 7.5, 3), "closed"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(OptionError, match="pip install tensorboard"):
        TensorBoard("trial", "m")
