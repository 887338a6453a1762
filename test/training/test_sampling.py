"""onmt/training/sampling.py"""

import io
import math
import statistics
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onmt.data.dataset import Batch
from onmt.errors import CheckpointError
from onmt.logger import Logger, LoggerOptions
from onmt.training.distributed import Replicas
from onmt.training.options import SampledDatasetOptions
from onmt.training.sampling import (
    _PartitionSampler,
    _perplexity_threshold,
    _PerplexitySampler,
    _UniformSampler,
)

SILENT = Logger(LoggerOptions(disable_logs=True), None)
BY_PERPLEXITY = SampledDatasetOptions(sample=1000, sample_type="perplexity", sample_perplexity_max=1e9)


def perplexity_sampler(
    options: SampledDatasetOptions = BY_PERPLEXITY,
    state: dict[str, Any] | None = None,
    replicas: Replicas | None = None,
) -> _PerplexitySampler:
    return _PerplexitySampler(options, 1, replicas or Replicas(), SILENT, state)


def batch_of(indices: list[int], lengths: list[int]) -> Batch:
    """Return a batch whose targets have these numbers of words, with the end symbol; the rest is unused."""
    targets = torch.tensor([[5] * length + [0] * (max(lengths) - length) for length in lengths])
    rows = torch.tensor(indices)
    return Batch(
        src=targets[..., None],
        src_lengths=rows,
        tgt_input=None,
        tgt_output=targets[..., None],
        size=len(indices),
        src_words=0,
        tgt_words=sum(lengths),
        indices=rows,
    )


def tell(sampler: _PerplexitySampler, iteration: int, perplexities: dict[int, float]) -> None:
    """Pass losses to the sampler that give sentences of two words each these perplexities."""
    losses = torch.tensor([2 * math.log(value) for value in perplexities.values()])
    sampler.measure(iteration, batch_of([*perplexities], [2] * len(perplexities)), losses)


def stored(sampler: _PerplexitySampler) -> dict[str, Any]:
    """Return the state after a round trip through a checkpoint."""
    sampler.gather_losses()
    file = io.BytesIO()
    torch.save(sampler.to_state(), file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


def test_uniform_draws_depend_on_seed_and_epoch_only() -> None:
    sampler = _UniformSampler(50, seed=3)
    first = sampler.draw(1, 20)
    assert len(first) == 50
    assert set(first.tolist()) <= set(range(20))
    assert first.tolist() == sorted(first.tolist())
    assert first.tolist() == _UniformSampler(50, seed=3).draw(1, 20).tolist()
    assert first.tolist() != sampler.draw(2, 20).tolist()
    assert first.tolist() != _UniformSampler(50, seed=4).draw(1, 20).tolist()


def test_a_partition_walks_in_steps() -> None:
    draws = [_PartitionSampler(3).draw(epoch, 10).tolist() for epoch in (1, 2, 3, 4)]
    # The walk is 0 3 6 9, 1 4 7, 2 5 8, and again.
    assert draws == [[0, 3, 6], [1, 4, 9], [2, 5, 7], [0, 3, 8]]


@given(st.integers(1, 60), st.integers(1, 80), st.integers(1, 6))
def test_a_partition_takes_every_sentence_before_any_again(sentences: int, size: int, epochs: int) -> None:
    sampler = _PartitionSampler(size)
    draws = np.concatenate([sampler.draw(epoch, sentences) for epoch in range(1, epochs + 1)])
    counts = np.bincount(draws, minlength=sentences)
    assert len(counts) == sentences
    assert counts.max() - counts.min() <= 1


def test_draws_are_uniform_until_the_mean_perplexity_is_small() -> None:
    sampler = perplexity_sampler()
    counts = np.bincount(sampler.draw(1, 4), minlength=4)
    assert counts.min() > 200
    tell(sampler, 1, {0: 2.0, 1: 100.0})  # the mean with two at 15 is 33
    counts = np.bincount(sampler.draw(2, 4), minlength=4)
    assert counts.min() > 200


def test_afterwards_they_follow_the_perplexities() -> None:
    sampler = perplexity_sampler()
    sampler.draw(1, 4)
    tell(sampler, 1, {0: 1.0, 1: 9.0, 2: 3.0})  # the fourth keeps 15
    counts = np.bincount(sampler.draw(2, 4), minlength=4) / 1000
    np.testing.assert_allclose(counts, np.array([1, 9, 3, 15]) / 28, atol=0.05)
    # Once begun, it goes on even if the mean grows.
    tell(sampler, 1, {0: 1000.0})
    counts = np.bincount(sampler.draw(3, 4), minlength=4) / 1000
    assert counts[0] > 0.9


def test_a_sentence_above_the_threshold_weighs_one() -> None:
    options = SampledDatasetOptions(sample=1000, sample_type="perplexity", sample_perplexity_max=8.0)
    sampler = perplexity_sampler(options)
    sampler.draw(1, 4)
    tell(sampler, 1, {0: 1.0, 1: 9.0, 2: 3.0})
    counts = np.bincount(sampler.draw(2, 4), minlength=4) / 1000
    np.testing.assert_allclose(counts, np.array([1, 1, 3, 15]) / 20, atol=0.05)


@pytest.mark.parametrize("spread", [0.0, 1.5, 3.0])
def test_the_threshold_is_the_mode_and_some_deviations(spread: float) -> None:
    values = [3.001, 2.998, 3.0, 1.2, 2.0, 4.5, 7.25, 30.0]
    above = [value for value in values if value > 3.0]
    deviation = math.sqrt(sum((value - 3.0) ** 2 for value in above) / (len(above) - 1))
    assert _perplexity_threshold(np.array(values), -spread) == pytest.approx(3.0 + spread * deviation)
    assert statistics.mode(round(value, 2) for value in values) == 3.0


def test_the_last_measurement_counts_whatever_the_replica() -> None:
    class TwoReplicas(Replicas):
        """Two replicas; the other one records the iterations between ours."""

        def all_gather(self, value: Any) -> list[Any]:
            others = [(2, np.array([0, 1]), np.log([20.0, 30.0])), (4, np.array([2]), np.log([50.0]))]
            return [value, others]

    sampler = perplexity_sampler(replicas=TwoReplicas())
    sampler.draw(1, 3)
    tell(sampler, 1, {0: 4.0, 1: 5.0, 2: 6.0})
    tell(sampler, 3, {1: 7.0})
    assert stored(sampler)["perplexities"].tolist() == pytest.approx([20, 7, 50], rel=1e-5)


def test_a_loss_that_is_no_number_changes_nothing() -> None:
    sampler = perplexity_sampler()
    sampler.draw(1, 3)
    tell(sampler, 1, {0: 4.0, 1: math.nan, 2: math.inf})
    known = stored(sampler)["perplexities"]
    assert known[0] == pytest.approx(4)
    assert known[1:].isnan().all()


def test_an_epoch_taken_up_again_draws_the_same() -> None:
    sampler = perplexity_sampler()
    sampler.draw(1, 4)
    tell(sampler, 1, {0: 1.0, 1: 9.0, 2: 3.0})
    second = sampler.draw(2, 4).tolist()
    tell(sampler, 1, {0: 8.0})
    resumed = perplexity_sampler(state=stored(sampler))
    assert resumed.draw(2, 4).tolist() == second
    for one in (sampler, resumed):
        tell(one, 2, {3: 2.0})
    assert resumed.draw(3, 4).tolist() == sampler.draw(3, 4).tolist()


def test_a_state_about_other_data_is_refused() -> None:
    sampler = perplexity_sampler()
    sampler.draw(1, 4)
    with pytest.raises(CheckpointError, match="the perplexities of 4 sentences, but the data has 5"):
        perplexity_sampler(state=stored(sampler)).draw(1, 5)
