"""Models of google/seq2seq whose decoder can see the source learn twenty pairs by heart."""

import itertools
import random
from typing import Any

import pytest
import torch

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.inputs import batch_of
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.translator import Translator
from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes
from onmt.models.networks import Seq2Seq, build_model
from onmt.modules.noise import Noise, TrainingStep
from onmt.runtime.random import torch_generator
from onmt.training.gradients import Clipping
from onmt.training.optim import Adam

PAIR_COUNT = 20
UPDATES = 800
UPDATES_BETWEEN_LOOKS = 20

CELL = {"cell_class": "GRUCell", "cell_params": {"num_units": 32}}
LSTM = {"cell_params": {"num_units": 32}, "num_layers": 2}
CONV = {
    "attention_cnn.units": 32,
    "attention_cnn.layers": 2,
    "output_cnn.units": 32,
    "output_cnn.layers": 2,
    "embedding_dropout_keep_prob": 1.0,
}
ENCODERS: dict[str, dict[str, Any]] = {
    "UnidirectionalRNNEncoder": {"rnn_cell": LSTM, "init_scale": 0.3},
    "BidirectionalRNNEncoder": {"rnn_cell": CELL, "init_scale": 0.3},
    "StackBidirectionalRNNEncoder": {"rnn_cell": {**CELL, "num_layers": 2}, "init_scale": 0.3},
    "ConvEncoder": CONV,
    "PoolingEncoder": {"dropout_keep_prob": 1.0, "pool_size": 3},
}
PROJECTED = {"num_units": 48, "num_proj": 32, "use_peepholes": True, "cell_clip": 10.0, "proj_clip": 5.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "projected": {
        "cell_class": "LSTMCell",
        "cell_params": PROJECTED,
        "num_layers": 2,
        "residual_connections": True,
    },
    "block": {"cell_class": "LSTMBlockCell", "cell_params": {"num_units": 32, "use_peephole": True}},
    "relu": {"cell_class": "GRUCell", "cell_params": {"num_units": 32, "activation": "tensorflow.nn.relu"}},
}
COMBINATIONS = [
    *itertools.product(["AttentionSeq2Seq"], ENCODERS, ["ZeroBridge", "InitialStateBridge"]),
    *itertools.product(["BasicSeq2Seq"], ENCODERS, ["InitialStateBridge"]),
    ("AttentionSeq2Seq", "UnidirectionalRNNEncoder", "PassThroughBridge"),
    ("BasicSeq2Seq", "UnidirectionalRNNEncoder", "PassThroughBridge"),
]


def pairs() -> list[tuple[str, str]]:
    """Pairs of a sequence of letters and the same letters in upper case, reversed."""
    draw = random.Random(4)
    found: dict[str, str] = {}
    while len(found) < PAIR_COUNT:
        words = draw.choices("abcde", k=draw.randint(2, 5))
        found[" ".join(words)] = " ".join(word.upper() for word in reversed(words))
    return list(found.items())


def vocabulary(sentences: list[str]) -> Vocabulary:
    return Vocabulary(
        [*SPECIAL_WORDS, *sorted({word for sentence in sentences for word in sentence.split()})]
    )


def learn(model: str, params: dict[str, Any]) -> tuple[Seq2Seq, Vocabularies]:
    """Train a model until it reproduces all pairs; fail if it cannot learn them."""
    wanted = pairs()
    vocabularies = Vocabularies(
        src=(vocabulary([source for source, _ in wanted]),), tgt=(vocabulary([tgt for _, tgt in wanted]),)
    )
    params = {"embedding.dim": 16, "embedding.init_scale": 0.3, **params}
    sizes = DataSizes((len(vocabularies.src[0]),), (len(vocabularies.tgt[0]),))
    built = build_model(spec_of(read_model(model, params), sizes))
    assert isinstance(built, Seq2Seq)
    built.initialise(0.0, torch_generator(1, "initial parameters"))
    translator = Translator(built, vocabularies, TranslatorOptions(beam_size=1))
    sources = [translator.source(source.split()) for source, _ in wanted]
    references = [translator.reference(target.split()) for _, target in wanted]
    batch = batch_of(sources, references, vocabularies, shifted=True)
    optimizer = Adam(dict(built.named_parameters()))
    right = 0
    for update in range(1, UPDATES + 1):
        loss = built.loss(batch, TrainingStep(Noise(torch_generator(1, "step"))))
        gradients = list(torch.autograd.grad(loss.total, optimizer.parameters, materialize_grads=True))
        Clipping(5.0).apply(gradients, loss.divisor)
        optimizer.step(gradients, 0.01)
        if update % UPDATES_BETWEEN_LOOKS == 0:
            translations = translator.translate(sources, batch_size=PAIR_COUNT)
            found = [" ".join(translation.hypotheses[0].words) for translation in translations]
            right = sum(output == target for output, (_, target) in zip(found, wanted, strict=True))
            if right == PAIR_COUNT:
                return built, vocabularies
    pytest.fail(f"only {right} of {PAIR_COUNT} pairs are right after {UPDATES} updates")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "encoder", "bridge"), COMBINATIONS)
def test_a_model_learns_pairs_by_heart(model: str, encoder: str, bridge: str) -> None:
    params = {
        "encoder.class": encoder,
        "encoder.params": ENCODERS[encoder],
        "decoder.params": {"rnn_cell": LSTM, "init_scale": 0.3},
        "bridge.class": bridge,
    }
    learn(model, params)


@pytest.mark.slow
@pytest.mark.parametrize("block", VARIANTS)
@pytest.mark.parametrize("encoder", ["UnidirectionalRNNEncoder", "BidirectionalRNNEncoder"])
def test_cells_learn_pairs_by_heart(encoder: str, block: str) -> None:
    side = {"rnn_cell": VARIANTS[block], "init_scale": 0.3}
    params = {
        "encoder.class": encoder,
        "encoder.params": side,
        "decoder.params": side,
        "bridge.class": "InitialStateBridge",
    }
    translator = Translator(*learn("AttentionSeq2Seq", params), TranslatorOptions(beam_size=4, n_best=4))
    sentences = [source.split() for source, _ in pairs()] + list(map(list, itertools.permutations("abc")))
    sources = [translator.source(words) for words in sentences]
    together, alone = (
        [
            hypothesis
            for translation in translator.translate(sources, batch_size=size)
            for hypothesis in translation.hypotheses
        ]
        for size in (30, 1)
    )
    assert [hypothesis.words for hypothesis in together] == [hypothesis.words for hypothesis in alone]
    scores = [hypothesis.score for hypothesis in together]
    assert scores == pytest.approx([hypothesis.score for hypothesis in alone], abs=1e-4)
