"""Effects of flags on a GPU, and messages to the user when a GPU fails."""

import os
from collections.abc import Iterator
from io import StringIO

import pytest
import torch
from pretended_gpu import pretended_gpu

from onmt.commandline.run import failure_of
from onmt.data.dataset import prefetch, to_device
from onmt.errors import OptionError
from onmt.kernels.products import rounds_to_tf32, set_tf32
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.device import products_of, select_device, select_devices
from onmt.runtime.options import DeviceOptions
from onmt.training.distributed import Torchrun
from onmt.training.progress import Phases

LOGGER = Logger(LoggerOptions(), StringIO())
GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    set_tf32(False)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("options", "rounds", "described"),
    [
        (DeviceOptions(gpuid=(1,)), False, "float32 products"),
        (DeviceOptions(gpuid=(1,), precision="tf32"), True, "TF32 products"),
        (DeviceOptions(gpuid=(1,), precision="bf16"), True, "bfloat16 and TF32 products"),
        (DeviceOptions(gpuid=(1,), fp16=True), True, "float16 and TF32 products"),
        (DeviceOptions(gpuid=(1,), deterministic=True), False, "float32 products, deterministic"),
    ],
)
def test_precision_holds_in_layers_and_products_alike(
    options: DeviceOptions, rounds: bool, described: str
) -> None:
    with pretended_gpu():
        device = select_device(options, LOGGER)
        assert rounds_to_tf32() == rounds
        settings = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
        assert {one.fp32_precision for one in settings} == {"tf32" if rounds else "ieee"}
        assert products_of(options, device, LOGGER).describe(device) == described


def test_deterministic_kernels_are_asked_for_before_cuda_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu():
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: states.append(dict(os.environ)))
        states: list[dict[str, str]] = []
        select_device(DeviceOptions(gpuid=(1,), deterministic=True), LOGGER)
        assert torch.are_deterministic_algorithms_enabled()
        assert states[0]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_chosen_gpu_is_the_current_one() -> None:
    with pretended_gpu(3) as session:
        assert select_device(DeviceOptions(gpuid=(2,)), LOGGER) == torch.device("cuda", 1)
        assert session.current_device == 1
        assert len(select_devices(DeviceOptions(gpuid=(1, 3)), LOGGER)) == 2


def test_phases_wait_for_their_own_gpu() -> None:
    with pretended_gpu(2) as session:
        second = torch.device("cuda", 1)
        with Phases(True, second).during("forward"):
            pass
        with Phases(False, second).during("forward"), Phases(True).during("forward"):
            pass
        assert session.synchronized == [second, second]


def test_torchrun_needs_a_gpu_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(OptionError, match=r"torchrun started 2 processes.*-gpuid names 1"):
        Torchrun(1, 2).run(lambda *_: None, (GPU,), use_nccl=True)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuFFT error: CUFFT_ALLOC_FAILED",
    ],
)
def test_every_way_to_run_out_of_memory_names_the_flags_to_lower(message: str) -> None:
    failure = failure_of(RuntimeError(message))
    assert failure is not None
    assert failure.message is not None
    assert "-max_batch_size" in failure.message
    assert message in failure.message


def test_a_batch_read_ahead_is_pinned_for_its_own_gpu() -> None:
    second = torch.device("cuda", 1)
    with pretended_gpu(2) as session:
        (moved,) = prefetch(lambda tensor: to_device(tensor, second), [torch.ones(2)])
        assert moved.device == second
        assert session.pinned_for == [1]
        assert session.ledger.count("upload") == 0
