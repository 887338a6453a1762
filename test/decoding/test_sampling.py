"""Sampling: draws follow the model's distribution, restricted by the user's options."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.constants import BOS, EOS, UNK
from onmt.decoding.beam_search import SearchBatch, beam_search
from onmt.decoding.scoring import ModelScorer
from onmt.decoding.step import Sampling, SearchSettings
from onmt.modules.encoding import padding_mask

LOG_PROBS = torch.log_softmax(torch.tensor([2.0, -torch.inf, 0.5, 1.5, -1.0, 0.0, 1.0, -3.0]), dim=0)


def expected(log_probs: np.ndarray, how: Sampling) -> np.ndarray:
    """The distribution to draw from, word by word."""
    weights = np.exp(log_probs / how.temperature)
    weights /= weights.sum()
    order = sorted(range(len(weights)), key=lambda word: -weights[word])
    kept, mass = [], 0.0
    for word in order:
        if (how.top_k and len(kept) == how.top_k) or (how.top_p and mass >= how.top_p):
            break
        kept.append(word)
        mass += weights[word]
    return np.array([weights[word] / mass if word in kept else 0.0 for word in range(len(weights))])


def assert_follows(counts: np.ndarray, probabilities: np.ndarray) -> None:
    """Pearson's chi-squared statistic must be one that all but about one of 30,000 samples have."""
    assert counts[probabilities == 0].sum() == 0
    counts, wanted = counts[probabilities > 0], counts.sum() * probabilities[probabilities > 0]
    freedom = len(counts) - 1
    if freedom == 0:
        return
    statistic = float(((counts - wanted) ** 2 / wanted).sum())
    # Wilson and Hilferty 1931: the cube root is nearly normal.
    mean, variance = 1 - 2 / (9 * freedom), 2 / (9 * freedom)
    assert (statistic / freedom) ** (1 / 3) < mean + 4 * math.sqrt(variance), (counts, wanted)


WAYS = {
    "all": Sampling(),
    "cold": Sampling(temperature=0.5),
    "hot": Sampling(temperature=3.0),
    "top 3": Sampling(top_k=3),
    "top 1": Sampling(top_k=1),
    "more than there are": Sampling(top_k=50),
    "nucleus": Sampling(top_p=0.8),
    "small nucleus": Sampling(top_p=0.01),
    "whole nucleus": Sampling(top_p=1.0),
    "top 3 of a large nucleus": Sampling(top_k=3, top_p=0.99, temperature=0.7),
    "a nucleus below top 5": Sampling(top_k=5, top_p=0.5, temperature=1.5),
}


@pytest.mark.parametrize("name", WAYS)
def test_words_are_as_frequent_as_they_are_probable(name) -> None:
    draws = torch.from_numpy(np.random.default_rng(11).random(20_000))
    words = WAYS[name].draw(LOG_PROBS.expand(len(draws), -1), draws)
    counts = np.bincount(words.numpy(), minlength=len(LOG_PROBS))
    assert_follows(counts, expected(LOG_PROBS.double().numpy(), WAYS[name]))


def test_the_check_itself_notices_another_distribution() -> None:
    draws = torch.from_numpy(np.random.default_rng(11).random(20_000))
    words = Sampling(temperature=1.1).draw(LOG_PROBS.expand(len(draws), -1), draws)
    with pytest.raises(AssertionError):
        assert_follows(np.bincount(words, minlength=8), expected(LOG_PROBS.double().numpy(), Sampling()))


@given(
    scores=st.lists(st.floats(-30, 5) | st.just(-math.inf), min_size=2, max_size=12),
    uniform=st.sampled_from([0.0, 0.5, math.nextafter(1.0, 0.0)]),
    top_k=st.integers(0, 13),
    top_p=st.sampled_from([0.0, 1e-9, 0.5, 1.0]),
    temperature=st.sampled_from([1e-4, 1.0, 1e4]),
)
@settings(max_examples=300, deadline=None)
def test_a_word_that_is_impossible_never_comes(scores, uniform, top_k, top_p, temperature) -> None:
    how = Sampling(top_k=top_k, top_p=top_p, temperature=temperature)
    [word] = how.draw(torch.tensor([scores]), torch.tensor([uniform], dtype=torch.float64)).tolist()
    assert 0 <= word < len(scores)
    assert max(scores) == -math.inf or scores[word] > -math.inf
    if how.top_k == 1:
        assert scores[word] == pytest.approx(max(scores), abs=1e-9)


def draws(sentences: int, samples: int, steps: int, seed: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((sentences, samples, steps)))


def search(model, lengths, how: SearchSettings, numbers: torch.Tensor):
    counts = torch.tensor(lengths)
    scorer = ModelScorer(model, model.start(model.encode(lengths)), how.n_best)
    attended = padding_mask(counts, max(lengths))
    return beam_search(scorer, SearchBatch(counts, attended, (), numbers), how).paths


def probabilities(model, length: int, longest: int, how: Sampling) -> dict[tuple[int, ...], float]:
    """The probabilities of all sentences that can be drawn."""
    found: dict[tuple[int, ...], float] = {}
    level = {(): (1.0, model.start(model.encode([length])))}
    for step in range(longest + 1):
        grown = {}
        for words, (chance, state) in level.items():
            output = model.step(torch.tensor([[words[-1] if words else BOS]]), state)
            for word, value in enumerate(expected(output.log_probs[0][0].numpy(), how)):
                if word == EOS or step == longest:
                    found[words] = found.get(words, 0.0) + chance * value
                else:
                    grown[*words, word] = (chance * value, output.state)
        level = grown
    return found


@pytest.mark.parametrize("finished", ["retire", "stay"])
@pytest.mark.parametrize("name", ["all", "top 3", "nucleus"])
def test_sentences_are_as_frequent_as_they_are_probable(name, finished, toy_model) -> None:
    model = toy_model(1, words=6)
    how = SearchSettings(n_best=4000, max_length=2, sampling=WAYS[name], finished=finished)
    [_, paths] = search(model, [2, 4], how, draws(2, 4000, 3))
    wanted = probabilities(model, 4, 2, WAYS[name])
    places = {words: place for place, words in enumerate(wanted)}
    counts = np.bincount([places[tuple(path.tokens)] for path in paths], minlength=len(wanted))
    chances = np.array(list(wanted.values()))
    rare = (chances > 0) & (chances * 4000 < 5)  # where the statistic is not chi-squared's
    assert_follows(
        np.append(counts[~rare], counts[rare].sum()), np.append(chances[~rare], chances[rare].sum())
    )


@pytest.mark.parametrize("finished", ["retire", "stay"])
def test_the_score_is_the_models_own_log_probability(finished, toy_model) -> None:
    model = toy_model(2, words=7)
    how = SearchSettings(
        n_best=5, max_length=9, sampling=Sampling(top_k=3, temperature=2.0), finished=finished
    )
    for length, paths in zip([3, 1], search(model, [3, 1], how, draws(2, 5, 10)), strict=True):
        assert [path.score for path in paths] == sorted((path.score for path in paths), reverse=True)
        for path in paths:
            if len(path.tokens) == how.max_length:
                continue
            state, score = model.start(model.encode([length])), 0.0
            for before, word in itertools.pairwise([BOS, *path.tokens, EOS]):
                output = model.step(torch.tensor([[before]]), state)
                state, score = output.state, score + float(output.log_probs[0][0, word])
            assert path.score == pytest.approx(score, abs=1e-9)


def test_neighbours_and_further_samples_change_nothing(toy_model) -> None:
    model = toy_model(3)
    how = SearchSettings(n_best=3, max_length=7, sampling=Sampling(top_p=0.95))
    numbers = draws(4, 3, 8)
    lengths = [3, 1, 5, 2]
    together = search(model, lengths, how, numbers)
    for place, length in enumerate(lengths):
        [alone] = search(model, [length], how, numbers[place : place + 1])
        assert [path.tokens for path in alone] == [path.tokens for path in together[place]]
        one = SearchSettings(n_best=1, max_length=7, sampling=how.sampling)
        [[first]] = search(model, [length], one, numbers[place : place + 1, :1])
        assert first.tokens in [path.tokens for path in alone]
    assert len({tuple(path.tokens) for paths in together for path in paths}) > 5


def test_the_likeliest_word_alone_is_greedy_search(toy_model) -> None:
    for seed in range(3):
        model = toy_model(seed)
        greedy = SearchSettings(beam_size=1, max_length=7, finished="stay")
        sampled = SearchSettings(max_length=7, finished="stay", sampling=Sampling(top_k=1))
        [[one]], [[other]] = (search(model, [3], how, draws(1, 1, 8)) for how in (greedy, sampled))
        assert (one.tokens, one.score) == (other.tokens, other.score)


def test_restrictions_hold_for_samples(toy_model) -> None:
    how = SearchSettings(
        n_best=200, max_length=6, min_length=3, ban_unknown=True, block_ngrams=2, sampling=Sampling()
    )
    for path in search(toy_model(4, words=6), [3], how, draws(1, 200, 7))[0]:
        assert 3 <= len(path.tokens) <= 6
        assert UNK not in path.tokens
        bigrams = list(itertools.pairwise(path.tokens))
        assert len(set(bigrams)) == len(bigrams)


def test_where_no_word_is_left_a_sample_ends_without_a_score(toy_model) -> None:
    model = toy_model(4, words=5)
    how = SearchSettings(
        n_best=3, max_length=20, min_length=20, ban_unknown=True, block_ngrams=1, sampling=Sampling()
    )
    for paths in search(model, [3, 2], how, draws(2, 3, 21)):
        assert [path.score for path in paths] == [-math.inf] * 3
