"""The choice of a library for matrix products, and properties that hold for every choice."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from onmt.kernels import products
from onmt.kernels.products import PLAIN_PRODUCTS, Products, choose_library, library

ZEN = ("AuthenticAMD", {"avx512bw", "avx512vl", "avx512dq", "avx512_bf16"})


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    yield
    settings.fp32_precision = before


@pytest.mark.parametrize(
    ("processor", "environment", "chosen"),
    [
        (ZEN, {}, "oneDNN"),
        (ZEN, {PLAIN_PRODUCTS: "1"}, "MKL"),
        (("GenuineIntel", ZEN[1]), {}, "MKL"),
        (("AuthenticAMD", {"avx2"}), {}, "MKL"),
        (("", set()), {}, "MKL"),
    ],
)
def test_the_processor_decides(
    monkeypatch: pytest.MonkeyPatch,
    processor: tuple[str, set[str]],
    environment: dict[str, str],
    chosen: str,
) -> None:
    monkeypatch.setattr(products, "_processor", lambda: processor)
    monkeypatch.setattr(products, "_rounds_factors", lambda: False)
    assert choose_library(environment) == library() == chosen


def test_a_library_that_rounds_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_processor", lambda: ZEN)
    monkeypatch.setattr(products, "_rounds_factors", lambda: True)
    assert choose_library({}) == library() == "MKL"


def test_whatever_is_chosen_is_exact() -> None:
    choose_library({})
    left, right = torch.randn(70, 90), torch.randn(90, 80)
    exact = (left.double() @ right.double()).float()
    torch.testing.assert_close(left @ right, exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("with_bias", [False, True])
def test_packed_weights_give_the_same(dtype: torch.dtype | None, with_bias: bool) -> None:
    choose_library({})
    torch.manual_seed(1)
    weight = torch.nn.Parameter(torch.randn(50, 40))
    bias = torch.nn.Parameter(torch.randn(50)) if with_bias else None
    frozen = Products(dtype, frozen=True)
    for rows in (1, 3, 64, 100):
        inputs = torch.randn(2, rows, 40)
        with torch.no_grad():
            packed, usual = frozen.linear(inputs, weight, bias), Products(dtype).linear(inputs, weight, bias)
        assert packed.shape == (2, rows, 50)
        slack = 1e-5 if dtype is None else 2e-2  # the bias is rounded too
        torch.testing.assert_close(packed, usual, rtol=slack, atol=10 * slack)


def test_a_row_does_not_depend_on_the_others() -> None:
    choose_library({})
    weight = torch.nn.Parameter(torch.randn(300, 200))
    frozen, inputs = Products(frozen=True), torch.randn(100, 200)
    with torch.no_grad():
        together = frozen.linear(inputs, weight)
        for rows in (1, 2, 31, 64):
            torch.testing.assert_close(frozen.linear(inputs[:rows], weight), together[:rows])


def test_frozen_products_leave_what_trains_alone() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 3))
    frozen = Products(frozen=True)
    outputs = frozen.linear(torch.ones(2, 3), weight)
    outputs.sum().backward()
    assert weight.grad is not None
    with torch.no_grad():
        weight.mul_(2)
    assert frozen.linear(torch.ones(2, 3), weight).unique().tolist() == [6.0]


def test_narrow_linear_has_the_usual_gradients() -> None:
    torch.manual_seed(1)
    inputs = torch.randn(5, 4, 30, requires_grad=True)
    weight, bias = torch.randn(20, 30, requires_grad=True), torch.randn(20, requires_grad=True)
    narrow, plain = Products(torch.bfloat16).linear(inputs, weight, bias), F.linear(inputs, weight, bias)
    assert narrow.dtype == torch.float32
    assert not torch.equal(narrow, plain)
    torch.testing.assert_close(narrow, plain, rtol=0.05, atol=0.1)
    weights = torch.randn_like(plain)
    for one, other in zip(
        torch.autograd.grad((narrow * weights).sum(), (inputs, weight, bias)),
        torch.autograd.grad((plain * weights).sum(), (inputs, weight, bias)),
        strict=True,
    ):
        assert (one - other).norm() < 0.02 * other.norm()
