"""Stored and live hypotheses merged by Lua's rule."""

import torch

from onmt.decoding.hypotheses import Endings


def stored(*normalised: float) -> Endings:
    none = Endings.none(1, 2, torch.device("cpu"))
    return none.added(torch.tensor([normalised], dtype=torch.float64), step=1)


def merged(
    before: Endings, live: list[float], ended: list[bool]
) -> tuple[list[tuple[float, int, int]], bool]:
    best, done = before.merged(torch.tensor([live], dtype=torch.float64), torch.tensor([ended]), step=2)
    return list(
        zip(best.normalised[0].tolist(), best.steps[0].tolist(), best.slots[0].tolist(), strict=True)
    ), bool(done)


def test_a_sentence_is_done_when_its_best_have_all_ended():
    assert merged(stored(-1.0, -3.0), [-2.0, -9.0], [True, False]) == ([(-1.0, 1, 0), (-2.0, 2, 0)], True)
    assert merged(stored(-1.0, -3.0), [-2.0, -9.0], [False, False]) == ([(-1.0, 1, 0), (-2.0, 2, 0)], False)
    assert merged(stored(-1.0, -1.5), [-2.0, -9.0], [False, False])[1]


def test_a_stored_hypothesis_must_be_strictly_better():
    assert merged(stored(-2.0), [-2.0, -9.0], [False, False]) == ([(-2.0, 2, 0), (-2.0, 1, 0)], False)


def test_live_hypotheses_are_taken_best_first_wherever_they_are():
    assert merged(stored(), [-5.0, -3.0], [True, True]) == ([(-3.0, 2, 1), (-5.0, 2, 0)], True)


def test_only_the_best_are_stored_and_equals_keep_their_order():
    after = stored(-2.0, -1.0).added(torch.tensor([[-1.0, -torch.inf]], dtype=torch.float64), step=2)
    assert after.normalised.tolist() == [[-1.0, -1.0]]
    assert (after.steps.tolist(), after.slots.tolist()) == ([[1, 2]], [[1, 0]])
