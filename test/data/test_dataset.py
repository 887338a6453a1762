"""onmt/data/dataset.py: planning batches, gathering them from shards, and prefetching."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.constants import BOS, EOS, PAD
from onmt.data import dataset
from onmt.data.dataset import Dataset, epoch_order, plan_batches, prefetch
from onmt.data.shards import SideArrays

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=60)


def plan_by_hand(lengths: list[int], max_batch_size: int, max_tokens: int, uneven: bool) -> list[list[int]]:
    """Return the sentences of each batch by Lua's rule, applied one sentence at a time."""
    batches: list[list[int]] = []
    tokens = longest = 0
    for index, length in enumerate(lengths):
        full = (
            not batches
            or tokens + length > max_tokens
            or len(batches[-1]) == max_batch_size
            or (not uneven and length != longest)
        )
        if full:
            batches.append([])
            tokens = longest = 0
        batches[-1].append(index)
        tokens += length
        longest = max(longest, length)
    return batches


@settings(max_examples=200, deadline=None)
@given(
    lengths=LENGTHS,
    max_batch_size=st.integers(1, 7),
    max_tokens=st.integers(1, 30),
    uneven=st.booleans(),
    sort=st.booleans(),
)
def test_batches_follow_the_rule(
    lengths: list[int], max_batch_size: int, max_tokens: int, uneven: bool, sort: bool
) -> None:
    lengths = sorted(lengths) if sort else lengths
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "_VALUES_AT_A_TIME", 3)
        plan = plan_batches(np.array(lengths, dtype=np.int32), max_batch_size, max_tokens, uneven)
    found = [plan[number].tolist() for number in range(len(plan))]
    assert found == plan_by_hand(lengths, max_batch_size, max_tokens, uneven)


def test_epochs_take_the_stored_order_up_to_the_curriculum() -> None:
    assert epoch_order(5, epoch=2, curriculum=2, seed=1).tolist() == [0, 1, 2, 3, 4]
    third, fourth = (epoch_order(50, epoch=epoch, curriculum=2, seed=1) for epoch in (3, 4))
    assert sorted(third) == list(range(50))
    assert third.tolist() != list(range(50))
    assert third.tolist() != fourth.tolist()
    assert third.tolist() == epoch_order(50, epoch=3, curriculum=0, seed=1).tolist()
    assert third.tolist() != epoch_order(50, epoch=3, curriculum=2, seed=2).tolist()


def side(sentences: list[list[list[float]]], dtype: type) -> SideArrays:
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int32)
    values = np.array([position for sentence in sentences for position in sentence], dtype=dtype)
    return SideArrays(np.cumsum(lengths, dtype=np.int64) - lengths, lengths, values)


SRC = [[[4], [5]], [[6]], [[7], [8], [9]], [[4]]]
TGT = [
    [[BOS, EOS], [4, BOS], [EOS, 5]],
    [[BOS, EOS], [6, BOS], [7, 5], [EOS, 6]],
    [[BOS, EOS], [EOS, BOS]],
    [[BOS, EOS], [8, BOS], [EOS, 4]],
]


@pytest.mark.parametrize("cut", [4, 1, 3])
def test_a_batch_is_gathered_across_shards(cut: int) -> None:
    parts = [slice(0, cut), slice(cut, 4)] if cut < 4 else [slice(0, 4)]
    data = Dataset([(side(SRC[part], np.int32), side(TGT[part], np.int32)) for part in parts])
    assert len(data) == 4
    assert data.src_lengths.tolist() == [2, 1, 3, 1]
    assert data.tgt_lengths is not None
    assert data.tgt_lengths.tolist() == [3, 4, 2, 3]
    batch = data.batch(np.array([2, 0, 3]))
    assert batch.src.tolist() == [[[7], [8], [9]], [[4], [5], [PAD]], [[4], [PAD], [PAD]]]
    assert batch.src_lengths.tolist() == [3, 2, 1]
    assert batch.tgt_input is not None
    assert batch.tgt_output is not None
    assert batch.tgt_input.tolist() == [
        [[BOS, EOS], [PAD, PAD]],
        [[BOS, EOS], [4, BOS]],
        [[BOS, EOS], [8, BOS]],
    ]
    assert batch.tgt_output.tolist() == [
        [[EOS, BOS], [PAD, PAD]],
        [[4, BOS], [EOS, 5]],
        [[8, BOS], [EOS, 4]],
    ]
    assert (batch.size, batch.src_words, batch.tgt_words) == (3, 6, 5)
    assert batch.indices.tolist() == [2, 0, 3]


def test_vectors_are_padded_with_zeros() -> None:
    data = Dataset([(side([[[0.5, 1], [2, 3]], [[4, 5]]], np.float32), side(TGT[:2], np.int32))])
    batch = data.batch(np.array([1, 0]))
    assert batch.src.tolist() == [[[4, 5], [0, 0]], [[0.5, 1], [2, 3]]]
    assert str(batch.src.dtype) == "torch.float32"


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
def test_prefetching_keeps_the_order(ahead: int) -> None:
    assert list(prefetch(lambda number: number * 2, range(7), ahead)) == [0, 2, 4, 6, 8, 10, 12]


def test_prefetching_raises_where_the_result_would_have_come() -> None:
    results = prefetch(lambda number: 1 // number, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert no_thread_left()


def test_closing_stops_the_thread() -> None:
    results = prefetch(lambda number: number, iter(range(1000)))
    assert next(results) == 0
    assert isinstance(results, Iterator)
    results.close()  # type: ignore[attr-defined]
    assert no_thread_left()


def no_thread_left() -> bool:
    return not any(thread.name.startswith("prefetch") for thread in threading.enumerate())
