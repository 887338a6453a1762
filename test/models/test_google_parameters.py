"""Every parameter of google/seq2seq's models: its default, what it changes, and what it refuses.

A row is (path, default, another value, how the change is seen). A path leads through nested parameters. The
last column reads something off a model; it must differ between the default and the other value, and be
what the third column says where it can be compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from onmt.errors import OptionError
from onmt.models.build import build_model
from onmt.models.google import GoogleModel, read_model, spec_of
from onmt.models.google_parameters import (
    ATTENTIONS,
    BRIDGES,
    DECODERS,
    ENCODERS,
    MODELS,
    RNN_CELL,
    class_name,
    deep_merged,
    merged,
)
from onmt.models.lua import DataSizes
from onmt.models.spec import ModelSpec
from onmt.training.schedule import schedule_of
from onmt.training.tensorflow_settings import optimizer_settings

SIZES = DataSizes((20,), (20,))


@dataclass(frozen=True)
class Built:
    """A model as far as it is needed to see what a parameter did."""

    model: GoogleModel
    spec: ModelSpec

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(part.shape) for name, part in build_model(self.spec).named_parameters()}

    def largest(self, prefix: str) -> float:
        """The largest number among new parameters of that name; the bound they were drawn within, nearly."""
        built = build_model(self.spec)
        built.initialise(0.1, torch.Generator().manual_seed(1))
        found = [part for name, part in built.named_parameters() if name.startswith(prefix)]
        return max(float(part.detach().abs().max()) for part in found)

    def rate(self, steps: int) -> float:
        return schedule_of(self.model.parameters).after(steps)


def build(name: str, params: Mapping[str, Any]) -> Built:
    model = read_model(name, params)
    sizes = SIZES
    if name == "Image2Seq":
        size = (model.encoder[1]["resize_height"], model.encoder[1]["resize_width"])
        sizes = DataSizes((), (20,), src_image_size=size)
    return Built(model, spec_of(model, sizes))


def at(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """{path: value}, nested."""
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


@dataclass(frozen=True)
class Row:
    """`beside`: other parameters that this one needs to matter."""

    model: str
    path: tuple[str, ...]
    default: Any
    other: Any
    seen: Callable[[Built], Any]
    beside: Mapping[str, Any]
    exact: Any = None


def row(path: str, default: Any, other: Any, seen: Callable[[Built], Any], **more: Any) -> Row:
    return Row(
        more.get("model", "AttentionSeq2Seq"),
        tuple(path.split(" ")),
        default,
        other,
        seen,
        more.get("beside", {}),
        more.get("exact"),
    )


def policy(name: str) -> Callable[[Built], Any]:
    return lambda built: getattr(built.spec.policies, name)


def stack(side: str, name: str) -> Callable[[Built], Any]:
    return lambda built: getattr(getattr(built.spec, side).stack, name)


def optimizer(name: str) -> Callable[[Built], Any]:
    return lambda built: getattr(optimizer_settings(built.model.parameters), name)


def shape(name: str) -> Callable[[Built], Any]:
    return lambda built: built.shapes.get(name)


DECAY = {"optimizer.lr_decay_type": "exponential_decay", "optimizer.learning_rate": 1.0}
CONV = {"encoder.class": "ConvEncoder"}
POOL = {"encoder.class": "PoolingEncoder"}
SMALL = {"attention_cnn.layers": 2, "output_cnn.layers": 2}
TWO_LAYERS = {"rnn_cell": {"num_layers": 2, "residual_connections": True}}

MODEL_ROWS = [
    row("optimizer.name", "Adam", "SGD", optimizer("name"), exact="SGD"),
    row("optimizer.learning_rate", 1e-4, 0.5, lambda b: b.rate(10), exact=0.5),
    row("optimizer.params", {}, {"epsilon": 0.1}, lambda b: optimizer("params")(b)["epsilon"], exact=0.1),
    row("optimizer.lr_decay_type", "", "exponential_decay", lambda b: b.rate(100), exact=0.99e-4),
    row("optimizer.lr_decay_steps", 100, 50, lambda b: b.rate(100), beside=DECAY, exact=0.99**2),
    row("optimizer.lr_decay_rate", 0.99, 0.5, lambda b: b.rate(100), beside=DECAY, exact=0.5),
    row("optimizer.lr_start_decay_at", 0, 100, lambda b: b.rate(100), beside=DECAY, exact=1.0),
    row("optimizer.lr_stop_decay_at", 2**31 - 1, 100, lambda b: b.rate(500), beside=DECAY, exact=0.99),
    row("optimizer.lr_min_learning_rate", 1e-12, 0.9, lambda b: b.rate(5000), beside=DECAY, exact=0.9),
    row("optimizer.lr_staircase", False, True, lambda b: b.rate(150), beside=DECAY, exact=0.99),
    row("optimizer.clip_gradients", 5.0, 2.0, optimizer("clip_gradients"), exact=2.0),
    row("optimizer.sync_replicas", 0, 2, lambda b: b.model.parameters["optimizer.sync_replicas"], exact=2),
    row(
        "optimizer.sync_replicas_to_aggregate",
        0,
        2,
        lambda b: b.model.parameters["optimizer.sync_replicas_to_aggregate"],
        exact=2,
    ),
    row("optimizer.clip_embed_gradients", 0.1, 0.5, policy("embedding_gradient_clip"), exact=0.5),
    row("source.max_seq_len", 50, 7, policy("source_limit"), exact=7),
    row("source.reverse", True, False, policy("source_reverse"), exact=False),
    row("target.max_seq_len", 50, 7, policy("target_limit"), exact=7),
    row("embedding.dim", 100, 12, shape("source.words"), exact=(20, 12)),
    row("embedding.init_scale", 0.04, 0.5, lambda b: b.largest("source.words") > 0.4, exact=True),
    row("embedding.share", False, True, lambda b: "decoder.embeddings.words" in b.shapes, exact=False),
    row(
        "inference.beam_search.beam_width",
        0,
        4,
        lambda b: b.model.parameters["inference.beam_search.beam_width"],
        exact=4,
    ),
    row(
        "inference.beam_search.length_penalty_weight",
        0.0,
        0.6,
        lambda b: b.model.parameters["inference.beam_search.length_penalty_weight"],
        exact=0.6,
    ),
    row("inference.max_decode_length", 100, 20, lambda b: b.model.max_decode_length, exact=20),
    row("vocab_source", "", "words.txt", lambda b: b.model.parameters["vocab_source"], exact="words.txt"),
    row("vocab_target", "", "words.txt", lambda b: b.model.parameters["vocab_target"], exact="words.txt"),
    row(
        "bridge.class",
        "seq2seq.models.bridges.ZeroBridge",
        "seq2seq.models.bridges.InitialStateBridge",
        shape("bridge.weight"),
        exact=(256, 512),
    ),
    row("bridge.params", {}, {}, lambda b: b.model.bridge[1]),
    row(
        "encoder.class",
        "seq2seq.encoders.BidirectionalRNNEncoder",
        "seq2seq.encoders.UnidirectionalRNNEncoder",
        lambda b: b.spec.encoder.kind,
        exact="rnn",
    ),
    row("encoder.params", {}, {"init_scale": 0.3}, lambda b: b.model.encoder[1]["init_scale"], exact=0.3),
    row(
        "decoder.class",
        "seq2seq.decoders.AttentionDecoder",
        "seq2seq.decoders.BasicDecoder",
        shape("decoder.mix_weight"),
    ),
    row("decoder.params", {}, {"init_scale": 0.3}, lambda b: b.model.decoder[1]["init_scale"], exact=0.3),
    row(
        "attention.class",
        "AttentionLayerBahdanau",
        "seq2seq.decoders.attention.AttentionLayerDot",
        shape("decoder.attention.score_weight"),
    ),
    row("attention.params", {}, {"num_units": 9}, shape("decoder.attention.score_weight"), exact=(9,)),
    row(
        "bridge.class",
        "seq2seq.models.bridges.InitialStateBridge",
        "ZeroBridge",
        shape("bridge.weight"),
        model="BasicSeq2Seq",
    ),
    row(
        "encoder.class",
        "seq2seq.encoders.UnidirectionalRNNEncoder",
        "BidirectionalRNNEncoder",
        lambda b: b.spec.encoder.kind,
        model="BasicSeq2Seq",
        exact="brnn",
    ),
    row("decoder.class", "seq2seq.decoders.BasicDecoder", "BasicDecoder", shape("x"), model="BasicSeq2Seq"),
]


def cell_rows(side: str) -> list[Row]:
    """The rnn_cell block of the encoder or decoder."""
    block = f"{side}.params rnn_cell"
    first = "encoder.bidirectional.forwards." if side == "encoder" else "decoder.stack."
    wide = 100 if side == "encoder" else 356
    two = {f"{side}.params": TWO_LAYERS}
    return [
        row(
            f"{block} cell_class", "BasicLSTMCell", "GRUCell", shape(f"{first}layers.0.bias_ih"), exact=(384,)
        ),
        row(f"{block} cell_params num_units", 128, 10, shape(f"{first}layers.0.weight_ih"), exact=(40, wide)),
        row(
            f"{block} cell_params forget_bias",
            1.0,
            0.0,
            lambda b: getattr(b.spec, side).stack.cell.forget_bias,
            exact=0.0,
        ),
        row(f"{block} num_layers", 1, 3, stack(side, "layers"), exact=3),
        row(f"{block} dropout_input_keep_prob", 1.0, 0.75, stack(side, "input_dropout"), exact=0.25),
        row(f"{block} dropout_output_keep_prob", 1.0, 0.75, stack(side, "output_dropout"), exact=0.25),
        row(
            f"{block} residual_connections",
            False,
            True,
            stack(side, "residual"),
            beside={f"{side}.params": {"rnn_cell": {"num_layers": 2}}},
            exact="add",
        ),
        row(
            f"{block} residual_combiner", "add", "concat", stack(side, "residual"), beside=two, exact="concat"
        ),
        row(f"{block} residual_dense", False, True, stack(side, "residual_dense"), beside=two, exact=True),
    ]


def conv_row(name: str, default: Any, other: Any, seen: Callable[[Built], Any], exact: Any) -> Row:
    beside = {**CONV, "encoder.params": {key: value for key, value in SMALL.items() if key != name}}
    return row(f"encoder.params {name}", default, other, seen, beside=beside, exact=exact)


def encoder_spec(*names: str) -> Callable[[Built], Any]:
    def read(built: Built) -> Any:
        value: Any = built.spec.encoder
        for name in names:
            value = getattr(value, name) if value is not None else None
        return value

    return read


PART_ROWS = [
    *cell_rows("encoder"),
    *cell_rows("decoder"),
    row("encoder.params init_scale", 0.04, 0.5, lambda b: b.largest("encoder.bidir") > 0.4, exact=True),
    row("decoder.params init_scale", 0.04, 0.5, lambda b: b.largest("decoder.stack") > 0.4, exact=True),
    row("decoder.params max_decode_length", 100, 30, lambda b: b.model.max_decode_length, exact=30),
    row("attention.params num_units", 128, 10, shape("decoder.attention.score_weight"), exact=(10,)),
    row(
        "attention.params num_units",
        128,
        10,
        shape("decoder.attention.project_query.weight"),
        beside={"attention.class": "AttentionLayerDot"},
        exact=(10, 128),
    ),
    conv_row("attention_cnn.units", 512, 8, shape("encoder.keys.biases.0"), (8,)),
    conv_row("attention_cnn.kernel_size", 3, 5, encoder_spec("keys", "kernel"), 5),
    conv_row("attention_cnn.layers", 15, 3, encoder_spec("keys", "layers"), 3),
    conv_row("output_cnn.units", 256, 8, shape("encoder.values.biases.0"), (8,)),
    conv_row("output_cnn.kernel_size", 3, 5, encoder_spec("values", "kernel"), 5),
    conv_row("output_cnn.layers", 5, 3, encoder_spec("values", "layers"), 3),
    conv_row("embedding_dropout_keep_prob", 0.8, 0.5, encoder_spec("input_dropout"), 0.5),
    *(
        row(f"encoder.params {name}", default, other, seen, beside=beside, exact=exact)
        for beside in (CONV, POOL)
        for name, default, other, seen, exact in (
            ("position_embeddings.enable", True, False, encoder_spec("positions"), None),
            (
                "position_embeddings.combiner_fn",
                "tensorflow.multiply",
                "tensorflow.add",
                encoder_spec("positions", "combine"),
                "add",
            ),
            ("position_embeddings.num_positions", 100, 60, encoder_spec("positions", "count"), 60),
        )
    ),
    row("encoder.params dropout_keep_prob", 0.8, 0.5, encoder_spec("input_dropout"), beside=POOL, exact=0.5),
    row(
        "encoder.params pooling_fn",
        "tensorflow.layers.average_pooling1d",
        "tensorflow.layers.max_pooling1d",
        encoder_spec("pool"),
        beside=POOL,
        exact="max",
    ),
    row("encoder.params pool_size", 5, 3, encoder_spec("size"), beside=POOL, exact=3),
    row(
        "bridge.params activation_fn",
        "tensorflow.identity",
        "tensorflow.tanh",
        lambda b: b.spec.bridge.activation,
        beside={"bridge.class": "InitialStateBridge"},
        exact="tanh",
    ),
]

IMAGE_ROWS = [
    replace(one, model="Image2Seq")
    for one in (
        row("target.max_seq_len", 50, 7, policy("target_limit"), exact=7),
        row("embedding.dim", 100, 12, lambda b: b.spec.decoder.embedding.output_size, exact=12),
        row("attention.params num_units", 128, 9, lambda b: b.spec.decoder.attention.units, exact=9),
        row(
            "attention.params",
            {"num_units": 128},
            {"num_units": 9},
            lambda b: b.spec.decoder.attention.units,
            exact=9,
        ),
        row("bridge.class", "ZeroBridge", "InitialStateBridge", lambda b: b.spec.bridge.kind, exact="dense"),
        row("encoder.params resize_height", 299, 151, lambda b: b.spec.source.height, exact=151),
        row("encoder.params resize_width", 299, 151, lambda b: b.spec.source.width, exact=151),
        row(
            "encoder.params final_endpoint",
            "Mixed_7c",
            "Mixed_5d",
            encoder_spec("endpoint"),
            exact="Mixed_5d",
        ),
    )
]

ONLY_ACCEPTED = [  # one value is all there can be
    (("inference.beam_search.choose_successors_fn",), "choose_top_k", {}),
    (("encoder.params", "strides"), 1, POOL),
    (("bridge.params", "bridge_input"), "final_state", {"bridge.class": "InitialStateBridge"}),
]

ROWS = MODEL_ROWS + PART_ROWS + IMAGE_ROWS


def name_of(row: Row) -> str:
    return f"{row.model[:5]} {' '.join(row.path)}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_default_and_effect(row: Row) -> None:
    beside = row.beside
    untouched = build(row.model, beside)
    by_hand = build(row.model, deep_merged(beside, at(row.path, row.default)))
    assert by_hand.spec == untouched.spec
    assert by_hand.model.parameters["optimizer.name"] == untouched.model.parameters["optimizer.name"]
    assert row.seen(by_hand) == row.seen(untouched)
    if row.path == ("bridge.params",) or (row.model == "BasicSeq2Seq" and row.path == ("decoder.class",)):
        return  # there is nothing else it could be
    changed = build(row.model, deep_merged(beside, at(row.path, row.other)))
    assert row.seen(changed) != row.seen(untouched)
    assert row.seen(changed) == (pytest.approx(row.exact) if isinstance(row.exact, float) else row.exact)


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_wrong_type_is_refused(row: Row) -> None:
    wrong: Any = {bool: "false", int: 2.5, float: "0.1", str: 3, dict: "x"}[type(row.default)]
    with pytest.raises(OptionError, match=f"{row.path[-1]}.* must "):
        build(row.model, deep_merged(row.beside, at(row.path, wrong)))


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_null_keeps_the_default(row: Row) -> None:
    given = build(row.model, deep_merged(row.beside, at(row.path, None)))
    assert row.seen(given) == row.seen(build(row.model, row.beside))


@pytest.mark.parametrize(("path", "value", "beside"), ONLY_ACCEPTED)
def test_parameters_of_one_value(path: tuple[str, ...], value: Any, beside: Mapping[str, Any]) -> None:
    by_hand = build("AttentionSeq2Seq", deep_merged(beside, at(path, value)))
    assert by_hand.spec == build("AttentionSeq2Seq", beside).spec
    other = 2 if isinstance(value, int) else "something_else"
    with pytest.raises(OptionError, match=path[-1]):
        build("AttentionSeq2Seq", deep_merged(beside, at(path, other)))


def test_no_parameter_is_left_out() -> None:
    tested = {(row.model, row.path) for row in ROWS}
    tested |= {("AttentionSeq2Seq", path) for path, _, _ in ONLY_ACCEPTED}
    own = {("AttentionSeq2Seq", (name,)) for name in MODELS["AttentionSeq2Seq"]}
    differing = {
        ("BasicSeq2Seq", (name,))
        for name, value in MODELS["BasicSeq2Seq"].items()
        if MODELS["AttentionSeq2Seq"][name] != value
    }
    parts = {
        ("AttentionSeq2Seq", (f"{part}.params", name))
        for part, classes in (
            ("encoder", ENCODERS),
            ("decoder", DECODERS),
            ("attention", ATTENTIONS),
            ("bridge", BRIDGES),
        )
        for kind, params in classes.items()
        for name in params
        if kind != "InceptionV3Encoder" and name != "rnn_cell"
    }
    parts |= {("Image2Seq", ("encoder.params", name)) for name in ENCODERS["InceptionV3Encoder"]}
    cells = {
        ("AttentionSeq2Seq", (f"{side}.params", "rnn_cell", *path))
        for side in ("encoder", "decoder")
        for path in [(name,) for name in RNN_CELL if name != "cell_params"]
        + [("cell_params", name) for name in ("num_units", "forget_bias")]  # others: test_google_cells.py
    }
    assert (own | differing | parts | cells) <= tested
    assert {path for model, path in tested if model != "Image2Seq"} <= {
        path for _, path in own | differing | parts | cells
    }


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"embeding.dim": 3}, "no parameter 'embeding.dim'; did you mean embedding.dim?"),
        ({"encoder.class": "os.system"}, "encoder.class 'os.system' is not known"),
        ({"encoder.class": "my.BidirectionalRNNEncoder"}, "is not known; did you mean Bidirectional"),
        ({"encoder.params": {"rnn_cel": {}}}, "'rnn_cel'; did you mean rnn_cell?"),
        ({"decoder.params": {"rnn_cell": {"cell_class": "NASCell"}}}, "cell_class 'NASCell' is not known"),
        ({"decoder.params": {"rnn_cell": {"cell_params": {"use_peepholes": True}}}}, "'use_peepholes'"),
        ({"decoder.params": {"rnn_cell": {"num_layers": 0}}}, "must be at least 1"),
        ({"decoder.params": {"rnn_cell": {"dropout_input_keep_prob": 0.0}}}, "above 0 and at most 1"),
        ({"decoder.params": {"rnn_cell": {"residual_combiner": "sum"}}}, "add, mean or concat"),
        ({"encoder.params": {"init_scale": -1.0}}, "init_scale must be at least 0"),
        ({**POOL, "encoder.params": {"pool_size": 0}}, "pool_size must be at least 1"),
        ({**POOL, "encoder.params": {"pooling_fn": "tensorflow.layers.conv1d"}}, "pooling_fn must be"),
        ({**CONV, "encoder.params": {"position_embeddings.combiner_fn": "f"}}, "combiner_fn must be"),
        ({**CONV, "encoder.params": {"output_cnn.units": 0}}, "output_cnn needs"),
        ({**CONV, "encoder.params": {"embedding_dropout_keep_prob": 2.0}}, "at most 1"),
        ({"encoder.class": "InceptionV3Encoder"}, "does not go with --model"),
        ({"attention.params": {"num_units": 0}}, "num_units must be at least 1"),
        ({"bridge.class": "PassThroughBridge"}, "cannot hand on the states of BidirectionalRNNEncoder"),
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
        build("AttentionSeq2Seq", params)
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
        (DataSizes((20, 5), (20,)), "no word features"),
        (DataSizes((), (20,), src_vector_size=8), "the source of this data is vectors"),
    ],
)
def test_data_that_does_not_fit(sizes: DataSizes, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        spec_of(read_model("AttentionSeq2Seq", {"embedding.share": True}), sizes)


@pytest.mark.parametrize(
    "name",
    [
        "AttentionSeq2Seq",
        "seq2seq.models.AttentionSeq2Seq",
        "seq2seq.models.attention_seq2seq.AttentionSeq2Seq",
    ],
)
def test_class_names_may_be_qualified(name: str) -> None:
    assert class_name(name, MODELS, "--model") == "AttentionSeq2Seq"


def test_nothing_is_cast() -> None:
    assert merged({"a": 1.0}, {"a": 3}, "x") == {"a": 3.0}
    for default, value in ((False, "false"), (False, 1), (1, True), (1, 2.0), (1.0, "2"), ("a", 1), ({}, [])):
        with pytest.raises(OptionError, match="must"):
            merged({"a": default}, {"a": value}, "x")


def test_nested_mappings_merge_and_all_else_is_replaced() -> None:
    lower = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": {"g": 1}}
    upper = {"a": {"c": {"h": 3}}, "e": [2], "f": 4}
    assert deep_merged(lower, upper) == {"a": {"b": 1, "c": {"d": 2, "h": 3}}, "e": [2], "f": 4}
    assert lower["a"] == {"b": 1, "c": {"d": 2}}
