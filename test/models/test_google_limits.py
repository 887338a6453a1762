"""Values beyond any machine's limits and names that belong elsewhere are refused in one line."""

from typing import Any

import pytest

from onmt.errors import OptionError
from onmt.google.model import check_parts, read_model, spec_of
from onmt.models.lua import DataSizes

SIZES = DataSizes(src=(9,), tgt=(9,))


def cell(**params: Any) -> dict[str, Any]:
    return {"encoder.params": {"rnn_cell": params}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"embedding.dim": 2**31}, "embedding.dim must be a whole number between -2147483647 and 2147483647"),
        ({"optimizer.learning_rate": 2**62 * 1e20}, "must be a number between -1e\\+30 and 1e\\+30"),
        ({"embedding.init_scale": 1e38}, "must be a number between -1e\\+30 and 1e\\+30, not 1e\\+38"),
        ({"optimizer.lr_stop_decay_at": 1e10}, "must be a whole number between .*, not 10000000000.0"),
        ({"inference.beam_search.length_penalty_weight": -0.5}, "length_penalty_weight must be at least 0"),
        (cell(num_layers=1001), "rnn_cell: num_layers must be at most 1000, not 1001"),
        (
            {"encoder.class": "ConvEncoder", "encoder.params": {"output_cnn.layers": 1001}},
            "output_cnn.layers must be at most 1000",
        ),
    ],
)
def test_numbers_have_limits(given: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        check_parts(read_model("AttentionSeq2Seq", given))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (cell(num_units=3), "rnn_cell has no parameter 'num_units'; it belongs in cell_params"),
        ({"decoder.params": {"cell_class": "GRUCell"}}, "'cell_class'; it belongs in rnn_cell"),
        ({"dim": 3}, "model_params has no parameter 'dim'; did you mean embedding.dim"),
        (
            {"encoder.class": "PoolingEncoder", "encoder.params": {"enable": False}},
            "did you mean position_embeddings.enable",
        ),
        (cell(cell_params={"numunits": 3}), "'numunits'; did you mean num_units"),
        ({"xyz": 3}, "no parameter 'xyz'; the nearest is "),
        ({"bridge.params": {"activation_fn": "tensorflow.tanh"}}, "'activation_fn'; there are none"),
    ],
)
def test_the_nearest_name_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        check_parts(read_model("AttentionSeq2Seq", given))


def test_images_are_checked_before_they_are_read() -> None:
    check_parts(read_model("Image2Seq", {}))
    with pytest.raises(OptionError, match="images of 20 x 299 are too small"):
        check_parts(read_model("Image2Seq", {"encoder.params": {"resize_height": 20}}))


@pytest.mark.parametrize("encoder", ["PoolingEncoder", "ConvEncoder"])
def test_parameters_of_positions_that_are_off_mean_nothing(encoder: str) -> None:
    params = {"position_embeddings.enable": False, "position_embeddings.num_positions": 0}
    check_parts(read_model("AttentionSeq2Seq", {"encoder.class": encoder, "encoder.params": params}))
    with pytest.raises(OptionError, match="num_positions must be at least 1, not 0"):
        read_model(
            "AttentionSeq2Seq",
            {"encoder.class": encoder, "encoder.params": params | {"position_embeddings.enable": True}},
        )


@pytest.mark.parametrize(("enabled", "limit"), [(True, 7), (False, 50)])
def test_sources_are_cut_where_codes_of_positions_end(enabled: bool, limit: int) -> None:
    params = {"position_embeddings.enable": enabled, "position_embeddings.num_positions": 7}
    model = read_model("BasicSeq2Seq", {"encoder.class": "PoolingEncoder", "encoder.params": params})
    assert spec_of(model, SIZES).policies.source_limit == limit
