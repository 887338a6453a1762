"""Selections of sentences from a data set (onmt/data/dataset.py)."""

import numpy as np
import pytest
import torch

from onmt.data.dataset import Dataset, Selection
from onmt.data.shards import SideArrays

SENTENCES = {"src": [[4], [5, 6], [7, 8], [4, 9, 9]], "tgt": [[2, 7, 3], [2, 5, 3], [2, 3], [2, 8, 8, 3]]}


def side(sentences: list[list[int]]) -> SideArrays:
    lengths = np.array([len(words) for words in sentences], dtype=np.int32)
    values = np.array([[word] for words in sentences for word in words], dtype=np.int32)
    return SideArrays(np.cumsum(lengths, dtype=np.int64) - lengths, lengths, values)


@pytest.fixture(params=[1, 3])
def dataset(request: pytest.FixtureRequest) -> Dataset:
    """A data set cut into two shards, after the first or the third sentence."""
    cut = request.param
    return Dataset(
        [
            tuple(side(sentences[part]) for sentences in SENTENCES.values())
            for part in (slice(cut), slice(cut, None))
        ]
    )


def test_a_selection_is_a_data_set_of_its_sentences(dataset: Dataset) -> None:
    chosen = Selection(dataset, np.array([0, 2, 2, 3]))
    assert len(chosen) == 4
    assert chosen.src_lengths.tolist() == [1, 2, 2, 3]
    assert chosen.tgt_lengths is not None
    assert chosen.tgt_lengths.tolist() == [3, 2, 2, 4]
    batch = chosen.batch(np.array([1, 3]))
    expected = dataset.batch(np.array([2, 3]))
    assert batch.indices.tolist() == [2, 3]
    assert torch.equal(batch.src, expected.src)
    assert batch.tgt_output is not None
    assert expected.tgt_output is not None
    assert torch.equal(batch.tgt_output, expected.tgt_output)


def test_the_predicted_words_are_those_of_the_targets(dataset: Dataset) -> None:
    assert dataset.predicted_words().tolist() == [2, 3, 5, 7, 8]
    assert Selection(dataset, np.array([0, 2, 2])).predicted_words().tolist() == [2, 3, 7]


def test_without_targets_they_are_those_of_the_sentences() -> None:
    monolingual = Dataset([(side(SENTENCES["tgt"]),)])
    assert Selection(monolingual, np.array([3, 3])).predicted_words().tolist() == [2, 3, 8]
    assert Selection(monolingual, np.array([3])).tgt_lengths is None
