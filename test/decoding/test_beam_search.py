"""The batched search against one that follows each sentence on its own with plain lists."""

import itertools
import math

import numpy as np
import pytest
import torch

from onmt.constants import BOS, EOS
from onmt.decoding.beam_search import SearchBatch, SearchResult, beam_search
from onmt.decoding.hypotheses import History
from onmt.decoding.scoring import FusedScorer, ModelScorer, RestrictedModel, Scorer
from onmt.decoding.step import SearchSettings
from onmt.models.base import Step
from onmt.modules.decoder import DecoderState
from onmt.modules.encoding import padding_mask

LENGTHS = [3, 1, 5, 2]


def sources(lengths, labels=()) -> SearchBatch:
    counts = torch.tensor(lengths)
    return SearchBatch(counts, padding_mask(counts, max(lengths)), tuple(BOS for _ in labels))


def model_scorer(model, lengths, settings) -> Scorer:
    return ModelScorer(model, model.start(model.encode(lengths)), settings.beam_size)


def search(model, lengths, settings, labels=()) -> SearchResult:
    return beam_search(model_scorer(model, lengths, settings), sources(lengths, labels), settings)


def assert_same(paths, expected) -> None:
    assert len(paths) == len(expected)
    for path, wanted in zip(paths, expected, strict=True):
        assert path.score == pytest.approx(wanted.rank, abs=1e-9)
        if wanted.rank > -math.inf:
            assert path.tokens == wanted.tokens[1:-1]


VARIANTS = {
    "greedy": {"beam_size": 1},
    "beam": {},
    "wide": {"beam_size": 8, "n_best": 8},
    "n_best": {"n_best": 3},
    "length_norm": {"length_norm": 1.0, "n_best": 2},
    "coverage_norm": {"coverage_norm": 0.3, "length_norm": 0.6},
    "eos_norm": {"eos_norm": 1.5, "beam_size": 3, "n_best": 2},
    "all_norms": {"eos_norm": 0.7, "coverage_norm": 0.2, "length_norm": 0.5, "n_best": 3},
    "short": {"max_length": 2, "n_best": 2},
    "unknowns": {"max_unknowns": 1, "pre_filter_factor": 2},
    "unknowns_narrow": {"max_unknowns": 1, "beam_size": 2},
    "pre_filter": {"pre_filter_factor": 3, "beam_size": 3},
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", VARIANTS)
def test_same_hypotheses_as_a_search_with_lists(name, seed, toy_model, plain_search):
    model = toy_model(seed, labels=(5, 3))
    settings = SearchSettings(**{"max_length": 9, **VARIANTS[name]})
    found = search(model, LENGTHS, settings, labels=(5, 3)).paths
    for length, paths in zip(LENGTHS, found, strict=True):
        expected = plain_search(model, length, settings, (BOS, BOS))
        assert_same(paths, expected)
        for path, wanted in zip(paths, expected, strict=True):
            if wanted.rank > -math.inf:
                assert path.features == wanted.labels[1:]
                np.testing.assert_allclose(path.attention, wanted.attention[:-1], atol=1e-12)


def test_greedy_search_gives_an_empty_line_when_the_end_comes_first(toy_model):
    model = toy_model(0)

    def step(tokens, state):
        output = model.step(tokens, state)
        scores = output.log_probs[0].clone()
        scores[:, EOS] = 0.0
        return Step((scores,), output.attention, output.state)

    eager = toy_model(0)
    eager.step = step
    path = search(eager, [1], SearchSettings(beam_size=1)).paths[0][0]
    assert (path.tokens, path.score) == ([], -math.inf)
    assert search(eager, [1], SearchSettings(beam_size=2)).paths[0][0].tokens != []


class Sum:
    """Two toy models as one: the expected result of fusion."""

    def __init__(self, model, language_model, weight: float) -> None:
        self.model, self.language_model, self.weight = model, language_model, weight
        self.encode = model.encode

    def start(self, encoding):
        size = len(encoding.lengths)
        fresh = DecoderState((torch.zeros(size, 4, dtype=torch.float64),))
        started = self.language_model.step(torch.full((size, 1), BOS), fresh).state
        state = self.model.start(encoding)
        return DecoderState((*state.hidden, *started.hidden), None, state.keys, state.memory, state.mask)

    def step(self, tokens, state):
        ours = DecoderState(state.hidden[:1], None, state.keys, state.memory, state.mask)
        step = self.model.step(tokens, ours)
        other = self.language_model.step(tokens, DecoderState(state.hidden[1:]))
        hidden = (*step.state.hidden, *other.state.hidden)
        scores = step.log_probs[0] + self.weight * other.log_probs[0]
        kept = DecoderState(hidden, None, state.keys, state.memory, state.mask)
        return Step((scores,), step.attention, kept)


def test_a_language_model_that_has_read_the_start_twice_adds_its_scores(toy_model, plain_search):
    model, language_model = toy_model(1), toy_model(2)
    settings = SearchSettings(n_best=2, max_length=8, length_norm=0.5)
    fresh = DecoderState((torch.zeros(len(LENGTHS), 4, dtype=torch.float64),))
    scorer = FusedScorer(
        model_scorer(model, LENGTHS, settings),
        language_model,
        fresh,
        weight=0.7,
        features=0,
        beam=settings.beam_size,
    )
    found = beam_search(scorer, sources(LENGTHS), settings).paths
    for length, paths in zip(LENGTHS, found, strict=True):
        assert_same(paths, plain_search(Sum(model, language_model, 0.7), length, settings, ()))


class Cuttable:
    """A toy model whose output layer can be cut, as the real one's."""

    def __init__(self, model) -> None:
        self.model = model
        self.generator = self
        self.weights = list(model.outputs[0].t()[None])

    def cut(self, words):
        return words

    def step(self, tokens, state, words):
        output = self.model.step(tokens, state)
        return Step(
            (output.log_probs[0][:, words].log_softmax(1), *output.log_probs[1:]),
            output.attention,
            output.state,
        )


def test_a_restricted_vocabulary_is_a_model_of_fewer_words(toy_model, plain_search):
    model = toy_model(3)
    allowed = torch.tensor([1, 2, 3, 5, 8])
    settings = SearchSettings(n_best=2, max_length=8)
    state = model.start(model.encode(LENGTHS))
    scorer = ModelScorer(RestrictedModel(Cuttable(model), allowed), state, settings.beam_size)
    found = beam_search(scorer, sources(LENGTHS), settings).paths
    small = toy_model(3)
    forbidden = [index for index in range(9) if index not in allowed]

    def step(tokens, state):
        output = model.step(tokens, state)
        log_probs = output.log_probs[0].clone()
        log_probs[:, forbidden] = -torch.inf
        return Step((torch.log_softmax(log_probs, dim=1),), output.attention, output.state)

    small.step = step
    for length, paths in zip(LENGTHS, found, strict=True):
        assert_same(paths, plain_search(small, length, settings, ()))
        assert all(token in allowed for path in paths for token in path.tokens)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_finished_hypotheses_can_stay_and_compete(alpha, toy_model):
    """google/seq2seq: a beam as wide as the tree must find the best of all outputs of up to three words."""
    model = toy_model(4, words=5)
    settings = SearchSettings(
        beam_size=300,
        max_length=2,
        finished="stay",
        length_penalty="words",
        length_norm=alpha,
    )
    path = search(model, [2], settings).paths[0][0]

    def score(words: tuple[int, ...]) -> float:
        state, total = model.start(model.encode([2])), 0.0
        for previous, word in itertools.pairwise((BOS, *words)):
            output = model.step(torch.tensor([[previous]]), state)
            state, total = output.state, total + float(output.log_probs[0][0, word])
        return total / ((5 + sum(word != EOS for word in words)) / 6) ** alpha

    others = [0, 1, 2, 4]
    complete = [(*words, EOS) for n in range(3) for words in itertools.product(others, repeat=n)]
    best = max([*complete, *itertools.product(others, repeat=3)], key=score)
    assert path.score == pytest.approx(score(best), abs=1e-9)
    assert path.tokens == list(best[:-1])


def staying_search(model, length: int, settings: SearchSettings) -> list[tuple[float, list[int]]]:
    """google/seq2seq's search of one sentence with lists: scores and words, best first."""
    beam = [((), 0.0, model.start(model.encode([length])))]

    def rank(hypothesis: tuple) -> float:
        return hypothesis[1] / ((5 + sum(word != EOS for word in hypothesis[0])) / 6) ** settings.length_norm

    for _ in range(settings.max_length + 1):
        candidates = []
        for words, total, state in beam:
            if EOS in words:
                candidates.append(((*words, EOS), total, state))
                continue
            output = model.step(torch.tensor([[words[-1] if words else BOS]]), state)
            for word, log_prob in enumerate(output.log_probs[0][0].tolist()):
                candidates.append(((*words, word), total + log_prob, output.state))
        beam = sorted(candidates, key=rank, reverse=True)[: settings.beam_size]
        if all(EOS in words for words, _, _ in beam):
            break
    found = [([word for word in one[0][:-1] if word != EOS], rank(one)) for one in beam]
    return [(score, words) for words, score in found[: settings.n_best]]


@pytest.mark.parametrize(("beam_size", "n_best"), [(1, 1), (2, 1), (3, 3), (5, 2)])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_in_which_finished_hypotheses_stay(beam_size, n_best, alpha, seed, toy_model):
    model = toy_model(seed, words=6)
    settings = SearchSettings(
        beam_size=beam_size,
        n_best=n_best,
        max_length=7,
        finished="stay",
        length_penalty="words",
        length_norm=alpha,
    )
    for length, paths in zip(LENGTHS, search(model, LENGTHS, settings).paths, strict=True):
        expected = staying_search(model, length, settings)
        assert [path.score for path in paths] == pytest.approx([score for score, _ in expected], abs=1e-9)
        assert [path.tokens for path in paths] == [words for _, words in expected]
        assert all(len(path.attention) == len(path.tokens) for path in paths)


@pytest.mark.parametrize("finished", ["retire", "stay"])
def test_histories_tell_every_step_of_each_sentence(finished, toy_model):
    """Followed back from its end, each path gives the words and the score of the result."""
    model = toy_model(1)
    settings = SearchSettings(beam_size=3, max_length=6, finished=finished, length_norm=0.7)
    result = search(model, LENGTHS, settings)
    past = History.of_sentences(result.traces, len(LENGTHS))
    for number, (one, paths) in enumerate(zip(past, result.paths, strict=True)):
        steps = sum(number in trace.sentences for trace in result.traces)
        for field in (one.tokens, one.parents, one.totals, one.scores, one.normalised, one.alive):
            assert field.shape == (steps, 3)
        complete = (one.tokens == EOS) & one.alive
        complete[: -1 if finished == "stay" else 0] = False
        complete[-1] = True
        step, slot = np.unravel_index(np.where(complete, one.normalised, -np.inf).argmax(), complete.shape)
        assert one.normalised[step, slot] == paths[0].score
        words = []
        for back in range(step, -1, -1):
            words.insert(0, int(one.tokens[back, slot]))
            slot = one.parents[back, slot]
        assert [word for word in words[:-1] if word != EOS] == paths[0].tokens
        left = one.scores != one.totals  # the beam, having ended
        assert left.any() == (finished == "retire")
        assert ((one.tokens == EOS) | (steps == 7))[left].all()
