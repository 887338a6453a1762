"""Options of the comparison with another toolkit."""

from dataclasses import dataclass

from onmt.commandline.declare import at_least, not_empty, option
from onmt.logger import LoggerOptions


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """Comparison"""

    train_src: str = option("data/dates/train.src", "Source side of the corpus to train on.", valid=not_empty)
    train_tgt: str = option("data/dates/train.tgt", "Target side of that corpus.", valid=not_empty)
    test_src: str = option("data/dates/test.src", "Sentences to translate.", valid=not_empty)
    size: int = option(500, "Hidden size of a layer and size of the word vectors.", valid=at_least(2))
    rounds: int = option(3, "Number of runs of each toolkit, in turn; the medians count.", valid=at_least(1))
    steps: int = option(80, "Number of training steps in a run.", valid=at_least(4))
    report_every: int = option(
        20, "Number of steps between two logged rates; the first rate is left out.", valid=at_least(1)
    )
    batch_size: int = option(30, "Number of sentences in a translation batch.", valid=at_least(1))
    lines: int = option(600, "Number of sentences in the longer of two translation runs.", valid=at_least(2))
    words: int = option(13, "Length that every translation is forced to have, in words.", valid=at_least(1))
    threads: int = option(2, "Number of threads of both toolkits.", valid=at_least(1))
    folder: str = option(
        "build/peers", "Folder in which everything is installed and written.", valid=not_empty
    )
    output: str = option("-", "File for the results as JSON; `-` writes standard output.", valid=not_empty)


@dataclass(frozen=True, kw_only=True)
class PeersOptions(ComparisonOptions, LoggerOptions):
    """Benchmark"""
