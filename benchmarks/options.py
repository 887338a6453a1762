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
        "Encoders to measure, one row each; bidirectional ones concatenate their directions. The first one "
        "is the model by which changes are judged.",
        valid=not_empty,
    )
    layers: int = option(2, "Number of layers of the encoder and of the decoder.", valid=at_least(1))
    rnn_size: int = option(500, "Hidden size of a layer and size of the word vectors.", valid=at_least(2))
    vocabulary: int = option(
        50_004, "Vocabulary size of each side, special words included.", valid=at_least(20)
    )
    train_batch: int = option(64, "Number of sentences in a training batch.", valid=at_least(1))
    translate_batch: int = option(30, "Number of sentences in a translation batch.", valid=at_least(1))
    beam_size: int = option(5, "Number of hypotheses kept per sentence.", valid=at_least(1))
    source_length: int = option(25, "Length of every source sentence, in words.", valid=at_least(1))
    precision: Literal["fp32", "bf16"] = option("fp32", "Number format of the operands of matrix products.")
    target_length: int = option(
        25, "Length of every target sentence, in words, `</s>` included.", valid=at_least(2)
    )


@dataclass(frozen=True, kw_only=True)
class MeasurementOptions:
    """Measurement"""

    rounds: int = option(
        3, "Number of measurements of each kind, taken in turn; the fastest counts.", valid=at_least(1)
    )
    matrix_size: int = option(
        4096,
        "Size of the square matrices that are multiplied to measure the machine's rate. The model's own "
        "products are measured too, with every library that is exact in the format, and the best rate "
        "counts.",
        valid=at_least(1),
    )
    gpuid: int = option(
        0, "Number of the GPU to measure, counted from 1; 0 measures the CPU.", valid=at_least(0)
    )
    threads: int = option(0, "Number of PyTorch threads; 0: PyTorch's default.", valid=at_least(0))
    seed: int = option(1, "Random seed.", valid=at_least(0))
    output: str = option("-", "File for the results as JSON; `-` writes standard output.", valid=not_empty)


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(WorkloadOptions, MeasurementOptions, LoggerOptions):
    """Benchmark"""
