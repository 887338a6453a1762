"""Batches of onmt/data/dataset.py: inputs, outputs and counts."""

import numpy as np
import torch

from onmt.constants import BOS, EOS, PAD
from onmt.data.dataset import make_batch, pad_sequences


def column(*ids: int) -> np.ndarray:
    return np.array(ids, dtype=np.int64)[:, None]


def test_input_and_output_of_each_sentence_are_its_own_windows() -> None:
    src = [column(7, 8, 9), column(5)]
    tgt = [column(BOS, 4, EOS), column(BOS, 6, 7, 8, EOS)]
    batch = make_batch(
        src=pad_sequences(src),
        src_lengths=np.array([3, 1]),
        tgt=pad_sequences(tgt),
        tgt_lengths=np.array([3, 5]),
        indices=np.array([12, 3]),
    )
    assert batch.src[:, :, 0].tolist() == [[7, 8, 9], [5, PAD, PAD]]
    assert batch.tgt_input is not None
    assert batch.tgt_output is not None
    assert batch.tgt_input[:, :, 0].tolist() == [[BOS, 4, PAD, PAD], [BOS, 6, 7, 8]]
    assert batch.tgt_output[:, :, 0].tolist() == [[4, EOS, PAD, PAD], [6, 7, 8, EOS]]
    assert (batch.size, batch.src_words, batch.tgt_words) == (2, 4, 6)
    assert batch.indices.tolist() == [12, 3]
    assert batch.to("cpu").src.dtype == torch.int64


def test_without_target_the_source_positions_are_counted() -> None:
    batch = make_batch(
        src=pad_sequences([column(BOS, 4, EOS), column(BOS, EOS)]),
        src_lengths=np.array([3, 2]),
        tgt=None,
        tgt_lengths=None,
        indices=np.arange(2),
    )
    assert batch.tgt_input is None
    assert batch.tgt_output is None
    assert (batch.src_words, batch.tgt_words) == (5, 5)


def test_features_of_ended_sentences_are_padding_in_the_input() -> None:
    short = np.array([[BOS, EOS], [4, BOS], [EOS, 5]])
    long = np.array([[BOS, EOS], [4, BOS], [6, 5], [EOS, 7]])
    batch = make_batch(
        src=pad_sequences([column(9), column(9)]),
        src_lengths=np.array([1, 1]),
        tgt=pad_sequences([short, long]),
        tgt_lengths=np.array([3, 4]),
        indices=np.arange(2),
    )
    assert batch.tgt_input is not None
    assert batch.tgt_output is not None
    assert batch.tgt_input[0].tolist() == [[BOS, EOS], [4, BOS], [PAD, PAD]]
    assert batch.tgt_output[0].tolist() == [[4, BOS], [EOS, 5], [PAD, PAD]]
