"""The batched search against one that follows each sentence on its own with plain lists."""

import math

import numpy as np
import pytest
import torch

from onmt.constants import BOS
from onmt.decoding.beam_search import Sources, beam_search
from onmt.decoding.hypotheses import Path
from onmt.decoding.scoring import ModelScorer
from onmt.decoding.step import SearchSettings
from onmt.modules.encoding import padding_mask

LENGTHS = [3, 1, 5, 2, 4, 5, 1]


def sources(lengths, labels=()):
    counts = torch.tensor(lengths)
    return Sources(counts, padding_mask(counts, max(lengths)), tuple(BOS for _ in labels))


def search(model, lengths, settings, labels=()) -> list[list[Path]]:
    scorer = ModelScorer(model, model.start(model.encode(lengths)), settings.beam_size)
    return beam_search(scorer, sources(lengths, labels), settings).paths


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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", VARIANTS)
def test_same_hypotheses_as_a_search_with_lists(name, seed, toy_model, plain_search):
    model = toy_model(seed, labels=(5, 3))
    settings = SearchSettings(**{"max_length": 9, **VARIANTS[name]})
    found = search(model, LENGTHS, settings, labels=(5, 3))
    for length, hypotheses in zip(LENGTHS, found, strict=True):
        expected = plain_search(model, length, settings, (BOS, BOS))
        assert len(hypotheses) == len(expected) == settings.n_best
        for hypothesis, path in zip(hypotheses, expected, strict=True):
            if path.rank == -math.inf:
                assert hypothesis.score == -math.inf
                continue
            assert hypothesis.tokens == path.tokens[1:-1]
            assert hypothesis.score == pytest.approx(path.rank, abs=1e-9)
            assert hypothesis.features == path.labels[1:]
            np.testing.assert_allclose(hypothesis.attention, path.attention[:-1], atol=1e-12)
