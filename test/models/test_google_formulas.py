"""Whole models of google/seq2seq against a numpy reference in double precision."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onmt.constants import BOS, EOS
from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes
from onmt.models.networks import Seq2Seq, build_model

_SPEC = importlib.util.spec_from_file_location(
    "google_reference", Path(__file__).with_name("google_reference.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(reference)

SOURCES = [[4, 7, 5, 6, 8], [8, 4], [5, 5, 9]]
TARGET = [BOS, 4, 6, 5]

LSTM = {"cell_params": {"num_units": 6}}
PROJECTED = {"cell_class": "LSTMCell", "cell_params": {"num_units": 6, "num_proj": 4}}
EVERYTHING = {
    "num_units": 6,
    "forget_bias": 0.3,
    "use_peepholes": True,
    "cell_clip": 0.3,
    "num_proj": 4,
    "proj_clip": 0.2,
    "activation": "tensorflow.sigmoid",
}
STACKS: dict[str, dict[str, Any]] = {
    "lstm": LSTM,
    "forget bias": {"cell_params": {"num_units": 6, "forget_bias": 0.3}},
    "gru": {"cell_class": "GRUCell", "cell_params": {"num_units": 6}},
    "tanh": {"cell_class": "BasicRNNCell", "cell_params": {"num_units": 6}},
    "two layers": {**LSTM, "num_layers": 2},
    "lstm relu": {"cell_params": {"num_units": 6, "activation": "tensorflow.nn.relu"}},
    "gru identity": {
        "cell_class": "GRUCell",
        "cell_params": {"num_units": 6, "activation": "tensorflow.identity"},
    },
    "relu": {
        "cell_class": "BasicRNNCell",
        "cell_params": {"num_units": 6, "activation": "tensorflow.nn.relu"},
    },
    "gru block": {"cell_class": "GRUBlockCell", "cell_params": {"num_units": 6}},
    "lstm block": {"cell_class": "LSTMBlockCell", "cell_params": {"num_units": 6, "use_peephole": True}},
    "peepholes": {"cell_class": "LSTMCell", "cell_params": {"num_units": 6, "use_peepholes": True}},
    "clipped": {"cell_class": "LSTMCell", "cell_params": {"num_units": 6, "cell_clip": 0.2}},
    "projected": PROJECTED,
    "everything": {"cell_class": "LSTMCell", "cell_params": EVERYTHING, "num_layers": 2},
    **{
        f"projected {combiner}{' dense' * dense}": {
            **PROJECTED,
            "num_layers": 3,
            "residual_connections": True,
            "residual_combiner": combiner,
            "residual_dense": dense,
        }
        for combiner in ("add", "concat")
        for dense in (False, True)
    },
    **{
        f"{combiner}{' dense' * dense}": {
            **LSTM,
            "num_layers": 3,
            "residual_connections": True,
            "residual_combiner": combiner,
            "residual_dense": dense,
        }
        for combiner in ("add", "mean", "concat")
        for dense in (False, True)
    },
}


def model_of(name: str, **params: Any) -> tuple[Seq2Seq, dict[str, Any]]:
    """Return a model in double precision with random parameters, and the parameters as arrays by name."""
    params = {"embedding.dim": 5, **{key.replace("__", "."): value for key, value in params.items()}}
    if name == "AttentionSeq2Seq":
        params.setdefault("attention.params", {"num_units": 4})
    model = build_model(spec_of(read_model(name, params), DataSizes((10,), (9,)))).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7, generator=generator)
    model.settle()
    assert isinstance(model, Seq2Seq)
    return model, {key: value.detach().numpy() for key, value in model.named_parameters()}


def log_probs_of(model: Seq2Seq) -> list[np.ndarray]:
    """Return the model's log-probabilities of TARGET for each source, computed in one padded batch."""
    longest = max(map(len, SOURCES))
    src = torch.tensor([source + [0] * (longest - len(source)) for source in SOURCES])[..., None]
    lengths = torch.tensor([len(source) for source in SOURCES])
    tokens = torch.tensor([TARGET] * len(SOURCES))[..., None]
    with torch.no_grad():
        encoding = model.encode(src, lengths)
        outputs = model.decoder(tokens, encoding, model.bridge(encoding.states), None)
        return list(model.generator(outputs)[0].numpy())


def read_sources(reverse: bool = True) -> list[list[int]]:
    """Return the sources as the encoder reads them: with an end symbol, and reversed if `reverse`."""
    ended = [[*source, EOS] for source in SOURCES]
    return [source[::-1] for source in ended] if reverse else ended


def both_directions(forward: Any, backward: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    ahead, _ = forward.run(inputs)
    back, _ = backward.run(inputs[::-1])
    return [np.concatenate(pair) for pair in zip(ahead, back[::-1], strict=True)]


@pytest.mark.parametrize("block", STACKS)
@pytest.mark.parametrize("attention", ["AttentionLayerBahdanau", "AttentionLayerDot"])
def test_attention_over_a_bidirectional_encoder(block: str, attention: str) -> None:
    cells = STACKS[block]
    model, tensors = model_of(
        "AttentionSeq2Seq",
        attention__class=attention,
        encoder__params={"rnn_cell": cells},
        decoder__params={"rnn_cell": STACKS["gru"]},
    )
    forward, backward = (
        reference.Stack(cells, tensors, f"encoder.bidirectional.{way}") for way in ("forwards", "backwards")
    )
    decoder = reference.Stack(STACKS["gru"], tensors, "decoder.stack")
    for source, computed in zip(read_sources(), log_probs_of(model), strict=True):
        memory = both_directions(forward, backward, list(tensors["source.words"][source]))
        expected = reference.attention_decoder(
            TARGET, decoder, decoder.start(), memory, memory, tensors, attention
        )
        np.testing.assert_allclose(computed, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("block", STACKS)
def test_residual_decoders(block: str) -> None:
    model, tensors = model_of(
        "AttentionSeq2Seq",
        source__reverse=False,
        encoder__params={"rnn_cell": LSTM},
        decoder__params={"rnn_cell": STACKS[block]},
    )
    forward, backward = (
        reference.Stack(LSTM, tensors, f"encoder.bidirectional.{way}") for way in ("forwards", "backwards")
    )
    decoder = reference.Stack(STACKS[block], tensors, "decoder.stack")
    for source, computed in zip(read_sources(False), log_probs_of(model), strict=True):
        memory = both_directions(forward, backward, list(tensors["source.words"][source]))
        expected = reference.attention_decoder(
            TARGET, decoder, decoder.start(), memory, memory, tensors, "AttentionLayerBahdanau"
        )
        np.testing.assert_allclose(computed, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("block", ["gru", "projected"])
def test_stacked_bidirectional_layers(block: str) -> None:
    cells = {**STACKS[block], "num_layers": 2, "residual_connections": True}  # no effect in this encoder
    model, tensors = model_of(
        "AttentionSeq2Seq",
        encoder__class="seq2seq.encoders.StackBidirectionalRNNEncoder",
        encoder__params={"rnn_cell": cells},
        decoder__params={"rnn_cell": LSTM},
    )
    decoder = reference.Stack(LSTM, tensors, "decoder.stack")
    for source, computed in zip(read_sources(), log_probs_of(model), strict=True):
        memory = list(tensors["source.words"][source])
        for level in range(2):
            forward, backward = (
                reference.Stack(STACKS[block], tensors, f"encoder.levels.{level}.{way}")
                for way in ("forwards", "backwards")
            )
            memory = both_directions(forward, backward, memory)
        expected = reference.attention_decoder(
            TARGET, decoder, decoder.start(), memory, memory, tensors, "AttentionLayerBahdanau"
        )
        np.testing.assert_allclose(computed, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("combiner", ["multiply", "add"])
def test_convolutions(combiner: str) -> None:
    model, tensors = model_of(
        "AttentionSeq2Seq",
        encoder__class="ConvEncoder",
        encoder__params={
            "attention_cnn.units": 7,
            "attention_cnn.layers": 3,
            "attention_cnn.kernel_size": 4,
            "output_cnn.units": 3,
            "output_cnn.layers": 2,
            "position_embeddings.combiner_fn": f"tensorflow.{combiner}",
            "position_embeddings.num_positions": 12,
        },
        decoder__params={"rnn_cell": LSTM},
    )
    decoder = reference.Stack(LSTM, tensors, "decoder.stack")
    code = reference.position_code(12, 5)
    for source, computed in zip(read_sources(), log_probs_of(model), strict=True):
        words, places = tensors["source.words"][source], code[: len(source)]
        inputs = words * places if combiner == "multiply" else words + places
        keys = reference.convolutions(inputs, tensors, "encoder.keys", 3)
        values = reference.convolutions(inputs, tensors, "encoder.values", 2)
        expected = reference.attention_decoder(
            TARGET, decoder, decoder.start(), list(keys), list(values), tensors, "AttentionLayerBahdanau"
        )
        np.testing.assert_allclose(computed, expected, rtol=1e-6, atol=1e-7)  # position codes are float32


@pytest.mark.parametrize("pooling", ["average_pooling1d", "max_pooling1d"])
def test_pooling_compares_pooled_vectors_and_averages_plain_ones(pooling: str) -> None:
    model, tensors = model_of(
        "AttentionSeq2Seq",
        encoder__class="PoolingEncoder",
        encoder__params={
            "pooling_fn": f"tensorflow.layers.{pooling}",
            "pool_size": 3,
            "position_embeddings.enable": False,
        },
        decoder__params={"rnn_cell": LSTM},
    )
    decoder = reference.Stack(LSTM, tensors, "decoder.stack")
    reduce = np.mean if pooling == "average_pooling1d" else np.max
    for source, computed in zip(read_sources(), log_probs_of(model), strict=True):
        words = tensors["source.words"][source]
        keys = [reduce(words[max(0, t - 1) : t + 2], axis=0) for t in range(len(words))]
        expected = reference.attention_decoder(
            TARGET, decoder, decoder.start(), keys, list(words), tensors, "AttentionLayerBahdanau"
        )
        np.testing.assert_allclose(computed, expected, rtol=1e-9, atol=1e-11)


ACTIVATIONS = {"identity": lambda x: x, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_bridge_maps_all_states_at_once(activation: str) -> None:
    cells = {**LSTM, "num_layers": 2}
    model, tensors = model_of(
        "BasicSeq2Seq",
        bridge__params={"activation_fn": f"tensorflow.{activation}"},
        encoder__params={"rnn_cell": cells},
        decoder__params={"rnn_cell": STACKS["gru"]},
    )
    encoder = reference.Stack(cells, tensors, "encoder.stack")
    decoder = reference.Stack(STACKS["gru"], tensors, "decoder.stack")
    for source, computed in zip(read_sources(), log_probs_of(model), strict=True):
        _, final = encoder.run(list(tensors["source.words"][source]))
        mapped = tensors["bridge.weight"] @ np.concatenate(final) + tensors["bridge.bias"]
        states = [[ACTIVATIONS[activation](mapped)]]
        for token, predicted in zip(TARGET, computed, strict=True):
            output, states = decoder.step(tensors["decoder.embeddings.words"][token], states)
            logits = tensors["generator.weights.0"] @ output + tensors["generator.biases.0"]
            np.testing.assert_allclose(predicted, reference.log_softmax(logits), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("encoder_block", ["everything", "gru"])
@pytest.mark.parametrize("decoder_block", ["everything", "projected add"])
def test_the_bridge_splits_by_the_width_of_each_state(encoder_block: str, decoder_block: str) -> None:
    model, tensors = model_of(
        "BasicSeq2Seq",
        encoder__params={"rnn_cell": STACKS[encoder_block]},
        decoder__params={"rnn_cell": STACKS[decoder_block]},
    )
    encoder = reference.Stack(STACKS[encoder_block], tensors, "encoder.stack")
    decoder = reference.Stack(STACKS[decoder_block], tensors, "decoder.stack")
    for source, computed in zip(read_sources(), log_probs_of(model), strict=True):
        _, final = encoder.run(list(tensors["source.words"][source]))
        mapped = tensors["bridge.weight"] @ np.concatenate(final) + tensors["bridge.bias"]
        parts = np.split(mapped, np.cumsum([6, 4] * len(decoder.cells))[:-1])
        states = [parts[layer : layer + 2] for layer in range(0, len(parts), 2)]
        for token, predicted in zip(TARGET, computed, strict=True):
            output, states = decoder.step(tensors["decoder.embeddings.words"][token], states)
            logits = tensors["generator.weights.0"] @ output + tensors["generator.biases.0"]
            np.testing.assert_allclose(predicted, reference.log_softmax(logits), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("block", ["lstm", "projected"])
def test_states_are_handed_on_unchanged(block: str) -> None:
    cells = STACKS[block]
    model, tensors = model_of(
        "BasicSeq2Seq",
        bridge__class="PassThroughBridge",
        encoder__params={"rnn_cell": cells},
        decoder__params={"rnn_cell": cells},
    )
    encoder = reference.Stack(cells, tensors, "encoder.stack")
    decoder = reference.Stack(cells, tensors, "decoder.stack")
    for source, computed in zip(read_sources(), log_probs_of(model), strict=True):
        _, final = encoder.run(list(tensors["source.words"][source]))
        output, _ = decoder.step(tensors["decoder.embeddings.words"][BOS], [final])
        logits = tensors["generator.weights.0"] @ output + tensors["generator.biases.0"]
        np.testing.assert_allclose(computed[0], reference.log_softmax(logits), rtol=1e-9, atol=1e-11)


def test_without_bridge_and_attention_the_source_is_not_heard() -> None:
    model, _ = model_of(
        "BasicSeq2Seq",
        bridge__class="ZeroBridge",
        encoder__params={"rnn_cell": LSTM},
        decoder__params={"rnn_cell": LSTM},
    )
    first, *others = log_probs_of(model)
    for other in others:
        np.testing.assert_array_equal(first, other)
