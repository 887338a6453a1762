from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import OptionError
from onmt.google.optimisation import StepSchedule, schedule_of
from onmt.google.parameters import MODEL

STEPS = np.arange(0, 400)


def schedule(**lr: Any) -> StepSchedule:
    return schedule_of({**MODEL, **{f"optimizer.{name}": value for name, value in lr.items()}})


def rates(made: StepSchedule) -> np.ndarray:
    return np.array([made.after(int(step)) for step in STEPS])


FORMULAS = {
    "exponential_decay": lambda passed: 0.3 * 0.9**passed,
    "natural_exp_decay": lambda passed: 0.3 * np.exp(-0.9 * passed),
    "inverse_time_decay": lambda passed: 0.3 / (1 + 0.9 * passed),
}


@pytest.mark.parametrize("decay", FORMULAS)
@pytest.mark.parametrize("staircase", [False, True])
def test_the_formulas(decay: str, staircase: bool) -> None:
    made = schedule(
        learning_rate=0.3,
        lr_decay_type=decay,
        lr_decay_steps=7,
        lr_decay_rate=0.9,
        lr_start_decay_at=20,
        lr_stop_decay_at=90,
        lr_min_learning_rate=1e-3,
        lr_staircase=staircase,
    )
    passed = (np.minimum(STEPS, 90) - 20) / 7
    passed = np.floor(passed) if staircase else passed
    expected = np.where(STEPS <= 20, 0.3, np.maximum(FORMULAS[decay](passed), 1e-3))
    np.testing.assert_allclose(rates(made), expected, rtol=1e-12)


def test_without_a_decay_the_rate_stays() -> None:
    assert set(rates(schedule(learning_rate=0.3, lr_min_learning_rate=0.5))) == {0.3}


def test_with_a_decay_no_rate_is_below_the_minimum() -> None:
    made = schedule(
        learning_rate=0.3, lr_min_learning_rate=0.5, lr_decay_type="natural_exp_decay", lr_start_decay_at=9
    )
    assert set(rates(made)) == {0.5}


def test_a_decay_may_be_named_in_full() -> None:
    assert schedule(lr_decay_type="tf.train.exponential_decay").decay == "exponential_decay"


@pytest.mark.parametrize(
    ("lr", "told"),
    [
        ({"lr_decay_type": "polynomial_decay"}, "takes end_learning_rate and power, but the parameters"),
        ({"lr_decay_type": "piecewise_constant"}, "takes boundaries and values"),
        ({"lr_decay_type": "exponential"}, "not one of exponential_decay, .* did you mean exponential_decay"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"lr_decay_steps": 0}, "lr_decay_steps must be at least 1"),
        ({"lr_decay_rate": 0.0}, "lr_decay_rate must be above 0, not"),
        ({"lr_decay_rate": 1.1, "lr_decay_type": "exponential_decay"}, "above 0 and at most 1, not 1.1"),
        ({"lr_min_learning_rate": 0.0}, "lr_min_learning_rate must be above 0"),
        ({"lr_start_decay_at": 5, "lr_stop_decay_at": 4}, "must not come before"),
    ],
)
def test_what_cannot_be_is_refused(lr: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        schedule(**lr)


@given(
    decay=st.sampled_from(sorted(FORMULAS)),
    rate=st.floats(1e-6, 1.0),
    steps=st.integers(0, 10**9),
    more=st.integers(0, 10**9),
)
def test_a_rate_falls_and_stays_above_the_minimum(decay: str, rate: float, steps: int, more: int) -> None:
    made = schedule(learning_rate=rate, lr_decay_type=decay, lr_min_learning_rate=1e-9)
    assert 1e-9 <= made.after(steps + more) <= made.after(steps) <= rate
