"""The figures that a run of translate.py, tag.py or lm.py ends with."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from onmt.logger import Logger


@dataclass
class Scores:
    """Log-probabilities summed over words (`</s>` is in the sum, but not among the words)."""

    total: float = 0.0
    words: int = 0

    def add(self, score: float, words: int) -> None:
        """Count one sentence."""
        self.total += score
        self.words += words

    def line(self, name: str) -> str:
        """Mean per word and perplexity, as Lua's translate.lua logs them."""
        mean = ratio(self.total, self.words)
        return f"{name} AVG SCORE: {mean:.2f}, {name} PPL: {_exp(-mean):.2f}"


@dataclass
class Coverage:
    """How many words there were and how many of them were unknown."""

    words: int = 0
    unknown: int = 0

    def add(self, words: int, unknown: int) -> None:
        """Count one sentence."""
        self.words += words
        self.unknown += unknown

    @property
    def percent(self) -> str:
        """The share of unknown words, rounded down to a tenth of a percent."""
        share = ratio(self.unknown * 1000, self.words)
        return f"{share if math.isnan(share) else math.floor(share) / 10:.14g}%"


class Timer:
    """Time spent inside `with timer.running():` blocks: elapsed, and of the processor for us and for the
    system.
    """

    def __init__(self) -> None:
        self._real = self._user = self._system = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the block."""
        real, cpu = time.perf_counter(), os.times()
        yield
        now = os.times()
        self._real += time.perf_counter() - real
        self._user += now.user - cpu.user
        self._system += now.system - cpu.system

    def log(self, logger: Logger, what: str, sentences: int) -> None:
        """Averages per sentence."""
        logger.info(f"Average sentence {what} time (in seconds):")
        for name, seconds in (("real", self._real), ("user", self._user), ("sys", self._system)):
            logger.info(f"avg {name}\t{ratio(seconds, sentences):.14g}")


def ratio(total: float, count: int) -> float:
    """total / count; not a number where there is nothing to divide by."""
    return total / count if count else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
