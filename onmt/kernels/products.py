"""How matrix products are computed: by which library, in which dtype, with which packed weights.

Each private torch operation used here has a public fallback.

On a processor with AVX-512 that is not Intel's, MKL takes a slow path, and oneDNN computes the same float32
products about twice as fast. torch passes a float32 product to oneDNN only if it also allows rounding the
factors to bfloat16, which oneDNN does on processors with AMX instructions. So oneDNN is chosen only if a
product of numbers that bfloat16 cannot represent comes out exact. The choice depends on torch and the
processor alone, never on timing.

The module also holds operations whose best form differs between a CPU and a GPU. On a CPU passes over memory
are the cost, and the order of operations stays fixed, so that results keep their last digits. On a GPU kernel
launches are the cost, so several operations become one.
"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def counts_launches(tensor: Tensor) -> bool:
    """Whether kernel launches cost more than arithmetic on the tensor's device."""
    return tensor.device.type != "cpu"


def put_masked(place: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Write values * mask into `place` and return it."""
    if mask is not None and counts_launches(place) and place.dtype == values.dtype:
        return torch.mul(values, mask, out=place)
    return place.copy_(values if mask is None else values * mask)


def plus_masked(total: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """total + values * mask."""
    if mask is None:
        return total + values
    return torch.addcmul(total, values, mask) if counts_launches(total) else total + values * mask


def softmax_backward(grad: Tensor, probabilities: Tensor) -> Tensor:
    """Map the gradient of probabilities, B S, to that of the softmax's scores. May overwrite `grad`."""
    operation = getattr(torch, "_softmax_backward_data", None)
    if counts_launches(grad) and operation is not None:
        made: Tensor = operation(grad, probabilities, 1, grad.dtype)
        return made
    weighted = grad.mul_(probabilities)
    return torch.addcmul(weighted, probabilities, weighted.sum(1, keepdim=True), value=-1)


PLAIN_PRODUCTS: Final = "ONMT_PLAIN_PRODUCTS"
"""Environment variable: any non-empty value keeps torch's own choice of library and disables packing."""

_ROWS_TO_PACK_FOR: Final = 64


def choose_library(environment: Mapping[str, str] = os.environ) -> str:
    """Choose the library of float32 products on this processor, for this process; return its name.

    Both libraries are exact to float32's precision. Their results differ in the last digits.
    """
    if environment.get(PLAIN_PRODUCTS) or not _mkl_is_slow():
        use_library("MKL")
    else:
        use_library("oneDNN")
    return library()


def use_library(name: str) -> bool:
    """Compute float32 products by `oneDNN` or `MKL` from now on, in this process.

    Return whether `name` is in use: if oneDNN is missing or would round the factors, MKL stays.
    """
    settings = getattr(torch.backends.mkldnn, "matmul", None)
    if settings is None:  # torch before 2.9
        return name == "MKL"
    settings.fp32_precision = "bf16" if name == "oneDNN" else "ieee"
    if name == "oneDNN" and _rounds_factors():
        settings.fp32_precision = "ieee"
    return library() == name


def set_tf32(allowed: bool) -> None:
    """Set whether GPUs may round the factors of float32 products to TF32 (10 bits), including those of
    recurrent layers and convolutions.
    """
    if not hasattr(torch.backends.cudnn, "rnn"):  # torch before 2.9
        torch.set_float32_matmul_precision("high" if allowed else "highest")
        torch.backends.cudnn.allow_tf32 = allowed
        return
    for owner, kind in (("cuda", "matmul"), ("cudnn", "conv"), ("cudnn", "rnn")):
        settings: Any = getattr(getattr(torch.backends, owner), kind)
        settings.fp32_precision = "tf32" if allowed else "ieee"


def rounds_to_tf32() -> bool:
    """Whether `set_tf32` allowed TF32 in this process."""
    if not hasattr(torch.backends.cudnn, "rnn"):
        return torch.get_float32_matmul_precision() == "high"
    return str(torch.backends.cuda.matmul.fp32_precision) == "tf32"


def library() -> str:
    """The library that computes float32 products in this process."""
    settings = getattr(torch.backends.mkldnn, "matmul", None)
    return "oneDNN" if settings is not None and settings.fp32_precision == "bf16" else "MKL"


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products, which are slow without them."""
    return bool({"avx512_bf16", "amx_bf16"} & _processor()[1])


def _mkl_is_slow() -> bool:
    vendor, flags = _processor()
    return vendor not in ("", "GenuineIntel") and {"avx512bw", "avx512vl", "avx512dq"} <= flags


def _processor() -> tuple[str, set[str]]:
    """The processor's vendor and instruction sets; empty if the system does not report them."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "", set()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", set()
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found.get("vendor_id", ""), set(found.get("flags", "").split(" "))


def _rounds_factors() -> bool:
    """Whether a float32 product loses digits that bfloat16 cannot represent."""
    one_and_a_little = torch.full((64, 64), 1 + 2.0**-12)
    return not bool((one_and_a_little @ torch.ones(64, 64) == 64 * (1 + 2.0**-12)).all())


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, in place; the factors may have a narrower dtype than `total`, M N."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def set_product(result: Tensor, left: Tensor, right: Tensor) -> None:
    """result = left @ right, written in place; the factors may have a narrower dtype than `result`, M N."""
    if left.dtype == result.dtype:
        torch.mm(left, right, out=result)
    else:
        result.copy_(left @ right)


def product(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """left @ right in the factors' dtype (accumulated in float32), returned as `dtype`."""
    return (left @ right).to(dtype)


class _NarrowLinear(torch.autograd.Function):
    """F.linear with 16-bit factors, forward and backward; inputs, results and gradients keep their dtype."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        """inputs N I, weight O I, bias O -> N O."""
        narrow_inputs, narrow_weight = inputs.to(dtype), weight.to(dtype)
        ctx.save_for_backward(narrow_inputs, narrow_weight)
        ctx.types = inputs.dtype, weight.dtype, None if bias is None else bias.dtype
        outputs = product(narrow_inputs, narrow_weight.t(), inputs.dtype)
        return outputs if bias is None else outputs.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        input_type, weight_type, bias_type = ctx.types
        narrow = grad.to(inputs.dtype)
        grad_inputs = product(narrow, weight, input_type) if ctx.needs_input_grad[0] else None
        grad_weight = product(narrow.t(), inputs, weight_type) if ctx.needs_input_grad[1] else None
        grad_bias = grad.sum(0).to(bias_type) if ctx.needs_input_grad[2] else None
        return grad_inputs, grad_weight, grad_bias, None


class Products:
    """How a model's modules compute their products.

    dtype: of the factors (bfloat16 or float16); None: that of the operands. Sums, results and gradients
    always have the operands' dtype. `frozen`: the weights will not change any more, so on the CPU they may be
    packed at their first use, into memory of their own.
    """

    def __init__(self, dtype: torch.dtype | None = None, *, frozen: bool = False) -> None:
        self.dtype = dtype
        self.frozen = frozen and not os.environ.get(PLAIN_PRODUCTS)
        self._packed: dict[int, tuple[Tensor, Tensor]] = {}

    def describe(self, device: torch.device) -> str:
        """The products' dtype and, on a CPU, their library: the last digits of results depend on both."""
        name = "float32" if self.dtype is None else str(self.dtype).removeprefix("torch.")
        if device.type == "cpu":
            return f"{name} products by {library()}"
        if rounds_to_tf32():
            name = "TF32" if self.dtype is None else f"{name} and TF32"
        ending = ", deterministic" if torch.are_deterministic_algorithms_enabled() else ""
        return f"{name} products{ending}"

    def narrow(self, tensor: Tensor) -> Tensor:
        """The tensor in the factors' dtype."""
        return tensor if self.dtype is None else tensor.to(self.dtype)

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """inputs ...I, weight O I, bias O -> inputs @ weight^T + bias, ...O."""
        if self._packs(inputs, weight):
            return self._packed_linear(inputs, weight, bias)
        if self.dtype is None or inputs.dtype == torch.float64:
            return F.linear(inputs, weight, bias)
        rows = inputs.reshape(-1, inputs.shape[-1])
        outputs: Tensor = _NarrowLinear.apply(rows, weight, bias, self.dtype)
        return outputs.view(*inputs.shape[:-1], -1)

    def conv1d(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """As F.conv1d: inputs B I S, weight O I K, bias O -> B O S-K+1."""
        if self.dtype is None or inputs.dtype == torch.float64:
            return F.conv1d(inputs, weight, bias)
        return F.conv1d(self.narrow(inputs), self.narrow(weight)).to(inputs.dtype) + bias[:, None]

    def _packs(self, inputs: Tensor, weight: Tensor) -> bool:
        return (
            self.frozen
            and isinstance(weight, torch.nn.Parameter)  # a view is a new tensor each time
            and weight.device.type == "cpu"
            and inputs.dtype == torch.float32
            and (self.dtype == torch.bfloat16 or (self.dtype is None and library() == "oneDNN"))
            and not torch.is_grad_enabled()
            and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        )

    def _packed_linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        known = self._packed.get(id(weight))
        if known is None:
            packed = torch.ops.mkldnn._reorder_linear_weight(
                self.narrow(weight.detach()).contiguous(), _ROWS_TO_PACK_FOR
            )
            known = self._packed[id(weight)] = (weight, packed)  # holding the weight keeps its id unique
        rows = self.narrow(inputs.reshape(-1, inputs.shape[-1])).contiguous()
        addend = None if bias is None else self.narrow(bias)
        outputs = torch.ops.mkldnn._linear_pointwise(rows, known[1], addend, "none", [], "")
        return outputs.to(inputs.dtype).view(*inputs.shape[:-1], -1)


class Multiplying(torch.nn.Module):
    """A module that computes matrix products; all parts of a model share one `Products`."""

    products: Products = Products()


def multiply_with(module: torch.nn.Module, products: Products) -> None:
    """Make a module and all its parts compute their products by `products`."""
    for part in module.modules():
        if isinstance(part, Multiplying):
            part.products = products
