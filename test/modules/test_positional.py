"""Encoders with fixed position codes: pooling, means and dropout, checked sentence by sentence."""

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from onmt.modules.convolutional_encoders import PoolingEncoder, TwinConvolutionalEncoder, position_code
from onmt.modules.noise import Noise
from onmt.spec.layers import (
    ConvolutionsSpec,
    PoolingEncoderSpec,
    PositionSpec,
    TwinConvolutionalEncoderSpec,
)

WIDTH = 3
LENGTHS = torch.tensor([6, 1, 4])
CODE = PositionSpec(count=8, combine="add")


def sentences() -> Tensor:
    """Random vectors; the padding holds 50, which must not affect any result."""
    inputs = torch.randn(3, 6, WIDTH, generator=torch.Generator().manual_seed(1)) - 2
    return inputs.masked_fill(torch.arange(6)[None, :, None] >= LENGTHS[:, None, None], 50.0)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("pool", ["average", "max"])
def test_pooled_are_the_words_of_the_sentence_within_the_window(
    pool: Literal["average", "max"], size: int
) -> None:
    encoder = PoolingEncoder(
        PoolingEncoderSpec(pool=pool, size=size, positions=None, input_dropout=0.5), WIDTH
    )
    inputs = sentences()
    encoding = encoder(inputs, LENGTHS, LENGTHS, None)
    reduce = np.mean if pool == "average" else np.max
    before = (size - 1) // 2  # as TensorFlow's SAME: an odd amount of padding has one more at the end
    for row, length in enumerate(LENGTHS.tolist()):
        words = inputs[row, :length].numpy()
        pooled = [reduce(words[max(0, t - before) : t - before + size], axis=0) for t in range(length)]
        np.testing.assert_allclose(encoding.keys[row, :length], pooled, rtol=1e-5)
        np.testing.assert_allclose(encoding.states[0][row], np.mean(pooled, axis=0), rtol=1e-5)
        np.testing.assert_array_equal(encoding.memory[row, :length], words)
        assert not encoding.keys[row, length:].any()
        assert not encoding.memory[row, length:].any()


@pytest.mark.parametrize("kernel", [2, 3])
def test_convolutions_end_with_their_sentence(kernel: int) -> None:
    spec = TwinConvolutionalEncoderSpec(
        keys=ConvolutionsSpec(units=4, kernel=kernel, layers=3),
        values=ConvolutionsSpec(units=5, kernel=kernel, layers=2),
        positions=CODE,
        input_dropout=0.5,
    )
    encoder = TwinConvolutionalEncoder(spec, WIDTH).requires_grad_(False)
    generator = torch.Generator().manual_seed(2)
    for parameter in encoder.parameters():
        parameter.uniform_(-0.7, 0.7, generator=generator)
    inputs = sentences()
    together = encoder(inputs, LENGTHS, LENGTHS, None)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = encoder(inputs[row : row + 1, :length], LENGTHS[row : row + 1], None, None)
        torch.testing.assert_close(together.memory[row, :length], alone.memory[0])
        torch.testing.assert_close(together.keys[row, :length], alone.keys[0])
        torch.testing.assert_close(together.states[0][row], alone.memory[0].mean(0))
        assert not together.memory[row, length:].any()
        assert not together.keys[row, length:].any()


def test_what_is_dropped_has_no_position_either() -> None:
    spec = PoolingEncoderSpec(pool="max", size=1, positions=CODE, input_dropout=0.25)
    inputs = torch.ones(1, 8, 50)
    memory = PoolingEncoder(spec, 50)(
        inputs, torch.tensor([8]), None, Noise(torch.Generator().manual_seed(3))
    ).memory[0]
    dropped = memory == 0
    assert 0.15 < float(dropped.float().mean()) < 0.35
    torch.testing.assert_close(memory[~dropped], ((1 + position_code(8, 50)) / 0.75)[~dropped])
