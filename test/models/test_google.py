"""What onmt/google/model.py refuses.

The parameters that it accepts, and their effects, are tested in test_google_table.py.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from onmt.errors import OptionError
from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes

SIZES = DataSizes((20,), (20,))
CONV, POOL = ({"encoder.class": kind} for kind in ("ConvEncoder", "PoolingEncoder"))


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"embeding.dim": 3}, "no parameter 'embeding.dim'; did you mean embedding.dim?"),
        ({"encoder.class": "os.system"}, "encoder.class 'os.system' is not known"),
        ({"encoder.class": "my.BidirectionalRNNEncoder"}, "is not known; did you mean Bidirectional"),
        ({"encoder.params": {"rnn_cel": {}}}, "'rnn_cel'; did you mean rnn_cell?"),
        ({"decoder.params": {"rnn_cell": {"cell_class": "NASCell"}}}, "cell_class 'NASCell' is not known"),
        ({"decoder.params": {"rnn_cell": {"cell_params": {"units": 3}}}}, "no parameter 'units'"),
        ({"decoder.params": {"rnn_cell": {"num_layers": 0}}}, "must be at least 1"),
        ({"decoder.params": {"rnn_cell": {"dropout_input_keep_prob": 0.0}}}, "above 0 and at most 1"),
        ({"decoder.params": {"rnn_cell": {"residual_combiner": "sum"}}}, "add, mean or concat"),
        ({"encoder.params": {"init_scale": -1.0}}, "init_scale must be at least 0"),
        (
            {**POOL, "encoder.params": {"pool_size": 0}},
            "pool_size must be at least 1",
        ),
        (
            {**POOL, "encoder.params": {"pooling_fn": "tensorflow.layers.conv1d"}},
            "pooling_fn must be",
        ),
        (
            {**CONV, "encoder.params": {"position_embeddings.combiner_fn": "f"}},
            "combiner_fn must be",
        ),
        ({**CONV, "encoder.params": {"output_cnn.units": 0}}, "output_cnn needs"),
        (
            {**CONV, "encoder.params": {"embedding_dropout_keep_prob": 2.0}},
            "at most 1",
        ),
        ({"encoder.class": "InceptionV3Encoder"}, "cannot be used with -model"),
        ({"attention.params": {"num_units": 0}}, "num_units must be at least 1"),
        ({"bridge.class": "PassThroughBridge"}, "cannot pass on the states of BidirectionalRNNEncoder"),
        (
            {
                "bridge.class": "PassThroughBridge",
                "encoder.class": "UnidirectionalRNNEncoder",
                "decoder.params": {"rnn_cell": {"num_layers": 2}},
            },
            "the same cell_class, num_units and num_layers",
        ),
        (
            {"bridge.class": "InitialStateBridge", "bridge.params": {"activation_fn": "os.abort"}},
            "activation_fn 'os.abort' is not one of",
        ),
        ({"target.max_seq_len": 1}, "target.max_seq_len must be at least 2"),
        ({"inference.max_decode_length": 0}, "must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(params: Mapping[str, Any], told: str) -> None:
    with pytest.raises(OptionError) as caught:
        spec_of(read_model("AttentionSeq2Seq", params), SIZES)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_models_with_attention_attend() -> None:
    with pytest.raises(OptionError, match="BasicSeq2Seq has no attention"):
        read_model("BasicSeq2Seq", {"decoder.class": "AttentionDecoder"})
    with pytest.raises(OptionError, match=r"no parameter 'attention\.class'"):
        read_model("BasicSeq2Seq", {"attention.class": "AttentionLayerDot"})


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (DataSizes((20,), (19,)), "embedding.share needs one vocabulary"),
        (DataSizes((20, 5), (20,)), "does not support word features"),
        (DataSizes((), (20,), src_vector_size=8), "the source of this data is vectors"),
    ],
)
def test_data_that_does_not_fit(sizes: DataSizes, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        spec_of(read_model("AttentionSeq2Seq", {"embedding.share": True}), sizes)


@pytest.mark.parametrize("name", ["source.max_seq_len", "source.reverse", "embedding.share", "vocab_source"])
def test_a_model_of_images_has_no_source_words(name: str) -> None:
    with pytest.raises(OptionError, match=f"no parameter '{name}'"):
        read_model("Image2Seq", {name: 1})


@pytest.mark.parametrize(("of_model", "positions", "limit"), [(20, 30, 20), (30, 20, 20)])
def test_the_shorter_length_of_sources_counts(of_model: int, positions: int, limit: int) -> None:
    given = {**POOL, "encoder.params": {"position_embeddings.num_positions": positions}}
    model = read_model("BasicSeq2Seq", {"source.max_seq_len": of_model, **given})
    assert spec_of(model, SIZES).policies.source_limit == limit


@pytest.mark.parametrize(("of_model", "of_decoder", "longest"), [(20, 30, 20), (30, 20, 20), (100, 150, 150)])
def test_the_shorter_length_of_translations_counts(of_model: int, of_decoder: int, longest: int) -> None:
    given = {"inference.max_decode_length": of_model, "decoder.params": {"max_decode_length": of_decoder}}
    assert read_model("BasicSeq2Seq", given).max_decode_length == longest


def test_a_block_of_cells_is_checked_even_where_residual_connections_are_ignored() -> None:
    params = {
        "encoder.class": "StackBidirectionalRNNEncoder",
        "encoder.params": {"rnn_cell": {"residual_connections": "false"}},
    }
    with pytest.raises(OptionError, match="residual_connections must be true or false"):
        spec_of(read_model("AttentionSeq2Seq", params), SIZES)
