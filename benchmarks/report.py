"""Interleave the measurements, so that a busy moment of the machine affects all, and summarise them."""

import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from benchmarks.matrix_rate import MatrixRates, shapes_of
from benchmarks.options import BenchmarkOptions, EncoderName, WorkloadOptions
from benchmarks.workload import Measured, Workload, spec_for
from onmt.constants import VERSION
from onmt.kernels.products import library
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.device import select_device
from onmt.runtime.options import DeviceOptions

Json = dict[str, Any]


def measure_all(options: BenchmarkOptions, logger: Logger) -> Json:
    """The whole report: the machine, the workload, and a row per encoder."""
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    device = device_of(options)
    shapes = shapes_of(options, options.matrix_size)
    matrix = MatrixRates(options.precision, shapes, options.seed, device)
    rows = []
    for encoder in options.encoders:
        logger.info(f"Measuring -encoder_type {encoder}")
        rows.append(_measure(encoder, options, device, matrix))
    report: Json = {
        "version": VERSION,
        "machine": machine(device),
        "workload": _workload(options),
        "rounds": options.rounds,
        "matrix": {"size": options.matrix_size, **matrix.to_json()},
        "rows": [row_with_share(row, matrix.best) for row in rows],
    }
    for row in report["rows"]:
        logger.info(in_words(row))
    return report


def _measure(
    encoder: EncoderName, options: BenchmarkOptions, device: torch.device, matrix: MatrixRates
) -> Json:
    """One row without its share of the matrix rate, which is known only once all rows are measured."""
    workload = Workload(spec_for(encoder, options), options, options.seed, device)
    workload.train()
    workload.translate()
    gpu = on_gpu(workload, device)
    trained, translated = [], []
    for _ in range(options.rounds):
        matrix.measure()
        trained.append(workload.train())
        translated.append(workload.translate())
    return {
        "encoder": encoder,
        "parameters": workload.parameters,
        "train": throughput(trained),
        "translate": throughput(translated),
        **gpu,
    }


def throughput(measurements: Sequence[Measured]) -> dict[str, float]:
    """Rates per second of the fastest round, which other programs disturbed least."""
    times = [measured.seconds for measured in measurements]
    seconds, work = min(times), measurements[0]
    return {
        "seconds": seconds,
        "median_seconds": statistics.median(times),
        "sentences_per_second": work.sentences / seconds,
        "source_tokens_per_second": work.source_tokens / seconds,
        "target_tokens_per_second": work.target_tokens / seconds,
        "flops": work.flops,
        "flops_per_second": work.flops / seconds,
    }


def row_with_share(row: Json, matrix_rate: float) -> Json:
    """The row with `of_matrix_rate` added: its FLOP/s divided by the machine's matrix rate."""
    shared = dict(row)
    for kind in ("train", "translate"):
        shared[kind] = {**row[kind], "of_matrix_rate": row[kind]["flops_per_second"] / matrix_rate}
    return shared


def in_words(row: Json) -> str:
    """A row as one line for the log."""
    parts = []
    for kind in ("train", "translate"):
        rates = row[kind]
        parts.append(
            f"{kind} {rates['sentences_per_second']:.1f} sentences/s, "
            f"{rates['flops_per_second'] / 1e9:.1f} GFLOP/s = {100 * rates['of_matrix_rate']:.0f} %"
        )
    return f"{row['encoder']}: {'; '.join(parts)}"


def device_of(options: BenchmarkOptions) -> torch.device:
    """The CPU, or the GPU of -gpuid. Raises OptionError if there is no such GPU."""
    wanted = (options.gpuid,)
    return select_device(DeviceOptions(gpuid=wanted), Logger(LoggerOptions(), sys.stderr))


def on_gpu(workload: Workload, device: torch.device) -> Json:
    """On a GPU, the kernel launches of a training step and of a translation, as torch's profiler counts them,
    and the peak memory of a training step in bytes; on a CPU, nothing.
    """
    if device.type == "cpu":
        return {}
    torch.cuda.reset_peak_memory_stats(device)
    workload.train()
    peak = torch.cuda.max_memory_allocated(device)
    return {
        "peak_memory": peak,
        "launches": {"train": launches(workload.train), "translate": launches(workload.translate)},
    }


def launches(work: Callable[[], object]) -> int:
    """Number of CUDA kernel launches."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        work()
    return sum(event.count for event in profile.key_averages() if "LaunchKernel" in event.key)


def machine(device: torch.device) -> dict[str, str | int]:
    """The hardware and software on which the figures were measured."""
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {
        **gpu,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "float32_products": library(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _workload(options: BenchmarkOptions) -> Json:
    names = {field.name for field in fields(WorkloadOptions)}
    return {name: value for name, value in asdict(options).items() if name in names}
