import io

import pytest
import torch

from onmt.errors import OptionError
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.device import select_device, select_devices
from onmt.runtime.options import DeviceOptions


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(log: io.StringIO) -> Logger:
    return Logger(LoggerOptions(), log)


def pretend(monkeypatch: pytest.MonkeyPatch, devices: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)


def test_zero_is_the_cpu(logger: Logger) -> None:
    assert select_devices(DeviceOptions(), logger) == [torch.device("cpu")]


def test_float32_is_exact_on_a_gpu_too(logger: Logger) -> None:
    select_devices(DeviceOptions(precision="bf16"), logger)
    for kind in (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn):
        assert kind.fp32_precision == "ieee"


def test_gpus_count_from_one(monkeypatch: pytest.MonkeyPatch, logger: Logger) -> None:
    pretend(monkeypatch, 2)
    assert select_devices(DeviceOptions(gpuid=(2, 1)), logger) == [
        torch.device("cuda", 1),
        torch.device("cuda", 0),
    ]
    assert select_device(DeviceOptions(gpuid=(2, 1)), logger) == torch.device("cuda", 1)


@pytest.mark.parametrize(("devices", "told"), [(0, "is no CUDA"), (1, "is only one"), (2, "are only 2")])
def test_a_missing_gpu_is_refused(
    monkeypatch: pytest.MonkeyPatch, logger: Logger, devices: int, told: str
) -> None:
    pretend(monkeypatch, devices)
    with pytest.raises(OptionError, match=f"-gpuid 3: there {told}.*-fallback_to_cpu"):
        select_devices(DeviceOptions(gpuid=(3,)), logger)


def test_falling_back_is_told(monkeypatch: pytest.MonkeyPatch, logger: Logger, log: io.StringIO) -> None:
    pretend(monkeypatch, 0)
    options = DeviceOptions(gpuid=(1,), fallback_to_cpu=True)
    assert select_devices(options, logger) == [torch.device("cpu")]
    assert "WARNING] -gpuid 1: there is no CUDA device; falling back" in log.getvalue()
