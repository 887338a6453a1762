"""The machine's matrix rate, with each library: the rate that the benchmarks' FLOP/s are compared with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F

from benchmarks.options import WorkloadOptions
from benchmarks.workload import now
from onmt.kernels.products import library, use_library
from onmt.runtime.random import torch_generator

Format = Literal["fp32", "bf16"]
Shape = tuple[int, int, int]
"""Rows, inner dimension, columns."""

_PASSES: Final = 3
"""Products timed together, because one small product is too short to time."""


def shapes_of(options: WorkloadOptions, size: int) -> tuple[Shape, ...]:
    """A square product of `size`, and the largest products of the model: a decoder layer in training, and the
    output layer in training and in translation.
    """
    width, rows = options.rnn_size, options.translate_batch * options.beam_size
    return (
        (size, size, size),
        (options.train_batch, 2 * width, 4 * width),
        (options.train_batch * options.target_length, width, options.vocabulary),
        (rows, width, options.vocabulary),
    )


@dataclass
class MatrixRates:
    """The best rate so far of each library and shape, in FLOP/s. `format`: number format of the factors."""

    format: Format
    shapes: tuple[Shape, ...]
    seed: int
    device: torch.device
    found: dict[tuple[str, Shape], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        generator = torch_generator(self.seed, "matrices")
        dtype = torch.float32 if self.format == "fp32" else torch.bfloat16
        self._factors = [
            (
                torch.rand(rows, inner, generator=generator).to(self.device, dtype),
                torch.rand(columns, inner, generator=generator).to(self.device, dtype),
            )
            for rows, inner, columns in self.shapes
        ]

    def measure(self) -> None:
        """Time every shape once with every library of the device; on the CPU, bfloat16 has oneDNN only."""
        if self.device.type == "cpu":
            libraries = ("MKL", "oneDNN") if self.format == "fp32" else ("oneDNN",)
        else:
            libraries = ("cuBLAS",)
        for name in libraries:
            with _multiplying_by(name, self.format) as there:
                for shape, (left, right) in zip(self.shapes, self._factors, strict=True):
                    if there:
                        rate = product_rate(left, right)
                        self.found[name, shape] = max(rate, self.found.get((name, shape), 0.0))

    @property
    def best(self) -> float:
        """The highest rate of all; the denominator of `of_matrix_rate`."""
        return max(self.found.values())

    def to_json(self) -> dict[str, Any]:
        """Every rate, and the best one."""
        rows = [
            {"library": name, "shape": list(shape), "flops_per_second": rate}
            for (name, shape), rate in self.found.items()
        ]
        return {"format": self.format, "flops_per_second": self.best, "rates": rows}


@contextmanager
def _multiplying_by(name: str, wanted: Format) -> Iterator[bool]:
    """Compute products with this library; yields False if it cannot compute exact float32 products."""
    before = library()
    try:
        yield wanted == "bf16" or name == "cuBLAS" or use_library(name)
    finally:
        use_library(before)


def product_rate(left: torch.Tensor, right: torch.Tensor) -> float:
    """FLOP/s of left @ right^T, over a few products after a warm-up."""
    F.linear(left, right)  # warm-up: allocates memory, starts threads, packs the factors
    started = now(left.device)
    for _ in range(_PASSES):
        F.linear(left, right)
    seconds = now(left.device) - started
    return _PASSES * 2 * left.shape[0] * left.shape[1] * right.shape[0] / seconds
