"""Every combination of encoder, cell, bridge and attention learns twenty pairs by heart, to the last word."""

import itertools
import random
from typing import Literal

import pytest

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.inputs import batch_of
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.translator import Translator
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.noise import Noise, TrainingStep
from onmt.runtime.random import torch_generator
from onmt.training.gradients import Clipping
from onmt.training.optim import Adam

Encoder = Literal["rnn", "brnn", "dbrnn", "pdbrnn", "gnmt", "cnn"]
Cell = Literal["LSTM", "GRU"]
Bridge = Literal["copy", "dense", "dense_nonlinear", "none"]
Attention = Literal["general", "dot", "concat", "none"]
Pairs = list[tuple[str, str]]

ENCODERS: list[Encoder] = ["rnn", "brnn", "dbrnn", "pdbrnn", "gnmt", "cnn"]
CELLS: list[Cell] = ["LSTM", "GRU"]
BRIDGES: list[Bridge] = ["copy", "dense", "dense_nonlinear", "none"]
ATTENTIONS: list[Attention] = ["general", "dot", "concat", "none"]
COMBINATIONS = [
    (encoder, cell, bridge, attention)
    for encoder, cell, bridge, attention in itertools.product(ENCODERS, CELLS, BRIDGES, ATTENTIONS)
    if not (encoder == "cnn" and bridge == "copy")  # refused: see test_lua.py
]

PAIR_COUNT = 20
UPDATES = 600
UPDATES_BETWEEN_LOOKS = 20
LEARNING_RATE = 0.01
LARGEST_GRADIENT = 5.0
PARAM_INIT = 0.3  # suits a small model; the default 0.1 needs four times as many updates


def pairs(last_word_tells_all: bool) -> Pairs:
    """Return pairs of a sequence of letters and the same letters in upper case, reversed.

    With `last_word_tells_all` each source ends in a unique word, for models that see only the last word.
    """
    draw = random.Random(4)
    found: dict[str, str] = {}
    while len(found) < PAIR_COUNT:
        words = draw.choices("abcde", k=draw.randint(2, 5))
        if last_word_tells_all:
            words[-1] = f"z{len(found)}"
        found[" ".join(words)] = " ".join(word.upper() for word in reversed(words))
    return list(found.items())


def vocabulary(sentences: list[str]) -> Vocabulary:
    words = sorted({word for sentence in sentences for word in sentence.split()})
    return Vocabulary([*SPECIAL_WORDS, *words])


def options(
    encoder: Encoder, cell: Cell, bridge: Bridge, attention: Attention, input_feed: bool
) -> Seq2SeqModelOptions:
    chosen = Seq2SeqModelOptions(
        encoder_type=encoder,
        rnn_type=cell,
        bridge=bridge,
        attention="none" if attention == "none" else "global",
        global_attention="general" if attention == "none" else attention,
        input_feed=input_feed,
        layers=2,
        rnn_size=32,
        cnn_size=32,
        word_vec_size=16,
        brnn_merge="concat" if encoder == "dbrnn" else "sum",
        pdbrnn_merge="sum" if cell == "GRU" else "concat",
        dropout=0.0,
    )
    chosen.check()
    return chosen


def updates_to_exactness(chosen: Seq2SeqModelOptions, wanted: Pairs) -> int:
    """Return the number of updates until greedy search gives every target; fail after UPDATES."""
    vocabularies = Vocabularies(
        src=(vocabulary([source for source, _ in wanted]),),
        tgt=(vocabulary([target for _, target in wanted]),),
    )
    sizes = DataSizes((len(vocabularies.src[0]),), (len(vocabularies.tgt[0]),))
    model = build_model(spec_from_options(chosen, sizes))
    assert isinstance(model, Seq2Seq)
    model.initialise(PARAM_INIT, torch_generator(1, "initial parameters"))
    translator = Translator(model, vocabularies, TranslatorOptions(beam_size=1))
    sources = [translator.source(source.split()) for source, _ in wanted]
    references = [translator.reference(target.split()) for _, target in wanted]
    batch = batch_of(sources, references, vocabularies, shifted=True)
    optimizer = Adam(dict(model.named_parameters()))
    step = TrainingStep(Noise(torch_generator(1, "step")))
    right = 0
    for update in range(1, UPDATES + 1):
        model.zero_grad()
        model.loss(batch, step).total.backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert len(gradients) == len(optimizer.parameters)
        Clipping(LARGEST_GRADIENT).apply(gradients, batch.size)
        optimizer.step(gradients, LEARNING_RATE)
        if update % UPDATES_BETWEEN_LOOKS == 0:
            translations = translator.translate(sources, batch_size=PAIR_COUNT)
            found = [" ".join(translation.hypotheses[0].words) for translation in translations]
            right = sum(output == target for output, (_, target) in zip(found, wanted, strict=True))
            if right == PAIR_COUNT:
                return update
    pytest.fail(f"only {right} of {PAIR_COUNT} pairs are right after {UPDATES} updates")


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "cell", "bridge", "attention"), COMBINATIONS)
def test_a_model_learns_pairs_by_heart(
    encoder: Encoder, cell: Cell, bridge: Bridge, attention: Attention
) -> None:
    # Convolutions look ahead, not back: their output at the last position depends on the last word alone.
    last_word_only = encoder == "cnn" and bridge == "none" and attention == "none"
    updates_to_exactness(options(encoder, cell, bridge, attention, True), pairs(last_word_only))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "cell", "bridge", "attention"),
    [
        ("rnn", "LSTM", "copy", "none"),
        ("brnn", "GRU", "dense", "general"),
        ("gnmt", "LSTM", "copy", "concat"),
        ("cnn", "GRU", "dense_nonlinear", "dot"),
    ],
)
def test_a_model_without_input_feed_learns_pairs_by_heart(
    encoder: Encoder, cell: Cell, bridge: Bridge, attention: Attention
) -> None:
    updates_to_exactness(options(encoder, cell, bridge, attention, False), pairs(False))
