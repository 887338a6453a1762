"""Conversion of the original program's models."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from lua_tables import dig, equal_weights, find, float_tensor, layers_of, network, spec_of

from onmt.checkpoint import load_checkpoint, save_checkpoint
from onmt.data.vocabulary import Vocabularies
from onmt.errors import CheckpointError
from onmt.models.loading import load_model
from onmt.spec.model import EmbeddingSpec, VectorSpec
from onmt.torch7.convert import convert_model
from onmt.torch7.objects import LuaFunction, Table, TorchObject


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
    labels.entries[30.0] = "caf\udce9"  # a byte that isn't UTF-8
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
    """A model as saved by the first versions of the original converts to the same weights and spec."""
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
    """Encoders saved as instances, as in earlier versions of the original, convert to the same weights."""
    root = lua_model("brnn_lstm_concat")
    wanted = convert(root)
    modules = dig(root, "models", "encoder", "modules")
    for index, direction in enumerate(modules.sequence(), start=1):
        modules.entries[float(index)] = TorchObject("onmt.Encoder", 1, direction)
    args = dig(root, "models", "encoder", "args")
    args.entries["merge"] = args.entries.pop("brnn_merge")
    assert equal_weights(convert(root), wanted)


def deep_encoder(root: Table, reduction: float | None) -> None:
    """Store the pyramidal encoder as the first versions did, without -pdbrnn_merge.

    With `reduction` None it becomes a deep bidirectional encoder without time reduction.
    """
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


def test_the_model_file_of_the_other_tests_is_the_fixture(lua_model, write_t7):
    """The copy for test/commands is up to date; to renew it, write the right side to it, gzipped."""
    stored = Path(__file__).parents[1] / "commands" / "language_model.t7.gz"
    assert gzip.decompress(stored.read_bytes()) == write_t7(lua_model("lm_lstm"))
