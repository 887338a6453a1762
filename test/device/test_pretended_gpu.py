"""The pretended GPU refuses what CUDA refuses and counts what CUDA does."""

from collections.abc import Callable

import pytest
import torch
from pretended_gpu import pretended_gpu
from pretended_tensors import GpuTensor, WrongDeviceError, host_of

GPU = torch.device("cuda", 0)


def test_tensors_say_where_they_are() -> None:
    with pretended_gpu():
        made = torch.ones(2, device="cuda")
        assert made.device == GPU
        assert made.is_cuda
        assert (made + 1).device == GPU
        assert made.cpu().device.type == "cpu"
        assert torch.zeros_like(made).device == GPU
        torch.testing.assert_close(host_of(made * 3), torch.full((2,), 3.0))


@pytest.mark.parametrize(
    "mix",
    [
        lambda here, there: here + there,
        lambda here, there: there @ here,
        lambda here, there: torch.cat([here, there]),
        lambda here, there: torch.where(there > 0, here, there),
        lambda here, there: there.addmm_(here, there),
    ],
)
def test_two_devices_do_not_mix(mix: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    with pretended_gpu() as session:
        with pytest.raises(WrongDeviceError, match="same device"):
            mix(torch.ones(2, 2), torch.ones(2, 2, device="cuda"))
        assert len(session.refused) == 1


def test_neither_do_two_gpus() -> None:
    with pretended_gpu(2), pytest.raises(WrongDeviceError):
        torch.ones(2, device="cuda:0") + torch.ones(2, device="cuda:1")


def test_a_number_of_the_host_may_join_a_kernel() -> None:
    with pretended_gpu() as session:
        made = torch.ones(2, device="cuda") * torch.tensor(3.0)
        assert made.device == GPU
        assert session.ledger.count("upload") == 0


def test_a_generator_belongs_to_its_device() -> None:
    with pretended_gpu():
        noise = torch.empty(3, device="cuda")
        noise.uniform_(generator=torch.Generator(device="cuda").manual_seed(1))
        with pytest.raises(WrongDeviceError, match="generator"):
            noise.uniform_(generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: torch.unique(x),
        lambda x: x.repeat_interleave(x.long()),
    ],
)
def test_waiting_is_counted(wait: Callable[[torch.Tensor], object]) -> None:
    with pretended_gpu() as session:
        tensor = torch.ones(3, device="cuda")
        assert session.ledger.count("sync") == 0
        wait(tensor)
        assert session.ledger.count("sync") >= 1


def test_only_copies_from_pinned_memory_do_not_block() -> None:
    with pretended_gpu() as session:
        torch.ones(3).to("cuda", non_blocking=True)
        torch.tensor([1, 2], device="cuda")
        torch.ones(3).pin_memory().to("cuda")
        assert session.ledger.count("upload") == 3
        torch.ones(3).pin_memory().to("cuda", non_blocking=True)
        assert (session.ledger.count("upload"), session.ledger.count("pinned upload")) == (3, 1)


def test_views_and_allocations_launch_nothing() -> None:
    with pretended_gpu() as session:
        tensor = torch.empty(4, 4, device="cuda")
        tensor.view(16)[3:].view(13, 1).t()
        assert session.ledger.count("launch") == 0
        tensor.add_(1)
        assert session.ledger.count("launch") == 1


def test_gradients_flow_and_stay_on_the_device() -> None:
    with pretended_gpu() as session:
        weight = torch.ones(3, device="cuda").requires_grad_()
        with session.ledger.during("backward"):
            (weight * 2).square().sum().backward()
        assert isinstance(weight.grad, GpuTensor)
        torch.testing.assert_close(host_of(weight.grad), torch.full((3,), 8.0))
        assert session.ledger.count("launch", "backward") > 0


def test_cudnn_takes_no_strided_states_and_complains_of_loose_weights() -> None:
    with pretended_gpu() as session:
        weights = [torch.ones(8, 2), torch.ones(8, 2), torch.ones(8), torch.ones(8)]
        weights = [weight.to("cuda") for weight in weights]
        inputs, state = torch.ones(3, 1, 2, device="cuda"), torch.zeros(1, 1, 2, device="cuda")
        rest = (True, 1, 0.0, False, False, False)
        torch.lstm(inputs, [state, state], weights, *rest)
        assert session.ledger.count("loose weights") == 1
        strided = torch.zeros(1, 4, 2, device="cuda")[:, ::2]
        with pytest.raises(RuntimeError, match="hx is not contiguous"):
            torch.lstm(inputs.expand(-1, 2, -1), [strided, strided], weights, *rest)
