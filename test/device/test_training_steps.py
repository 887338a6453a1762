"""Training steps on a GPU keep their budget and give the CPU's results."""

import budgets
import pytest
from configurations import FEW, Configuration, training_configurations
from measuring import cost_of, numbers, on_cpu

TABLE = budgets.read()
ALL = list(training_configurations())
TOLERANCE = 1e-6


def cases() -> list[object]:
    """Return test parameters for all configurations; those not in FEW are slow tests."""
    return [
        pytest.param(one, id=one.name, marks=() if one.name in FEW else pytest.mark.slow)
        for one in ALL
        if "reference" not in one.name
    ]


def check(configuration: Configuration) -> None:
    """Check that a step keeps its budget and that its results equal the CPU's."""
    cost, outcome, ledger = cost_of(configuration)
    budget = TABLE[f"step: {configuration.name}"]
    places = [*ledger.places("sync"), *ledger.places("upload"), *ledger.places("loose weights")]
    assert all(spent <= most for spent, most in zip(numbers(cost), budget, strict=True)), (
        cost,
        budget,
        places,
    )
    assert outcome.difference(on_cpu(configuration)) < TOLERANCE


@pytest.mark.parametrize("configuration", cases())
def test_a_step_keeps_its_budget_and_equals_the_cpus(configuration: Configuration) -> None:
    check(configuration)


@pytest.mark.parametrize("name", ["reference, even", "reference, uneven"])
def test_so_does_the_reference_step(name: str) -> None:
    check(next(one for one in ALL if one.name == name))


def test_no_step_waits_for_the_device_or_uploads() -> None:
    steps = {name: figures for name, figures in TABLE.items() if name.startswith("step: ")}
    assert set(steps) == {f"step: {configuration.name}" for configuration in ALL}
    assert {figures[1:] for figures in steps.values()} == {(0, 0, 0)}


def test_the_reference_step_launches_few_kernels() -> None:
    assert TABLE["step: reference, even"][0] <= 900
    assert TABLE["step: reference, uneven"][0] <= 1100


def test_figures_only_fall() -> None:
    known = {"a": (5, 1), "gone": (1, 1)}
    assert budgets.lowered(known, {"a": (4, 2), "new": (7, 0)}) == {"a": (4, 1), "new": (7, 0)}
