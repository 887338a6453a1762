"""Batches that are too large for the memory are found early and named."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from onmt.data.dataset import BatchPlan, make_batch
from onmt.training.data import Epoch, _BatchTooLargeError, naming_batches


def test_the_largest_batch_has_the_most_padded_positions() -> None:
    plan = BatchPlan(np.array([0, 2, 3, 6]), 3, 100, True)
    src = np.array([1, 9, 12, 5, 5, 5])
    assert largest(plan, src, None) == [0, 1]
    assert largest(plan, src, np.array([2, 2, 2, 2, 2, 9])) == [3, 4, 5]
    assert largest(plan, src, np.array([2, 2, 90, 2, 2, 9])) == [2]


def largest(plan: BatchPlan, src: Any, tgt: Any) -> Any:
    """Return the indices of the sentences in the largest batch of an epoch with these lengths."""
    sentences = SimpleNamespace(src_lengths=src, tgt_lengths=tgt, batch=lambda indices: indices.tolist())
    return Epoch(sentences, SimpleNamespace(plan=plan), None).largest_batch()  # type: ignore[arg-type]


def test_an_allocation_failure_names_the_batch() -> None:
    ids = np.zeros((2, 3, 1), dtype=np.int64)
    target = np.zeros((2, 6, 1), dtype=np.int64)
    batch = make_batch(ids, np.array([3, 3]), target, np.array([6, 6]), np.arange(2))
    with (
        pytest.raises(
            _BatchTooLargeError, match=r"^out of memory at epoch 2, iteration 7, .*\(no room\)$"
        ) as told,
        naming_batches([batch], "epoch 2, iteration 7"),
    ):
        raise torch.OutOfMemoryError("no room\nsecond line")
    assert "2 sentences of source length 3 and target length 5" in str(told.value)
    assert told.value.exit_code == 1
    with pytest.raises(RuntimeError, match="another"), naming_batches([batch], "x"):
        raise RuntimeError("another")
