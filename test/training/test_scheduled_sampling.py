import math

import pytest

from onmt.training.recipe import ScheduledSampling


def test_without_a_rate_nothing_falls() -> None:
    for decay in ("linear", "invsigmoid"):
        sampling = ScheduledSampling(initial=0.8, decay=decay)
        assert [sampling.gold_probability(epoch) for epoch in (1, 2, 50)] == [0.8, 0.8, 0.8]


def test_linear_decay_ends_at_zero() -> None:
    sampling = ScheduledSampling(initial=0.9, decay="linear", rate=0.4)
    assert [sampling.gold_probability(epoch) for epoch in (1, 2, 3, 4)] == pytest.approx([0.9, 0.5, 0.1, 0.0])


def test_inverse_sigmoid_decay() -> None:
    sampling = ScheduledSampling(initial=1.0, decay="invsigmoid", rate=2.0)
    expected = [2 / (2 + math.exp(done / 2) - 1) for done in range(5)]
    assert [sampling.gold_probability(epoch) for epoch in range(1, 6)] == pytest.approx(expected)
    assert expected[0] == 1.0


def test_a_tiny_rate_does_not_overflow() -> None:
    assert ScheduledSampling(initial=1.0, decay="invsigmoid", rate=1e-3).gold_probability(9) == 0.0
