"""One step of the beam against sorting all continuations."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.constants import EOS, UNK
from onmt.decoding.step import Beam, Candidates, Expansion, SearchSettings

SENTENCES, SLOTS, WORDS = 2, 3, 7


def a_beam(seed: int) -> Beam:
    generator = torch.Generator().manual_seed(seed)
    scores = -10 * torch.rand(SENTENCES, SLOTS, generator=generator, dtype=torch.float64)
    zeros = torch.zeros(SENTENCES, SLOTS, dtype=torch.int64)
    coverage = torch.rand(SENTENCES, SLOTS, 4, generator=generator, dtype=torch.float64)
    return Beam(scores, zeros, zeros.bool(), zeros, coverage)


def candidates(normalised: list[float]) -> Candidates:
    row = torch.tensor([normalised], dtype=torch.float64)
    return Candidates(
        row * 2, row, torch.arange(len(normalised))[None], torch.zeros(1, len(normalised), dtype=torch.int64)
    )


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    factor=st.integers(1, 4),
    length_norm=st.sampled_from([0.0, 0.6, 1.0]),
    coverage_norm=st.sampled_from([0.0, 0.3]),
    eos_norm=st.sampled_from([0.0, 0.5, 3.0]),
    step=st.integers(1, 5),
)
def test_the_best_of_all_continuations_are_found(seed, factor, length_norm, coverage_norm, eos_norm, step):
    options = SearchSettings(
        beam_size=SLOTS,
        pre_filter_factor=factor,
        length_norm=length_norm,
        coverage_norm=coverage_norm,
        eos_norm=eos_norm,
    )
    beam = a_beam(seed)
    if coverage_norm == 0:
        beam = Beam(beam.scores, beam.unknowns, beam.ended, beam.lengths, None)
    logits = torch.randn(SENTENCES * SLOTS, WORDS, generator=torch.Generator().manual_seed(seed))
    log_probs = torch.log_softmax(logits, dim=1)
    source_lengths = torch.tensor([3, 8])
    expected = log_probs.double().view(SENTENCES, SLOTS, WORDS).clone()
    if eos_norm:
        expected[:, :, EOS] *= eos_norm * source_lengths[:, None] / step
    expected = (expected + beam.scores[:, :, None]) / ((5 + step) / 6) ** length_norm
    if coverage_norm:
        expected += coverage_norm * beam.coverage.clamp(max=1).log().sum(dim=2)[:, :, None]
    order = expected.flatten(1).sort(dim=1, descending=True)
    pool = Expansion(beam, options, step).continuations(log_probs, source_lengths)
    chosen = pool.best(SLOTS)
    torch.testing.assert_close(chosen.normalised, order.values[:, :SLOTS])
    assert (chosen.parents * WORDS + chosen.tokens).tolist() == order.indices[:, :SLOTS].tolist()


def test_pruned_candidates_make_room_only_for_those_looked_at():
    pool = candidates([-1.0, -2.0, -3.0, -4.0, -5.0])
    search = SearchSettings(beam_size=2, max_unknowns=0)
    beam = Beam.first(1, 2, None, search, torch.device("cpu"))
    kept = Expansion(beam, search, 2).choose(pool)
    assert kept.tokens.tolist() == [[0, UNK]]
    assert kept.totals.tolist() == [[-2.0, -torch.inf]]
    wider = replace(search, pre_filter_factor=2)
    assert Expansion(beam, wider, 2).choose(pool).tokens.tolist() == [[0, 2]]


def test_a_new_beam_has_one_live_slot_and_counts_padding_as_covered():
    beam = Beam.first(1, 2, torch.tensor([[True, False]]), SearchSettings(), torch.device("cpu"))
    assert beam.scores.tolist() == [[0.0, -torch.inf]]
    assert beam.coverage[0].tolist() == [[pytest.approx(1e-4), 1.0]] * 2


def test_ended_hypotheses_that_stay_only_repeat_the_end():
    options = SearchSettings(beam_size=SLOTS, finished="stay", length_penalty="words", length_norm=1.0)
    beam = a_beam(3)
    beam = Beam(beam.scores, beam.unknowns, beam.ended | True, beam.lengths + 4, None)
    log_probs = torch.log_softmax(torch.randn(SENTENCES * SLOTS, WORDS), dim=1)
    expansion = Expansion(beam, options, 5)
    chosen = expansion.choose(expansion.continuations(log_probs, torch.tensor([1, 1])))
    assert bool((chosen.tokens == EOS).all())
    torch.testing.assert_close(chosen.totals, beam.scores.sort(dim=1, descending=True).values)
    torch.testing.assert_close(chosen.normalised, chosen.totals / 1.5)
