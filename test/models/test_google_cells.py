"""Arguments of google/seq2seq's recurrent cells: their defaults, their effects and refused values.

A row is (cell class, argument, default, another value, field of the StackSpec, that field's value then).
"""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import OptionError
from onmt.google.layers import stack_of
from onmt.google.model import read_model, spec_of
from onmt.google.parameters import CELLS
from onmt.models.lua import DataSizes
from onmt.models.networks import build_model
from onmt.modules.rnn import RecurrentStack
from onmt.spec.layers import StackSpec
from onmt.spec.model import ModelSpec

ROWS: list[tuple[str, str, Any, Any, str, Any]] = [
    *((name, "num_units", 128, 9, "hidden_size", 9) for name in CELLS),
    *(
        (name, "forget_bias", 1.0, 0.25, "cell.forget_bias", 0.25)
        for name in ("BasicLSTMCell", "LSTMCell", "LSTMBlockCell")
    ),
    *(
        (name, "activation", "tensorflow.tanh", "tensorflow.nn.relu", "cell.activation", "relu")
        for name in ("BasicLSTMCell", "LSTMCell", "GRUCell", "BasicRNNCell")
    ),
    ("LSTMCell", "use_peepholes", False, True, "cell.peepholes", True),
    ("LSTMBlockCell", "use_peephole", False, True, "cell.peepholes", True),
    ("LSTMCell", "cell_clip", None, 3.5, "cell.cell_clip", 3.5),
    ("LSTMCell", "cell_clip", None, 2, "cell.cell_clip", 2.0),
    ("LSTMCell", "num_proj", None, 7, "cell.projection", 7),
    ("LSTMCell", "proj_clip", None, 0.5, "cell.projection_clip", 0.5),
]
BESIDE = {"proj_clip": {"num_proj": 5}}
WHERE = "rnn_cell"


def stack(name: str, params: Mapping[str, Any], directions: int = 1, **block: Any) -> StackSpec:
    return stack_of({"cell_class": name, "cell_params": params, **block}, WHERE, directions)


def seen(spec: StackSpec, where: str) -> Any:
    value: Any = spec
    for name in where.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_default_and_effect(row: tuple[str, str, Any, Any, str, Any]) -> None:
    name, argument, default, other, where, wanted = row
    beside = BESIDE.get(argument, {})
    assert stack(name, {**beside, argument: default}) == stack(name, beside)
    assert stack(name, {**beside, argument: None}) == stack(name, beside)
    changed = seen(stack(name, {**beside, argument: other}), where)
    assert changed == wanted
    assert type(changed) is type(wanted)
    assert changed != seen(stack(name, beside), where)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_wrong_type_is_refused(row: tuple[str, str, Any, Any, str, Any]) -> None:
    name, argument, _, other, _, _ = row
    wrong: Any = {bool: "false", int: 2.5, float: "0.1", str: 3}[type(other)]
    if argument == "cell_clip":
        wrong = "3"
    with pytest.raises(OptionError, match=f"{argument} must be"):
        stack(name, {argument: wrong})


def test_no_argument_is_left_out() -> None:
    assert {(name, argument) for name, argument, *_ in ROWS} == {
        (name, argument) for name, params in CELLS.items() for argument in params
    }


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        ("LSTMCell", {"num_units": 0}, "num_units must be at least 1, not 0"),
        ("LSTMCell", {"num_proj": 0}, "num_proj must be at least 1, not 0"),
        ("LSTMCell", {"num_proj": -2}, "num_proj must be at least 1"),
        ("LSTMCell", {"num_proj": True}, "num_proj must be a whole number"),
        ("LSTMCell", {"cell_clip": 0.0}, "cell_clip must be above 0"),
        ("LSTMCell", {"cell_clip": -1.0}, "cell_clip must be above 0, not -1.0"),
        ("LSTMCell", {"cell_clip": float("nan")}, "cell_clip must be a number"),
        ("LSTMCell", {"cell_clip": 10**400}, "cell_clip must be a number between"),
        ("LSTMCell", {"num_proj": 3, "proj_clip": -0.5}, "proj_clip must be above 0"),
        ("LSTMCell", {"proj_clip": 0.5}, "give num_proj too"),
        ("LSTMCell", {"use_peepholes": "false"}, "use_peepholes must be true or false, not 'false'"),
        ("LSTMCell", {"forget_bias": -2000}, "forget_bias must lie within -1000 and 1000"),
        ("LSTMCell", {"activation": "tensorflow.sin"}, "'tensorflow.sin' is not one of identity, tanh"),
        ("LSTMCell", {"activation": "os.tanh"}, "activation 'os.tanh' is not one of"),
        ("LSTMCell", {"use_peephol": True}, "no parameter 'use_peephol'; did you mean use_peepholes?"),
        ("LSTMCell", {"initializer": "zeros"}, "initializer is not supported: init_scale"),
        ("LSTMCell", {"num_unit_shards": 2}, "num_unit_shards is not supported"),
        ("LSTMCell", {"num_proj_shards": 2}, "num_proj_shards is not supported"),
        ("BasicLSTMCell", {"state_is_tuple": True}, "state_is_tuple is not supported"),
        ("GRUCell", {"input_size": 3}, "input_size is not supported"),
        ("BasicRNNCell", {"reuse": True}, "reuse is not supported"),
        ("GRUBlockCell", {"cell_size": 3}, "the units of GRUBlockCell are its num_units"),
        ("GRUBlockCell", {"activation": "tanh"}, "GRUBlockCell has no 'activation'"),
        ("BasicLSTMCell", {"use_peepholes": True}, "that is an argument of LSTMCell"),
        ("LSTMBlockCell", {"use_peepholes": True}, "did you mean use_peephole?"),
        ("MultiRNNCell", {}, "num_layers stacks layers here"),
        ("tf.contrib.rnn.DropoutWrapper", {}, "dropout_input_keep_prob and dropout_output_keep_prob"),
        ("seq2seq.contrib.rnn_cell.ExtendedMultiRNNCell", {}, "num_layers and residual_connections"),
        ("LSTMBlockFusedCell", {}, "LSTMBlockCell has the same formulas"),
        ("LayerNormBasicLSTMCell", {}, "is not known; did you mean BasicLSTMCell?; there are"),
    ],
)
def test_what_cannot_be_is_refused(name: str, params: Mapping[str, Any], told: str) -> None:
    with pytest.raises(OptionError) as caught:
        stack(name, params)
    assert told in str(caught.value)
    assert str(caught.value).startswith("rnn_cell: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "tensorflow.", "tf.nn."])
@pytest.mark.parametrize("name", ["identity", "tanh", "relu", "sigmoid"])
def test_names_of_functions_may_be_qualified(prefix: str, name: str) -> None:
    assert stack("GRUCell", {"activation": prefix + name}).cell.activation == name


def test_one_layer_has_nothing_to_join() -> None:
    alone, two = (
        stack("GRUCell", {}, num_layers=layers, residual_connections=True, residual_dense=True)
        for layers in (1, 2)
    )
    assert alone == stack("GRUCell", {})
    assert (two.residual, two.residual_dense) == ("add", True)


@pytest.mark.parametrize(("name", "other"), [("LSTMBlockCell", "BasicLSTMCell"), ("GRUBlockCell", "GRUCell")])
def test_block_cells_are_the_plain_ones(name: str, other: str) -> None:
    assert stack(name, {"num_units": 3}) == stack(other, {"num_units": 3})
    assert stack(name, {}).cell.standard


def test_a_block_cell_with_peepholes_is_an_lstm_with_peepholes() -> None:
    assert stack("LSTMBlockCell", {"use_peephole": True}) == stack("LSTMCell", {"use_peepholes": True})


ARGUMENTS = sorted({argument for params in CELLS.values() for argument in params} | {"reuse", "units"})
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-1, 6)
    | st.sampled_from([0.0, -0.5, 0.5, 1e300, "tf.tanh", "relu", "", "false"])
)


@given(
    st.sampled_from([*CELLS, "MultiRNNCell", "tf.GRUCell", ""]),
    st.dictionaries(st.sampled_from(ARGUMENTS), VALUES, max_size=3),
    st.sampled_from(["add", "mean", "concat"]),
    st.integers(0, 2),
)
def test_any_arguments(name: str, params: dict[str, Any], combiner: str, layers: int) -> None:
    refused = None
    block = {"num_layers": layers, "residual_connections": True, "residual_combiner": combiner}
    try:
        spec = stack(name, {"num_units": 3, **params}, **block)
        built = RecurrentStack(spec, 5).eval()
        for parameter in built.parameters():
            torch.nn.init.constant_(parameter, 0.1)
        states = built.zero_states(2)
        output, following = built.step(torch.ones(2, 5), states, None)
        assert tuple(state.shape[1] for state in states) == spec.state_widths
        assert [state.shape for state in following] == [state.shape for state in states]
        assert output.shape == (2, spec.output_size(5))
        assert torch.isfinite(output).all()
    except OptionError as error:
        refused = str(error)
    assert refused is None or ("\n" not in refused and refused.startswith("rnn_cell"))


PROJECTED = {"num_units": 6, "num_proj": 4}


def test_widths() -> None:
    spec = stack("LSTMCell", PROJECTED, num_layers=2)
    assert (spec.layer_size, spec.state_widths, spec.output_size(9)) == (4, (6, 4, 6, 4), 4)
    both = stack("LSTMCell", PROJECTED, directions=2)
    assert (both.layer_size, both.state_widths) == (8, (12, 8))
    joined = {"num_layers": 2, "residual_connections": True, "residual_combiner": "concat"}
    assert stack("LSTMCell", PROJECTED, **joined).output_size(9) == 4 + (4 + 9)
    assert stack("GRUCell", {"num_units": 6}, num_layers=2).state_widths == (6, 6)


def test_a_description_of_before_is_read() -> None:
    spec = model_spec("BasicSeq2Seq", {"num_units": 6})
    state = spec.to_state()
    for part in (state["encoder"], state["decoder"]):
        for name in ("activation", "peepholes", "cell_clip", "projection", "projection_clip"):
            del part["stack"]["cell"][name]
    assert ModelSpec.from_state(state) == spec


def test_a_description_of_now_is_read() -> None:
    spec = model_spec("BasicSeq2Seq", {**PROJECTED, "use_peepholes": True, "proj_clip": 1.0, "cell_clip": 3})
    assert ModelSpec.from_state(spec.to_state()) == spec


def model_spec(name: str, params: Mapping[str, Any], **more: Any) -> ModelSpec:
    """Describe a model with the same LSTMCell in encoder and decoder."""
    parts: dict[str, Any] = {
        f"{side}.params": {"rnn_cell": {"cell_class": "LSTMCell", "cell_params": params}, "init_scale": scale}
        for side, scale in (("encoder", 0.5), ("decoder", 0.25))
    }
    return spec_of(read_model(name, {**parts, **more}), DataSizes((20,), (20,)))


def test_states_are_handed_on_where_their_widths_agree() -> None:
    bridge = {"bridge.class": "PassThroughBridge"}
    assert model_spec("BasicSeq2Seq", PROJECTED, **bridge).bridge is not None
    other = {"rnn_cell": {"cell_class": "LSTMCell", "cell_params": {"num_units": 6}}}
    with pytest.raises(OptionError, match="and the same num_proj if there is one"):
        model_spec("BasicSeq2Seq", PROJECTED, **bridge, **{"decoder.params": other})


def test_peepholes_and_projections_start_like_the_kernel() -> None:
    model = build_model(model_spec("BasicSeq2Seq", {**PROJECTED, "use_peepholes": True}))
    model.initialise(0.0, torch.Generator().manual_seed(1))
    found = dict(model.named_parameters())
    for name, bound in (("encoder.stack.layers.0", 0.5), ("decoder.stack.layers.0", 0.25)):
        for part, shape in (("peepholes", (3, 6)), ("projection", (4, 6)), ("weight_hh", (24, 4))):
            weight = found[f"{name}.{part}"]
            assert tuple(weight.shape) == shape
            largest = float(weight.detach().abs().max())
            assert bound / 2 < largest <= bound
        assert not found[f"{name}.bias_ih"].any()
