"""Options of the servers' load test. No torch here."""

from dataclasses import dataclass

from onmt.commandline.declare import at_least, between, existing_file, existing_model, not_empty, option
from onmt.logger import LoggerOptions


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """Load"""

    model: str = option("", "Model to serve.", valid=existing_model, required=True)
    src: str = option("", "File of sentences to translate.", valid=existing_file, required=True)
    sentences: int = option(200, "Number of different sentences to take from -src.", valid=at_least(1))
    requests: int = option(10_000, "Number of requests of the mixed load.", valid=at_least(1))
    clients: int = option(50, "Number of clients that send requests at the same time.", valid=at_least(1))
    malformed: float = option(0.3, "Fraction of the requests that are malformed.", valid=between(0, 1))
    timed: int = option(
        600, "Number of well-formed requests in each measurement of throughput.", valid=at_least(1)
    )
    batch_size: int = option(64, "The server's -batch_size.", valid=at_least(1))
    seed: int = option(1, "Random seed.", valid=at_least(0))
    output: str = option("-", "File for the results as JSON; `-` writes standard output.", valid=not_empty)


@dataclass(frozen=True, kw_only=True)
class ServingBenchmarkOptions(LoadOptions, LoggerOptions):
    """Load test"""
