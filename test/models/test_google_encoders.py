"""Encoders of google/seq2seq: the layers that their parameters describe, and refused values."""

from typing import Any

import pytest

from onmt.errors import OptionError
from onmt.google.layers import encoder_of, positions_of
from onmt.google.parameters import ENCODERS, part_of
from onmt.spec.layers import EncoderSpec, PoolingEncoderSpec, PositionSpec, PyramidalEncoderSpec


def encoder(name: str, **params: Any) -> EncoderSpec:
    return encoder_of(part_of({"encoder.class": name, "encoder.params": params}, "encoder", ENCODERS))


def test_residual_connections_of_joined_layers_are_left_out() -> None:
    cell = {"num_layers": 2, "residual_connections": True, "cell_params": {"num_units": 3}}
    spec = encoder("StackBidirectionalRNNEncoder", rnn_cell=cell)
    assert isinstance(spec, PyramidalEncoderSpec)
    assert (spec.stack.residual, spec.stack.hidden_size, spec.reduction) == ("none", 6, 1)


@pytest.mark.parametrize("function", ["max_pooling1d", "tensorflow.layers.max_pooling1d", "tf.max_pooling1d"])
def test_functions_may_have_their_package(function: str) -> None:
    spec = encoder("PoolingEncoder", pooling_fn=function, **{"position_embeddings.combiner_fn": "add"})
    assert spec == PoolingEncoderSpec(
        pool="max", size=5, positions=PositionSpec(count=100, combine="add"), input_dropout=1 - 0.8
    )


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        ("ConvEncoder", {"output_cnn.kernel_size": 0}, "output_cnn needs units, kernel_size and layers"),
        ("ConvEncoder", {"embedding_dropout_keep_prob": 0.0}, "must be above 0 and at most 1, not 0.0"),
        ("PoolingEncoder", {"dropout_keep_prob": 1.5}, "dropout_keep_prob must be above 0 and at most 1"),
        ("PoolingEncoder", {"strides": 2}, "strides must be 1, not 2"),
        ("PoolingEncoder", {"pooling_fn": "mean"}, "pooling_fn must be .*max_pooling1d, not 'mean'"),
    ],
)
def test_values_that_cannot_be_are_refused(name: str, params: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=rf"^encoder\.params: .*{told}"):
        encoder(name, **params)


def test_only_some_encoders_have_codes_of_positions() -> None:
    assert positions_of(ENCODERS["UnidirectionalRNNEncoder"]) is None
    assert positions_of(ENCODERS["ConvEncoder"]) == PositionSpec(count=100)
    assert positions_of({**ENCODERS["ConvEncoder"], "position_embeddings.enable": False}) is None
