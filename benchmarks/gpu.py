"""Measure training and translation on a GPU and write one JSON report; `benchmarks/gpu.sh` runs it.

The reference model (dbrnn, two layers of 500, 50,000 words) trains in each precision and translates with two
beams and many batch sizes. `--tiny` tries the program on a machine without a GPU.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.matrix_rate import product_rate
from benchmarks.options import WorkloadOptions
from benchmarks.report import machine, on_gpu
from benchmarks.workload import Workload, spec_for
from onmt.constants import VERSION
from onmt.kernels.products import Products, multiply_with, set_tf32

PRECISIONS: Final[Mapping[str, torch.dtype | None]] = {
    "fp32": None,
    "tf32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
STEPS: Final = 200
BEAMS: Final = (1, 5)
BATCHES: Final = (30, 64, 128, 256, 512)
_TINY: Final = WorkloadOptions(rnn_size=8, vocabulary=60, train_batch=4, source_length=5, target_length=5)

Json = dict[str, Any]


def measure(options: WorkloadOptions, device: torch.device, steps: int, batches: tuple[int, ...]) -> Json:
    """The whole report."""
    return {
        "version": VERSION,
        "machine": machine(device),
        "matrix_flops_per_second": {name: matrix_rate(name, options, device) for name in PRECISIONS},
        "training": {name: training(name, options, device, steps) for name in PRECISIONS},
        "translation": [
            translation(replace(options, beam_size=beam, translate_batch=batch), device)
            for beam in BEAMS
            for batch in batches
        ],
    }


def use_precision(name: str) -> Products:
    """Set the process's TF32 mode for a precision; return the products for a model."""
    set_tf32(name != "fp32")
    return Products(PRECISIONS[name])


def matrix_rate(precision: str, options: WorkloadOptions, device: torch.device) -> float:
    """FLOP/s of a large matrix product, the best of five."""
    use_precision(precision)
    dtype = PRECISIONS[precision] or torch.float32
    left, right = torch.rand(2, 8 * options.rnn_size, 8 * options.rnn_size).to(device, dtype)
    return max(product_rate(left, right) for _ in range(5))


def training(precision: str, options: WorkloadOptions, device: torch.device, steps: int) -> Json:
    """Time training steps of the reference model."""
    products = use_precision(precision)
    workload = Workload(spec_for("dbrnn", options), options, 1, device)
    multiply_with(workload.model, products)
    for _ in range(3):
        workload.train()
    seconds = [workload.train().seconds for _ in range(steps)]
    work = workload.train()
    return {
        "products": products.describe(device),
        "steps": steps,
        "median_seconds": statistics.median(seconds),
        "target_tokens_per_second": work.target_tokens / statistics.median(seconds),
        "flops_per_second": work.flops / statistics.median(seconds),
        **on_gpu(workload, device),
    }


def translation(options: WorkloadOptions, device: torch.device) -> Json:
    """Time the translation of one batch in fp32; the median of five runs counts."""
    use_precision("fp32")
    workload = Workload(spec_for("dbrnn", options), options, 1, device)
    workload.translate()
    seconds = statistics.median(workload.translate().seconds for _ in range(5))
    return {
        "beam_size": options.beam_size,
        "batch_size": options.translate_batch,
        "sentences_per_second": options.translate_batch / seconds,
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, write the report and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("output", type=Path, help="file for the JSON")
    parser.add_argument("--gpuid", type=int, default=1, help="number of the GPU, counted from 1")
    parser.add_argument("--tiny", action="store_true", help="a model of nothing, on the CPU")
    given = parser.parse_args(argv)
    if given.tiny:
        report = measure(_TINY, torch.device("cpu"), 2, (2,))
    elif torch.cuda.device_count() < given.gpuid:
        print(f"benchmarks.gpu: --gpuid {given.gpuid}: there is no such GPU", file=sys.stderr)
        return 2
    else:
        report = measure(WorkloadOptions(), torch.device("cuda", given.gpuid - 1), STEPS, BATCHES)
    given.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
