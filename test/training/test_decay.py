import math
from dataclasses import replace

import pytest

from onmt.errors import CheckpointError
from onmt.training.optim import LearningRate
from onmt.training.trainer_options import Metric, OptimOptions

BASE = OptimOptions(learning_rate_decay=0.5, start_decay_at=100)


def path(
    options: OptimOptions, scores: list[float | None], metric: Metric = "perplexity", start: float = 1.0
) -> list[float]:
    rate = LearningRate(start)
    rates = []
    for epoch, score in enumerate(scores, start=1):
        rate.after_epoch(options, metric, epoch, score)
        rates.append(rate.value)
    return rates


def test_the_original_latches_by_default() -> None:
    """Numbers: validation perplexities and learning rates of the golden run sgd_decay_default_latch."""
    scores = [20.607725, 19.334193, 19.407823, 18.739256, 18.662159]
    options = replace(BASE, start_decay_score_delta=0.3)
    assert path(options, list(scores), start=0.3) == pytest.approx([0.3, 0.3, 0.15, 0.075, 0.0375])


def test_score_only_does_not_latch() -> None:
    """Numbers: the golden run sgd_decay_score_only."""
    scores = [20.607725, 19.334193, 19.407823, 18.739256, 18.387975]
    options = replace(BASE, decay="score_only")
    assert path(options, list(scores), start=0.3) == pytest.approx([0.3, 0.3, 0.15, 0.15, 0.15])


def test_the_first_decayed_epoch_follows_start_decay_at() -> None:
    for decay in ("default", "epoch_only"):
        options = replace(BASE, decay=decay, start_decay_at=2)
        assert path(options, [9.0, 8.0, 7.0, 6.0]) == [1.0, 0.5, 0.25, 0.125]


def test_epoch_only_ignores_scores() -> None:
    assert path(replace(BASE, decay="epoch_only"), [1.0, 2.0, 3.0]) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("metric", "falling_is_good"), [("loss", True), ("ter", True), ("dlratio", True), ("bleu", False)]
)
def test_the_direction_of_metrics(metric: Metric, falling_is_good: bool) -> None:
    options = replace(BASE, decay="score_only")
    falling, rising = path(options, [3.0, 2.0], metric), path(options, [2.0, 3.0], metric)
    assert falling == ([1.0, 1.0] if falling_is_good else [1.0, 0.5])
    assert rising == ([1.0, 0.5] if falling_is_good else [1.0, 1.0])


def test_an_equal_score_is_good_enough_without_a_delta() -> None:
    assert path(replace(BASE, decay="score_only"), [2.0, 2.0]) == [1.0, 1.0]
    assert path(replace(BASE, decay="score_only"), [2.0, 2.0], "bleu") == [1.0, 1.0]


def test_without_validation_only_epochs_decay() -> None:
    options = replace(BASE, start_decay_score_delta=1.0)
    assert path(options, [None, None, None]) == [1.0, 1.0, 1.0]


def test_a_restored_rate_goes_on_as_if_never_stopped() -> None:
    options = replace(BASE, start_decay_score_delta=0.3)
    scores = [20.6, 19.3, 19.4, 18.7, 18.6]
    whole = path(options, list(scores))
    for stop in range(1, 5):
        rate = LearningRate(1.0)
        for epoch in range(1, stop + 1):
            rate.after_epoch(options, "perplexity", epoch, scores[epoch - 1])
        rate = LearningRate.from_state(rate.to_state())
        rest = []
        for epoch in range(stop + 1, 6):
            rate.after_epoch(options, "perplexity", epoch, scores[epoch - 1])
            rest.append(rate.value)
        assert rest == whole[stop:]


def test_scores_of_different_metrics_are_not_compared() -> None:
    rate = LearningRate(1.0)
    options = replace(BASE, decay="score_only")
    for epoch, (metric, score) in enumerate(
        [("bleu", 1.0), ("perplexity", 9.0), ("perplexity", 8.0)], start=1
    ):
        rate.after_epoch(options, metric, epoch, score)  # type: ignore[arg-type]
    assert rate.value == 1.0


def test_a_malformed_state_is_refused() -> None:
    with pytest.raises(CheckpointError):
        LearningRate.from_state({"speed": 1})


@pytest.mark.parametrize("metric", ["perplexity", "bleu"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_always_worse(metric: Metric, wrong: float) -> None:
    options = replace(BASE, decay="score_only")
    assert path(options, [wrong, wrong], metric) == [0.5, 0.25]


def test_a_score_after_nan_is_compared_with_the_one_before() -> None:
    options = replace(BASE, decay="score_only")
    assert path(options, [20.0, math.nan, 19.0, 25.0]) == [1.0, 0.5, 0.5, 0.25]
    assert path(options, [20.0, math.nan, 21.0]) == [1.0, 0.5, 0.25]
