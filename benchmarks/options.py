"""Options of the benchmark. No torch here."""

from dataclasses import dataclass
from typing import Literal

from onmt.commandline.declare import at_least, not_empty, option
from onmt.logger import LoggerOptions

EncoderName = Literal["rnn", "brnn", "dbrnn", "pdbrnn", "gnmt", "cnn"]


@dataclass(frozen=True, kw_only=True)
class WorkloadOptions:
    """Workload"""

    encoders: tuple[EncoderName, ...] = option(
        ("dbrnn", "rnn", "brnn", "pdbrnn", "gnmt", "cnn"),
        "The encoders to measure, a row each; the two directions of a bidirectional one are concatenated; "
        "the first one is the graph by which changes are judged.",
        valid=not_empty,
    )
    layers: int = option(2, "Layers of encoder and decoder.", valid=at_least(1))
    rnn_size: int = option(500, "Units of a layer and width of a word vector.", valid=at_least(2))
    vocabulary: int = option(50_004, "Words of each side, the special ones included.", valid=at_least(20))
    train_batch: int = option(64, "Sentences in a training batch.", valid=at_least(1))
    translate_batch: int = option(30, "Sentences translated at once.", valid=at_least(1))
    beam_size: int = option(5, "Hypotheses followed per sentence.", valid=at_least(1))
    source_length: int = option(25, "Words of every source sentence.", valid=at_least(1))
    precision: Literal["fp32", "bf16"] = option("fp32", "Number format of the factors of products.")
    target_length: int = option(25, "Words of every target sentence, end symbol included.", valid=at_least(2))


@dataclass(frozen=True, kw_only=True)
class MeasurementOptions:
    """Measurement"""

    rounds: int = option(
        3, "Measurements of each kind, taken in turn; the fastest counts.", valid=at_least(1)
    )
    matrix_size: int = option(
        4096,
        "The machine's rate is the best of multiplying two square matrices of this size and of the model's "
        "own products, by every library that is exact in the format.",
        valid=at_least(1),
    )
    gpuid: int = option(
        0, "Number of the GPU to measure, counted from 1; 0 measures the CPU.", valid=at_least(0)
    )
    threads: int = option(0, "Threads of PyTorch; 0: as many as it takes by itself.", valid=at_least(0))
    seed: int = option(1, "Start of every random draw.", valid=at_least(0))
    output: str = option("-", "File for the JSON; `-`: standard output.", valid=not_empty)


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(WorkloadOptions, MeasurementOptions, LoggerOptions):
    """Benchmark"""
