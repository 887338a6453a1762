"""Report a training: log lines, progress bar, TensorBoard curves, metrics as JSON lines, times per phase."""

import importlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from onmt.errors import DataError, OptionError
from onmt.files import replacing
from onmt.logger import Logger
from onmt.training.distributed import Replicas


class MetricsFile:
    """Appends to `<save_model>_metrics.jsonl`; a failure to write never ends a training."""

    def __init__(self, save_model: str, logger: Logger) -> None:
        self._path = Path(f"{save_model}_metrics.jsonl")
        self._logger = logger
        self._failed = False

    def start(self, epoch: int, iteration: int) -> None:
        """Keep only the records before this position, so that the file of a continued training equals that of
        an uninterrupted one except for times.
        """
        try:
            lines = self._path.read_bytes().split(b"\n") if self._path.exists() else []
            kept = [line + b"\n" for line in lines if _position(line) < (epoch, iteration)]
            with replacing(self._path) as file:
                file.write(b"".join(kept))
        except OSError as error:  # an unreadable file must not be replaced by an empty one
            self._fail(error.strerror or str(error))
        except DataError as error:
            self._fail(str(error))

    def add(self, kind: str, epoch: int, iteration: int, values: Mapping[str, Any]) -> None:
        """Append a record; numbers that are not finite become null, since JSON cannot express them."""
        if self._failed:
            return
        record = {
            "kind": kind,
            "epoch": epoch,
            "iteration": iteration,
            **values,
            "time": round(time.time(), 3),
        }
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({name: _plain(value) for name, value in record.items()}) + "\n")
        except OSError as error:
            self._fail(error.strerror or str(error))

    def _fail(self, reason: str) -> None:
        self._failed = True
        self._logger.warning(f"Cannot write '{self._path}' any more: {reason}")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _position(line: bytes) -> tuple[float, float]:
    """Return epoch and iteration of a record; infinite for a line that a killed program did not finish.

    A validation comes after the last iteration of its epoch: a training resumed between the two validates
    again.
    """
    try:
        record = json.loads(line)
        iteration = math.inf if record["kind"] == "validation" else int(record["iteration"])
        return int(record["epoch"]), iteration
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf, math.inf


_Item = TypeVar("_Item")

_TRAINING: Final = ("data", "forward", "backward", "update")
"""Phases that make up a training step; validation and saving are reported separately."""

_CPU: Final = torch.device("cpu")


class Phases:
    """Adds up the seconds spent in named phases; off by default, since it synchronises with the device."""

    def __init__(self, enabled: bool, device: torch.device = _CPU) -> None:
        self._enabled = enabled
        self._device = device
        self._seconds: dict[str, float] = {}

    def during(self, name: str) -> AbstractContextManager[None]:
        """Count the time of this block as phase `name`."""
        return self._measured(name) if self._enabled else nullcontext()

    def waiting(self, name: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items; count the time until each is there as phase `name`."""
        iterator = iter(items)
        while True:
            with self.during(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def summary(self) -> str | None:
        """Return a line on the seconds since the last summary, in OpenNMT Lua's format, longest phase first;
        None if nothing was measured.
        """
        longest_first = sorted(self._seconds.items(), key=lambda phase: -phase[1])
        self._seconds = {}
        if not longest_first:
            return None
        steps = [(name, seconds) for name, seconds in longest_first if name in _TRAINING]
        parts = [f"total:{sum(seconds for _, seconds in steps):g}", *_shown(steps)]
        others = [(name, seconds) for name, seconds in longest_first if name not in _TRAINING]
        return "profile: " + ",".join(
            [*(["train:{" + ",".join(parts) + "}"] if steps else []), *_shown(others)]
        )

    @contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        start = _now(self._device)
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + _now(self._device) - start


def _shown(phases: Iterable[tuple[str, float]]) -> list[str]:
    return [f"{name}:{seconds:g}" for name, seconds in phases]


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class TensorBoard:
    """Curves of one experiment in `<folder of save_model>/runs/<experiment>`.

    Raises OptionError if the tensorboard package is missing.
    """

    def __init__(self, experiment: str, save_model: str) -> None:
        try:
            writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        except ImportError as error:
            raise OptionError("-exp needs the tensorboard package: pip install tensorboard") from error
        self._writer = writer(log_dir=str(Path(save_model).parent / "runs" / experiment))

    def add(self, name: str, value: float, step: int) -> None:
        """Record one point of the curve `name`."""
        self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write pending points."""
        self._writer.close()


def perplexity(loss: float, words: int) -> float:
    """Return exp of the mean loss; infinite if that overflows, or without words."""
    try:
        return math.exp(loss / words)
    except (OverflowError, ZeroDivisionError):
        return math.inf


@dataclass
class _Counts:
    """Sums since the last report; the loss (0-dim float64) stays on the device until it is read."""

    loss: Tensor | None = None
    words: int = 0
    src_words: int = 0
    since: float = field(default_factory=time.perf_counter)


class Progress:
    """Reports a training: log, progress bar, curves and metrics. Only the first replica shows a bar."""

    def __init__(
        self,
        logger: Logger,
        replicas: Replicas,
        optimizer_name: str,
        curves: TensorBoard | None,
        metrics: MetricsFile | None,
        phases: Phases,
    ) -> None:
        """`curves`, `metrics`: None if they are not recorded, as in all replicas but the first."""
        self.logger = logger
        self._metrics = metrics
        self.phases = phases
        self._replicas = replicas
        self._optimizer_name = optimizer_name
        self._curves = curves
        self._bar: tqdm[Any] | None = None
        self._counts = _Counts()
        self._epoch = self._iterations = self._done = 0

    def start_epoch(
        self, epoch: int, iterations: int, first: int, unreported: Sequence[float] | None = None
    ) -> None:
        """Begin an epoch of `iterations` at iteration `first`; the next report includes `unreported`."""
        self.logger.info("")
        self._epoch, self._iterations, self._done = epoch, iterations, first - 1
        hidden = None if self._replicas.is_first else True  # None: shown on a terminal only
        with suppress(OSError):  # the terminal may have been closed during training
            self._bar = tqdm(
                total=iterations,
                initial=first - 1,
                desc=f"Epoch {epoch}",
                unit="batch",
                leave=False,
                disable=hidden,
            )
        self._counts = _Counts()
        if unreported is not None:  # other replicas add zeros in the next report
            loss, words, src_words = unreported if self._replicas.is_first else (0.0, 0, 0)
            self._counts = _Counts(torch.tensor(loss, dtype=torch.double), int(words), int(src_words))

    def add(self, loss: Tensor, words: int, src_words: int) -> None:
        """Record a step: its summed loss (0-dim), the words that divide the loss, the source words read."""
        counts = self._counts
        counts.loss = loss.double() if counts.loss is None else counts.loss + loss
        counts.words += words
        counts.src_words += src_words
        self._done += 1
        if self._bar is not None:
            with suppress(OSError):
                self._bar.update()

    @property
    def loss(self) -> Tensor | None:
        """The summed loss since the last report, 0-dim float64 on the device; None without a step."""
        return self._counts.loss

    def report(
        self, iteration: int, learning_rate: float, skipped_words: int = 0, loss: float | None = None
    ) -> None:
        """Log a line on the steps since the last report, if there were any.

        skipped_words: the number of added words that belong to skipped steps. loss: the value of
        `Progress.loss`, if the caller has read it already; otherwise this synchronises with the device once.
        """
        counts = self._counts
        if counts.loss is None:
            return
        counts.words -= skipped_words
        loss, words, src_words = self._sums(float(counts.loss) if loss is None else loss)
        speed = src_words / max(time.perf_counter() - counts.since, 1e-9)
        value = perplexity(loss, int(words))
        rate = "" if self._optimizer_name == "adadelta" else f" LR {learning_rate:.6f}"
        self.logger.info(
            f"Epoch {self._epoch} ; Iteration {iteration}/{self._iterations} ; "
            f"Optim {self._optimizer_name.upper()}{rate} ; Source tokens/s {int(speed)} ; Perplexity "
            f"{value:.2f}"
        )
        step = (self._epoch - 1) * self._iterations + iteration
        self._draw({"learning_rate": learning_rate, "perplexity": value, "token_per_sec": speed}, step)
        if self._metrics is not None:
            record = {
                "iterations": self._iterations,
                "step": step,
                "loss": loss / words if words else math.inf,
                "perplexity": value,
                "learning_rate": learning_rate,
                "tokens_per_second": round(speed),
            }
            self._metrics.add("report", self._epoch, iteration, record)
        self._counts = _Counts()

    def log_validation(self, name: str, score: float) -> None:
        """Log a validation score; in the curve its step is the last iteration of the epoch."""
        self.logger.info(f"Validation {name}: {score:.2f}")
        self._draw({f"validation_{name}": score}, self._epoch * self._iterations)
        if self._metrics is not None:
            record = {
                "iterations": self._iterations,
                "step": (self._epoch - 1) * self._iterations + self._done,
                "metric": name,
                "score": score,
            }
            self._metrics.add("validation", self._epoch, self._done, record)

    def unreported(self, skipped_words: int) -> list[float] | None:
        """Return loss, words and source words of all replicas since the last report, for a checkpoint.

        None without a step. All replicas must call this. Do not pass `skipped_words` to `report` again.
        """
        counts = self._counts
        counts.words -= skipped_words
        if counts.loss is None:
            return None
        return self._sums(float(counts.loss))

    def _sums(self, loss: float) -> list[float]:
        """Return loss, words and source words summed over all replicas.

        The sum is computed on the CPU, where the replicas exchange the numbers: an upload would block.
        """
        own = torch.tensor([loss, self._counts.words, self._counts.src_words], dtype=torch.double)
        return self._replicas.sum(own).tolist()

    def log_profile(self) -> None:
        """Log the time per phase, if it was measured."""
        summary = self.phases.summary()
        if summary is not None:
            self.logger.info(summary)

    def end_epoch(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            with suppress(OSError):
                self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Remove the bar, write pending curves."""
        self.end_epoch()
        if self._curves is not None:
            with suppress(OSError):
                self._curves.close()

    def _draw(self, points: Mapping[str, float], step: int) -> None:
        """Add points to the curves. Like a log, they must not end a training if they cannot be written."""
        if self._curves is None:
            return
        try:
            for name, value in points.items():
                self._curves.add(name, value, step)
        except OSError as error:
            self._curves = None
            self.logger.warning(f"Cannot write the curves of -exp any more: {error.strerror or error}")
