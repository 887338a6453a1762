"""Grid search: outputs satisfy their constraints and are the best that do."""

import itertools
from collections import Counter

import pytest
import torch

from onmt.constants import BOS, EOS, PAD
from onmt.decoding.beam_search import Constraints, SearchBatch, beam_search
from onmt.decoding.hypotheses import Path
from onmt.decoding.scoring import ModelScorer
from onmt.decoding.step import SearchSettings
from onmt.modules.encoding import padding_mask

NOTHING = torch.zeros(0, dtype=torch.int64)


def search(model, lengths, words, settings, limited=False, reserved=NOTHING) -> list[list[Path]]:
    constraints = Constraints(torch.tensor(words).view(len(lengths), -1), limited, reserved)
    slots = settings.slots(constraints.levels)
    scorer = ModelScorer(model, model.start(model.encode(lengths)), slots)
    counts = torch.tensor(lengths)
    sources = SearchBatch(counts, padding_mask(counts, max(lengths)))
    return beam_search(scorer, sources, settings, constraints).paths


def unconstrained(model, lengths, settings) -> list[list[Path]]:
    scorer = ModelScorer(model, model.start(model.encode(lengths)), settings.beam_size)
    counts = torch.tensor(lengths)
    return beam_search(scorer, SearchBatch(counts, padding_mask(counts, max(lengths))), settings).paths


def score(model, length: int, words: tuple[int, ...]) -> float:
    state, total = model.start(model.encode([length])), 0.0
    for previous, word in itertools.pairwise((BOS, *words)):
        output = model.step(torch.tensor([[previous]]), state)
        state, total = output.state, total + float(output.log_probs[0][0, word])
    return total


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_every_constraint_is_met(seed, limited, toy_model):
    words = [[5, 5, 7], [4, PAD, PAD], [6, 8, 5]]
    settings = SearchSettings(beam_size=4, max_length=12, n_best=2)
    for paths, wanted in zip(
        search(toy_model(seed), [3, 2, 4], words, settings, limited), words, strict=True
    ):
        asked = Counter(word for word in wanted if word != PAD)
        for path in paths:
            if path.score > -torch.inf:
                found = Counter(word for word in path.tokens if word in asked)
                assert found == asked if limited else not asked - found


@pytest.mark.parametrize("limited", [False, True])
def test_a_wide_grid_finds_the_best_output_that_has_the_word(limited, toy_model):
    model = toy_model(6, words=6)
    found = search(model, [2], [[4]], SearchSettings(beam_size=1000, max_length=3), limited)[0][0]
    words = [word for word in range(6) if word != EOS]
    if limited:
        words.remove(PAD)
    ended = [(*o, EOS) for n in (1, 2) for o in itertools.product(words, repeat=n)]
    cut = [(*o, last) for o in itertools.product(words, repeat=3) for last in (*words, EOS)]
    fitting = [o for o in ended + cut if 4 in o[:-1] and not (limited and o.count(4) > 1)]
    best = max(fitting, key=lambda o: score(model, 2, o))
    assert found.score == pytest.approx(score(model, 2, best), abs=1e-9)
    assert found.tokens == list(best[:-1])


def test_no_constraint_is_plain_search(toy_model):
    settings = SearchSettings(max_length=12, n_best=2, length_norm=0.5, coverage_norm=0.1)
    plain = unconstrained(toy_model(2), [3, 1], settings)
    for words in ([], [[PAD], [PAD]]):
        found = search(toy_model(2), [3, 1], words, settings)
        for paths, expected in zip(found, plain, strict=True):
            assert [path.tokens for path in paths] == [path.tokens for path in expected]
            assert [path.score for path in paths] == pytest.approx([path.score for path in expected])


def test_neighbours_with_more_constraints_change_nothing(toy_model):
    settings = SearchSettings(max_length=12)
    alone = search(toy_model(3), [3], [[5]], settings, limited=True)[0][0]
    together = search(toy_model(3), [3, 5], [[5, PAD, PAD], [6, 7, 8]], settings, limited=True)[0][0]
    assert together.tokens == alone.tokens
    assert together.score == pytest.approx(alone.score, abs=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reserved_words_come_as_constraints_only(seed, toy_model):
    settings = SearchSettings(beam_size=6, max_length=12)
    reserved = torch.tensor([5, 6, 7, 8])
    found = search(toy_model(seed), [3, 2], [[7], [PAD]], settings, reserved=reserved)
    assert [set(paths[0].tokens) & {5, 6, 7, 8} for paths in found] == [{7}, set()]
