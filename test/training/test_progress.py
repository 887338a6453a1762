import io
import math
import re

import pytest
import torch

from onmt.logger import Logger, LoggerOptions
from onmt.training.distributed import Replicas
from onmt.training.progress import Phases, Progress, perplexity


class Recorder:
    """Curves that are kept in memory."""

    def __init__(self) -> None:
        self.points: list[tuple[str, float, int]] = []
        self.closed = False

    def add(self, name: str, value: float, step: int) -> None:
        self.points.append((name, value, step))

    def close(self) -> None:
        self.closed = True


def make(optimizer: str = "sgd", curves: Recorder | None = None) -> tuple[Progress, io.StringIO]:
    log = io.StringIO()
    return Progress(Logger(LoggerOptions(), log), Replicas(), optimizer, curves, None, Phases(False)), log


def lines(log: io.StringIO) -> list[str]:
    return [re.sub(r"^\[.*? (\w+)\] ", r"\1 ", line) for line in log.getvalue().splitlines()]


def test_a_report_has_the_original_s_form() -> None:
    progress, log = make()
    progress.start_epoch(2, 18, 1)
    progress.add(torch.tensor(10.0), words=4, src_words=3)
    progress.add(torch.tensor(2.0), words=2, src_words=3)
    progress.report(2, 0.5)
    assert lines(log)[0] == "INFO "
    pattern = (
        r"INFO Epoch 2 ; Iteration 2/18 ; Optim SGD LR 0\.500000 ; Source tokens/s \d+ ; "
        rf"Perplexity {math.exp(2):.2f}"
    )
    assert re.fullmatch(pattern, lines(log)[1])


def test_counts_start_again_after_a_report() -> None:
    progress, log = make()
    progress.start_epoch(1, 3, 1)
    progress.add(torch.tensor(100.0), 1, 1)
    progress.report(1, 1.0)
    progress.report(1, 1.0)  # nothing new: no line
    progress.add(torch.tensor(0.0), 1, 1)
    progress.report(2, 1.0)
    reports = [line for line in lines(log) if "Iteration" in line]
    assert [line.rpartition(" ")[2] for line in reports] == [f"{math.exp(100):.2f}", "1.00"]


def test_adadelta_shows_no_learning_rate() -> None:
    progress, log = make("adadelta")
    progress.start_epoch(1, 1, 1)
    progress.add(torch.tensor(1.0), 1, 1)
    progress.report(1, 1.0)
    assert "; Optim ADADELTA ; Source" in log.getvalue()


def test_words_of_skipped_steps_do_not_count() -> None:
    progress, log = make()
    progress.start_epoch(1, 2, 1)
    progress.add(torch.tensor(6.0), 3, 3)
    progress.add(torch.tensor(0.0), 4, 4)
    progress.report(2, 1.0, skipped_words=4)
    assert log.getvalue().endswith(f"Perplexity {math.exp(2):.2f}\n")


def test_curves_get_every_figure() -> None:
    curves = Recorder()
    progress, _ = make(curves=curves)
    progress.start_epoch(2, 10, 1)
    progress.add(torch.tensor(0.0), 1, 1)
    progress.report(5, 0.5)
    progress.log_validation("BLEU", 12.0)
    progress.close()
    points = {name: (value, step) for name, value, step in curves.points}
    assert points["learning_rate"] == (0.5, 15)
    assert points["perplexity"] == (1.0, 15)
    assert points["token_per_sec"][0] > 0
    assert points["validation_BLEU"] == (12.0, 20)
    assert curves.closed


class FullDisk(Recorder):
    """Curves that cannot be written."""

    def add(self, name: str, value: float, step: int) -> None:
        raise OSError(28, "No space left on device")


def test_curves_that_cannot_be_written_are_told_once() -> None:
    progress, log = make(curves=FullDisk())
    progress.log_validation("BLEU", 12.0)
    progress.log_validation("BLEU", 13.0)
    progress.close()
    warning = "WARNING Cannot write the curves of -exp any more: No space left on device"
    assert lines(log) == ["INFO Validation BLEU: 12.00", warning, "INFO Validation BLEU: 13.00"]


@pytest.mark.parametrize(
    ("loss", "words", "expected"), [(0.0, 5, 1.0), (1e6, 1, math.inf), (1.0, 0, math.inf)]
)
def test_perplexity_never_fails(loss: float, words: int, expected: float) -> None:
    assert perplexity(loss, words) == expected
