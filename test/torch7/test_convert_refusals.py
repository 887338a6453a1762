"""Files that hold anything but a standard model are refused in one line."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lua_tables import dig, find, float_tensor, layers_of, network

from onmt.errors import CheckpointError
from onmt.spec.model import ModelSpec
from onmt.torch7.objects import LuaFunction, Storage, Table, Tensor, TorchObject


def swap_class(root: Table, old: str, new: str) -> None:
    find(network(root), old).class_name = new


def without_layers(root: Table) -> None:
    layers_of(root).entries.clear()


def with_wrong_matrix(root: Table) -> None:
    find(layers_of(root), "nn.Linear").fields.entries["weight"] = float_tensor(np.zeros((48, 9), np.float32))


def with_text_for_weights(root: Table) -> None:
    find(network(root), "nn.LookupTable").fields.entries["weight"] = "many numbers"


def with_expanded_weight(root: Table) -> None:
    storage = Storage("torch.FloatStorage", np.zeros(8, np.float32))
    expanded = Tensor("torch.FloatTensor", (30, 8), (0, 1), 0, storage)
    find(network(root), "nn.LookupTable").fields.entries["weight"] = expanded


def with_sampled_generator(root: Table) -> None:
    layer = find(dig(root, "models", "decoder", "modules", 2.0), "nn.Linear")
    layer.fields.entries["fullWeight"] = layer.get("weight")


def with_missing_word(root: Table) -> None:
    del dig(root, "dicts", "src", "words", "idxToLabel").entries[30.0]


def with_gap(root: Table) -> None:
    del dig(root, "dicts", "src", "words", "idxToLabel").entries[20.0]


def with_repeated_word(root: Table) -> None:
    dig(root, "dicts", "src", "words", "idxToLabel").entries[20.0] = "w7"


def with_repeated_line_feed(root: Table) -> None:
    labels = dig(root, "dicts", "src", "words", "idxToLabel")
    labels.entries[20.0] = labels.entries[21.0] = "a\nb"


def with_unknown_encoder(root: Table) -> None:
    dig(root, "models", "encoder").entries["name"] = "TransformerEncoder"


def with_states_that_the_decoder_lacks(root: Table) -> None:
    layers = layers_of(root)
    layers.entries = {1.0: layers.entries[1.0], 2.0: layers.entries[2.0]}


def with_narrow_encoder(root: Table) -> None:
    """Make encoder and decoder consistent in themselves, but of different widths."""
    for layer in layers_of(root).sequence():
        for matrix in dig(layer, "modules").sequence() if layer.class_name == "nn.gModule" else ():
            if matrix.class_name == "nn.Linear":
                columns = matrix.get("weight").shape[1]
                shape = (24, 6 if columns == 12 else columns)
                matrix.fields.entries["weight"] = float_tensor(np.zeros(shape, np.float32))
                matrix.fields.entries["bias"] = float_tensor(np.zeros(24, np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_states_that_the_decoder_lacks, "copies states which the decoder does not have"),
        (with_narrow_encoder, "a decoder of width 12 after an encoder of width 6"),
        (lambda root: swap_class(root, "nn.Identity", "nn.Mean"), "contains a nn.Mean, which"),
        (lambda root: swap_class(root, "onmt.LSTM", "onmt.GRU"), "layer 1 of a onmt.GRU whose matrices"),
        (without_layers, "onmt.LSTM without layers"),
        (with_wrong_matrix, "word vectors of 8 numbers for an input of 9"),
        (with_text_for_weights, "nn.LookupTable without a tensor 'weight'"),
        (with_expanded_weight, "'weight' of a nn.LookupTable with the shape"),
        (with_sampled_generator, "-sample_vocab"),
        (with_missing_word, "the source has 30 rows for dictionaries of 29 words"),
        (with_gap, "dictionary with gaps"),
        (with_repeated_word, "the word 'w7' appears twice"),
        (with_repeated_line_feed, r"the word 'a\nb' appears twice"),
        (with_unknown_encoder, "unknown kind 'TransformerEncoder'"),
        (lambda root: root.entries.pop("models"), "its table of networks is missing"),
        (lambda root: dig(root, "models").entries.pop("encoder"), "its encoder is missing"),
    ],
)
def test_what_is_no_standard_model_is_refused_by_name(lua_model, convert, change, message):
    root = lua_model("rnn_lstm")
    change(root)
    with pytest.raises(CheckpointError) as caught:
        convert(root)
    assert "model.t7' is not a model of OpenNMT Lua that can be used: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_language_model_that_looks_ahead_is_refused(lua_model, convert):
    root = lua_model("lm_lstm")
    encoder = dig(root, "models", "encoder")
    twice = Table({1.0: encoder, 2.0: encoder})
    both = Table({"name": "BiEncoder", "modules": twice, "args": Table({"brnn_merge": "sum"})})
    dig(root, "models").entries["encoder"] = both
    with pytest.raises(CheckpointError, match="sees the words it has to predict"):
        convert(root)


def test_other_t7_files_are_refused(convert):
    for value in ("a string", 3.5, None, Table(), float_tensor(np.zeros(3, np.float32))):
        with pytest.raises(CheckpointError, match="is not a model of OpenNMT Lua"):
            convert(value)


def every_place(root: Table) -> list[tuple[dict, object]]:
    """Return all entries of all tables in a model, as (entries, key)."""
    places, pending, seen = [], [root], set()
    while pending:
        value = pending.pop()
        table = value.fields if isinstance(value, TorchObject) else value
        if not isinstance(table, Table) or id(table) in seen:
            continue
        seen.add(id(table))
        places.extend((table.entries, key) for key in table.entries)
        pending.extend(table.entries.values())
    return places


OTHER_VALUES = st.sampled_from(
    [None, True, "text", "", 0.0, -1.0, 2.5, 1e300, float("inf"), float("nan"), Table(), LuaFunction()]
) | st.builds(lambda name: TorchObject(name, 1), st.sampled_from(["nn.Linear", "nn.gModule", "nn.Foo"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["brnn_lstm_concat", "cnn_dense_nonlinear", "srcfeat2_sum"]))
def test_a_model_with_odd_parts_is_converted_or_refused(lua_model, convert, data, name):
    root = lua_model(name)
    root.entries["info"] = Table({"epoch": 2.0, "learningRate": 0.1})
    places = every_place(root)
    for _ in range(data.draw(st.integers(1, 3))):
        entries, key = places[data.draw(st.integers(0, len(places) - 1))]
        entries[key] = data.draw(OTHER_VALUES | st.sampled_from([part[0][part[1]] for part in places[:40]]))
    message = ""
    try:
        content = convert(root)
        ModelSpec.from_state(content["spec"])
    except CheckpointError as error:
        message = str(error)
    assert "\n" not in message
