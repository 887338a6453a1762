"""The fused output layer equals F.cross_entropy of F.linear for any chunk size."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from onmt.kernels import cross_entropy
from onmt.kernels.cross_entropy import LinearCrossEntropy

ROWS, WIDTH, CLASSES = 7, 3, 5


def tensors(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return (
        torch.randn(ROWS, WIDTH, dtype=dtype, requires_grad=True),
        torch.randn(CLASSES, WIDTH, dtype=dtype, requires_grad=True),
        torch.randn(CLASSES, dtype=dtype, requires_grad=True),
        torch.randint(CLASSES, (ROWS,)),
    )


@pytest.fixture(params=[(1, 1), (10, 5), (1 << 20, 1 << 20)], ids=["a row", "two rows", "all rows"])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cross_entropy._SIZES, "cpu", cross_entropy._Sizes(*request.param))


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_values_and_gradients(counted: bool, dtype: torch.dtype, tolerance: float, factor: float) -> None:
    inputs, weight, bias, targets = tensors(dtype)
    counts = torch.tensor([1, 0, 1, 1, 0, 1, 1], dtype=dtype) if counted else None
    total, losses = LinearCrossEntropy.apply(inputs, weight, bias, targets, counts, None, 0.0)
    expected = F.cross_entropy(F.linear(inputs, weight, bias), targets, reduction="none")
    expected = expected if counts is None else expected * counts
    torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(total, expected.sum(), rtol=tolerance, atol=tolerance)
    for fast, plain in zip(
        torch.autograd.grad(total * factor, (inputs, weight, bias)),
        torch.autograd.grad(expected.sum() * factor, (inputs, weight, bias)),
        strict=True,
    ):
        torch.testing.assert_close(fast, plain, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("chunks")
def test_gradients_in_float64() -> None:
    *variables, targets = tensors(torch.float64)
    assert torch.autograd.gradcheck(
        lambda *v: LinearCrossEntropy.apply(*v, targets, None, None, 0.0)[0], variables
    )


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_label_smoothing_changes_the_gradient_and_not_the_value(smoothing: float) -> None:
    inputs, weight, bias, targets = tensors(torch.float64)
    total, losses = LinearCrossEntropy.apply(inputs, weight, bias, targets, None, None, smoothing)
    log_probs = torch.log_softmax(F.linear(inputs, weight, bias), dim=1)
    gold = log_probs.gather(1, targets[:, None])[:, 0]
    smoothed = -((1 - smoothing) * gold + smoothing * log_probs.mean(1)).sum()
    torch.testing.assert_close(losses, -gold)
    for fast, plain in zip(
        torch.autograd.grad(total, (inputs, weight, bias)),
        torch.autograd.grad(smoothed, (inputs, weight, bias)),
        strict=True,
    ):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-9)


def test_logits_far_apart_keep_their_loss() -> None:
    """The loss is finite even where the probability underflows."""
    inputs = torch.tensor([[1.0]])
    weight = torch.tensor([[500.0], [0.0], [-500.0]])
    _, losses = LinearCrossEntropy.apply(inputs, weight, torch.zeros(3), torch.tensor([2]), None, None, 0.0)
    assert losses.tolist() == [1000.0]


def test_nothing_to_predict() -> None:
    _, weight, bias, _ = tensors(torch.float32)
    inputs = torch.zeros(0, WIDTH, requires_grad=True)
    total, losses = LinearCrossEntropy.apply(
        inputs, weight, bias, torch.zeros(0, dtype=torch.int64), None, None, 0.0
    )
    assert total == 0
    assert losses.shape == (0,)
    assert not any(grad.any() for grad in torch.autograd.grad(total, (inputs, weight, bias)))


def test_narrow_products_stay_close_and_parameters_keep_their_type() -> None:
    inputs, weight, bias, targets = tensors(torch.float32)
    total, _ = LinearCrossEntropy.apply(inputs, weight, bias, targets, None, torch.bfloat16, 0.0)
    exact, _ = LinearCrossEntropy.apply(inputs, weight, bias, targets, None, None, 0.0)
    assert total != exact
    torch.testing.assert_close(total, exact, rtol=0.02, atol=0)
    for narrow, full in zip(
        torch.autograd.grad(total, (inputs, weight, bias)),
        torch.autograd.grad(exact, (inputs, weight, bias)),
        strict=True,
    ):
        assert narrow.dtype == torch.float32
        assert (narrow - full).norm() < 0.03 * full.norm()


@pytest.mark.parametrize("scale", [None, 2.0**10, 2.0**16])
def test_a_tiny_gradient_survives_float16_with_the_scale_of_the_loss(scale: float | None) -> None:
    weight = torch.tensor([[8.75], [-8.75]], requires_grad=True)
    inputs, bias, targets = torch.ones(1, 1), torch.zeros(2), torch.tensor([0])
    given = None if scale is None else torch.tensor(scale)
    total, _ = LinearCrossEntropy.apply(inputs, weight, bias, targets, None, torch.float16, 0.0, given)
    (total * (scale or 1.0)).backward()
    assert weight.grad is not None
    found = weight.grad[1, 0] / (scale or 1.0)
    exact = torch.sigmoid(torch.tensor(-17.5))  # the wrong word's probability, 2.5e-8
    if scale is None:
        assert found == 0
    else:
        torch.testing.assert_close(found, exact, rtol=1e-2, atol=0)
