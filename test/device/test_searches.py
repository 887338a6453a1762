"""Searches on a GPU keep their budget and give the CPU's results."""

import budgets
import numpy as np
import pytest
from measuring import numbers, search_cost, search_on_cpu
from searches import FEW, SearchCase, search_cases

TABLE = budgets.read()
READ_BACK = 5
"""Syncs allowed besides one per step: results, attention, history, gold scores."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.name in FEW else pytest.mark.slow)
        for case in search_cases()
    ],
)
def test_a_search_keeps_its_budget_and_finds_what_the_cpu_finds(case: SearchCase) -> None:
    cost, found, ledger = search_cost(case)
    budget = TABLE[f"search: {case.name}"]
    places = [*ledger.places("sync"), *ledger.places("upload")]
    assert all(spent <= most for spent, most in zip(numbers(cost), budget, strict=True)), (
        cost,
        budget,
        places,
    )
    assert cost.syncs <= found.steps + READ_BACK
    looks = [place for place in ledger.places("sync") if "decoding/beam_search.py" in place]
    assert sum(int(place.rpartition("(")[2].removesuffix("x)")) for place in looks) <= found.steps
    expected = search_on_cpu(case)
    assert found.steps == expected.steps
    assert [one[:2] for one in found.hypotheses] == [one[:2] for one in expected.hypotheses]
    np.testing.assert_allclose(
        [one[2] for one in found.hypotheses], [one[2] for one in expected.hypotheses], rtol=1e-6, atol=1e-6
    )
    for (*_, ours), (*_, theirs) in zip(found.hypotheses, expected.hypotheses, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    if expected.gold_scores[0] is not None:
        np.testing.assert_allclose(found.gold_scores, expected.gold_scores, rtol=1e-6)  # type: ignore[arg-type]


def test_every_search_has_a_budget_without_uploads() -> None:
    searches = {name: figures for name, figures in TABLE.items() if name.startswith("search: ")}
    assert set(searches) == {f"search: {case.name}" for case in search_cases()}
    assert {figures[2:] for figures in searches.values()} == {(0, 0)}
