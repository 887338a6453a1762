import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onmt.checkpoint import load_checkpoint, save_checkpoint
from onmt.data.vocabulary import Vocabularies
from onmt.errors import CheckpointError
from onmt.models.loading import load_model
from onmt.models.spec import EmbeddingSpec, ModelSpec, VectorSpec
from onmt.torch7.convert import convert_model
from onmt.torch7.objects import LuaFunction, Storage, Table, Tensor, TorchObject, Value


@pytest.fixture
def convert(write_t7, tmp_path):
    """convert(table) -> the content of the checkpoint made of it."""

    def convert(root: Value) -> dict:
        path = tmp_path / "model.t7"
        path.write_bytes(write_t7(root))
        return convert_model(path)

    return convert


def dig(value: Value, *names: str | float) -> Value:
    """What lies under names of tables and fields of modules."""
    for name in names:
        value = (value.fields if isinstance(value, TorchObject) else value).get(name)
    return value


def network(root: Table, part: str = "encoder") -> TorchObject:
    return dig(root, "models", part, "modules", 1.0)


def find(value: Value, class_name: str) -> TorchObject:
    """The first module of a class in a network, a list of modules, or an encoder's table."""
    if isinstance(value, TorchObject) and value.class_name == class_name:
        return value
    inside = value.get("modules") if isinstance(value, TorchObject) or "modules" in value else value
    for child in inside.sequence() if isinstance(inside, Table) else ():
        if (found := find(child, class_name)) is not None:
            return found
    return None


def layers_of(root: Table, part: str = "encoder") -> Table:
    """The list of modules in the graph that holds a network's recurrent layers."""
    return dig(find(network(root, part), "onmt.LSTM"), "modules", 1.0, "modules")


def float_tensor(array: np.ndarray) -> Tensor:
    strides = tuple(step // array.itemsize for step in array.strides)
    return Tensor("torch.FloatTensor", array.shape, strides, 0, Storage("torch.FloatStorage", array.ravel()))


def spec_of(content: dict) -> ModelSpec:
    return ModelSpec.from_state(content["spec"])


def equal_weights(one: dict, other: dict) -> bool:
    return one["weights"].keys() == other["weights"].keys() and all(
        torch.equal(one["weights"][name], other["weights"][name]) for name in one["weights"]
    )


def test_a_converted_model_is_a_checkpoint(lua_model, convert, tmp_path):
    content = convert(lua_model("rnn_lstm"))
    content.pop("notes")
    save_checkpoint(tmp_path / "model.pt", content)
    loaded = load_checkpoint(tmp_path / "model.pt")
    assert loaded["origin"] == "OpenNMT Lua"
    assert equal_weights(loaded, content)
    assert load_model(str(tmp_path / "model.pt"), torch.device("cpu")).spec == spec_of(content)


def test_the_text_encoding_gives_the_same_model(lua_model, convert, write_t7, tmp_path):
    root = lua_model("seqtagger_sentence_crf")
    path = tmp_path / "ascii.t7"
    path.write_bytes(write_t7(root, "ascii"))
    assert equal_weights(convert_model(path), convert(root))


def test_vocabularies_count_from_zero_and_keep_their_counts(lua_model, convert):
    root = lua_model("tgtfeat1")
    words = dig(root, "dicts", "tgt", "words")
    words.fields.entries["freqTensor"] = float_tensor(np.arange(29, dtype=np.float32))
    labels = dig(root, "dicts", "src", "words", "idxToLabel")
    labels.entries[30.0] = "caf\udce9"  # a byte that is no UTF-8
    vocabularies = Vocabularies.from_state(convert(root)["vocabularies"])
    assert vocabularies.src[0].word(4) == "w5"
    assert vocabularies.src[0].word(29) == "caf\\xe9"
    assert vocabularies.tgt[0].frequencies == tuple(range(29))
    assert [len(one) for one in vocabularies.tgt] == [29, 7]
    assert vocabularies.tgt[1].frequencies is None


def test_options_become_plain_values(lua_model, convert):
    root = lua_model("rnn_lstm")
    sizes = Table({1.0: 500.0, 2.0: 20.0})
    preprocess = Table({"time_shift_feature": False, "src_vocab_size": sizes})
    dig(root, "options").entries.update(
        {"word_vec_size": 8.0, "learning_rate": 0.5, "src_vocab_size": sizes, "preprocess": preprocess}
    )
    dig(root, "options").entries.update(
        {"max_num_unks": np.inf, "_is_default": Table(), "gone": LuaFunction()}
    )
    content = convert(root)
    options = content["options"]
    assert options["word_vec_size"] == 8
    assert isinstance(options["word_vec_size"], int)
    assert options["learning_rate"] == 0.5
    assert options["src_vocab_size"] == options["preprocess"]["src_vocab_size"] == [500, 20]
    assert options["max_num_unks"] == np.inf
    assert options["gone"] is None
    assert "_is_default" not in options
    assert not spec_of(content).policies.features_shifted


def test_options_that_contain_themselves_are_refused(lua_model, convert):
    root = lua_model("rnn_lstm")
    dig(root, "options").entries["options"] = dig(root, "options")
    with pytest.raises(CheckpointError, match=r"model\.t7.*options are nested"):
        convert(root)


def test_a_model_without_options_bridge_and_name_is_still_read(lua_model, convert):
    """As the first versions saved it."""
    root = lua_model("brnn_lstm_concat")
    wanted = convert(root)
    del root.entries["options"]
    del dig(root, "models").entries["bridge"]
    del dig(root, "models", "encoder").entries["name"]
    content = convert(root)
    assert equal_weights(content, wanted)
    assert content["spec"] == wanted["spec"]
    shown = {"encoder_type": "brnn", "brnn_merge": "concat", "layers": 2, "rnn_size": 12, "bridge": "copy"}
    assert shown.items() <= content["options"].items()


def test_encoders_kept_as_instances_and_layers_are_read(lua_model, convert):
    """Before encoders were saved as tables of modules everywhere."""
    root = lua_model("brnn_lstm_concat")
    wanted = convert(root)
    modules = dig(root, "models", "encoder", "modules")
    for index, direction in enumerate(modules.sequence(), start=1):
        modules.entries[float(index)] = TorchObject("onmt.Encoder", 1, direction)
    args = dig(root, "models", "encoder", "args")
    args.entries["merge"] = args.entries.pop("brnn_merge")
    assert equal_weights(convert(root), wanted)


def deep_encoder(root: Table, reduction: float | None) -> None:
    """Make the pyramid one of the first versions, which had no -pdbrnn_merge."""
    encoder = dig(root, "models", "encoder")
    encoder.entries["layers"] = encoder.entries.pop("modules")
    encoder.entries["name"] = "DBiEncoder" if reduction is None else "PDBiEncoder"
    encoder.entries["args"] = Table({} if reduction is None else {"pdbrnn_reduction": reduction})


def test_old_deep_encoders_are_read_but_not_old_pyramids(lua_model, convert):
    root = lua_model("pdbrnn2_lstm_sum")
    wanted = convert(root)
    deep_encoder(root, None)
    content = convert(root)
    assert equal_weights(content, wanted)
    assert spec_of(content).encoder.reduction == 1
    assert content["options"]["encoder_type"] == "dbrnn"
    root = lua_model("pdbrnn2_lstm_sum")
    deep_encoder(root, 2.0)
    with pytest.raises(CheckpointError, match="before -pdbrnn_merge"):
        convert(root)


def test_the_old_generators_are_read(lua_model, convert):
    root = lua_model("tgtfeat1")
    wanted = convert(root)
    modules = dig(root, "models", "decoder", "modules")
    words, feature = dig(modules.get(2.0), "modules", 1.0, "modules").sequence()
    inner = TorchObject("onmt.Generator", 1, Table({"modules": Table({1.0: words})}))
    selected = TorchObject(
        "nn.Sequential", 1, Table({"modules": Table({1.0: inner, 2.0: TorchObject("nn.SelectTable", 1)})})
    )
    both = TorchObject("nn.ConcatTable", 1, Table({"modules": Table({1.0: selected, 2.0: feature})}))
    modules.entries[2.0] = TorchObject("onmt.FeaturesGenerator", 1, Table({"modules": Table({1.0: both})}))
    assert equal_weights(convert(root), wanted)


def test_a_layer_whose_graph_runs_h_first_is_understood(lua_model, convert):
    root = lua_model("rnn_lstm")
    wanted = convert(root)
    for layer in layers_of(root).sequence():
        if layer.class_name == "nn.gModule":
            modules = dig(layer, "modules").entries
            modules[2.0], modules[3.0] = modules[3.0], modules[2.0]
    assert equal_weights(convert(root), wanted)


@pytest.mark.parametrize(
    ("kind", "before", "expected"),
    [
        ("nn.Dropout", (False, True), (0.0, 0.3, 0.0, False)),
        ("nn.Dropout", (True, True), (0.3, 0.3, 0.0, False)),
        ("onmt.VariationalDropout", (False, True), (0.0, 0.3, 0.3, True)),
        ("onmt.VDropout", (True, True), (0.3, 0.3, 0.3, True)),
        ("nn.Dropout", (False, False), (0.0, 0.0, 0.0, False)),
    ],
)
def test_dropout_is_read_from_the_network(lua_model, convert, kind, before, expected):
    root = lua_model("rnn_lstm")
    modules = layers_of(root)
    inside = [one for one in modules.sequence() if one.class_name != "nn.Dropout"]
    variational = kind != "nn.Dropout"
    count = sum(before) + (2 if variational else 0)
    inside += [TorchObject(kind, 1, Table({"p": 0.3})) for _ in range(count)]
    modules.entries = {float(index): one for index, one in enumerate(inside, start=1)}
    stack = spec_of(convert(root)).encoder.stack
    found = (stack.input_dropout, stack.layer_dropout, stack.recurrent_dropout, stack.variational)
    assert found == expected


@pytest.mark.parametrize(
    ("fix", "width", "expected"),
    [(False, None, (0, 0)), (True, None, (8, 0)), ("pretrained", 5.0, (5, 5)), ("pretrained", 8.0, (8, 8))],
)
def test_frozen_word_vectors(lua_model, convert, fix, width, expected):
    root = lua_model("rnn_lstm")
    fields = find(network(root), "onmt.WordEmbedding").fields.entries
    fields.update({"fix": fix, "preTrainedVecSize": width})
    source = spec_of(convert(root)).source
    assert isinstance(source, EmbeddingSpec)
    assert (source.frozen_columns, source.pretrained_columns) == expected


def test_frozen_word_vectors_of_old_models_are_known_from_the_options(lua_model, convert):
    root = lua_model("rnn_lstm")
    del find(network(root), "onmt.WordEmbedding").fields.entries["fix"]
    dig(root, "options").entries["fix_word_vecs_enc"] = 1.0
    assert spec_of(convert(root)).source.frozen_columns == 8


def test_vectors_as_source(lua_model, convert):
    root = lua_model("rnn_lstm")
    graph = dig(network(root), "modules")
    graph.entries[2.0] = TorchObject("nn.Identity", 1)
    dig(root, "dicts").entries.update({"src": None, "srcInputSize": 8.0})
    content = convert(root)
    assert content["data_type"] == "feattext"
    assert spec_of(content).source == VectorSpec(size=8)
    assert Vocabularies.from_state(content["vocabularies"]).src_vector_size == 8
    assert "source.words" not in content["weights"]
    dig(root, "dicts").entries["srcInputSize"] = 9.0
    with pytest.raises(CheckpointError, match="does not read vectors of 9 numbers"):
        convert(root)


def adam_info(root: Table) -> Table:
    """A state in which every number gathered is twice its weight, or its square."""
    states = []
    for part in ("decoder", "encoder"):
        tensor = find(dig(root, "models", part), "nn.LookupTable").get("weight")
        flat = tensor.storage.array
        states.append(Table({"t": 7.0, "m": float_tensor(2 * flat), "v": float_tensor(flat**2)}))
    optimizer = Table({float(index): state for index, state in enumerate(states, start=1)})
    info = {"epoch": 3.0, "iteration": 5.0, "learningRate": 0.01, "validPpl": 8.5, "optimStates": optimizer}
    return Table({**info, "trainTimeInMinute": 1.5})


@pytest.mark.parametrize("name", ["rnn_lstm", "brnn_lstm_concat", "pdbrnn2_lstm_sum", "srcfeat2_sum"])
def test_the_training_state_goes_with_the_weights(lua_model, convert, name):
    root = lua_model(name)
    root.entries["info"] = adam_info(root)
    dig(root, "options").entries.update({"optim": "adam", "learning_rate": 0.02, "decay": "default"})
    content = convert(root)
    training = content["training"]
    assert (training["epoch"], training["iteration"], training["minutes"]) == (3, 5, 1.5)
    assert training["rate"] == {"value": 0.01, "last_score": 8.5, "decaying": True}
    assert training["gold_probability"] == 0.5
    optimizer = training["optimizer"]
    assert (optimizer["name"], optimizer["steps"]) == ("adam", 7)
    for key, weight in content["weights"].items():
        torch.testing.assert_close(optimizer["gathered"]["mean"][key], 2 * weight)
        torch.testing.assert_close(optimizer["gathered"]["squares"][key], weight**2)


def test_frozen_tables_have_no_part_in_the_training_state(lua_model, convert):
    root = lua_model("rnn_lstm")
    root.entries["info"] = adam_info(root)
    dig(root, "options").entries["optim"] = "adam"
    words = find(network(root), "onmt.WordEmbedding")
    words.fields.entries["fix"] = True
    table = find(words, "nn.LookupTable")
    part = table.get("weight").storage.array
    table.fields.entries["weight"] = float_tensor(part[:240].reshape(30, 8).copy())
    for slot in ("m", "v"):
        state = dig(root, "info", "optimStates", 2.0).entries
        state[slot] = float_tensor(state[slot].storage.array[240:])
    shift_parameters(network(root), part)
    optimizer = convert(root)["training"]["optimizer"]
    assert "source.words" not in optimizer["gathered"]["mean"]
    weights = convert(root)["weights"]
    torch.testing.assert_close(
        optimizer["gathered"]["mean"]["encoder.stack.layers.1.bias_hh"],
        2 * weights["encoder.stack.layers.1.bias_hh"],
    )


def shift_parameters(module: TorchObject, storage: np.ndarray) -> None:
    """The layers' parameters in a flat vector of their own, without the first 240 numbers."""
    shorter = Storage("torch.FloatStorage", storage[240:])
    pending = [module]
    while pending:
        module = pending.pop()
        pending.extend(child for child in (dig(module, "modules") or Table()).sequence())
        for name in ("weight", "bias"):
            tensor = module.get(name)
            if module.class_name == "nn.Linear" and tensor is not None:
                module.fields.entries[name] = Tensor(
                    tensor.class_name, tensor.shape, tensor.stride, tensor.offset - 240, shorter
                )


def test_an_optimizer_state_that_does_not_fit_is_left_out_and_noted(lua_model, convert):
    root = lua_model("rnn_lstm")
    root.entries["info"] = adam_info(root)
    dig(root, "options").entries["optim"] = "adam"
    dig(root, "info", "optimStates", 1.0).entries["m"] = float_tensor(np.zeros(3, np.float32))
    content = convert(root)
    assert content["training"]["optimizer"] is None
    assert content["notes"] == ["the state of the optimiser is left out: its 'm' does not have 3921 numbers"]


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
    """Both sides fit themselves, but not each other."""
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
    """All entries of all tables that a model is made of."""
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


def test_the_model_file_of_the_other_tests_is_the_fixture(lua_model, write_t7):
    """They cannot build it themselves; to renew it, write the right side into the left, compressed."""
    stored = Path(__file__).parents[1] / "commands" / "language_model.t7.gz"
    assert gzip.decompress(stored.read_bytes()) == write_t7(lua_model("lm_lstm"))
