from dataclasses import replace
from typing import Any

import pytest
import torch

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import OptionError
from onmt.google.settings import to_text
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import build_model
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions
from onmt.training.optim import OPTIMIZERS
from onmt.training.options import TrainSeq2SeqOptions
from onmt.training.recipe import Recipe
from onmt.training.restart import VocabularyUpdate, _move_rows


def vocabulary(words: str) -> Vocabulary:
    return Vocabulary([*SPECIAL_WORDS, *words.split()])


OLD = Vocabularies(src=(vocabulary("a b c"), vocabulary("X Y")), tgt=(vocabulary("p q r"),))
DATA = Vocabularies(src=(vocabulary("c d a"), vocabulary("Y Z")), tgt=(vocabulary("r s"),))


def test_rows_follow_their_words() -> None:
    rows = torch.arange(14.0).reshape(7, 2)
    moved = _move_rows(rows, OLD.src[0], DATA.src[0], 0.5)
    assert torch.equal(moved[:4], rows[:4])
    assert torch.equal(moved[4], rows[6])  # c
    assert torch.equal(moved[5], torch.full((2,), 0.5))  # d is new
    assert torch.equal(moved[6], rows[4])  # a


def test_replacing_takes_the_data_s_words() -> None:
    assert VocabularyUpdate.of(OLD, DATA, "replace").new == DATA


def test_merging_appends_what_the_data_lacks() -> None:
    merged = VocabularyUpdate.of(OLD, DATA, "merge").new
    assert merged.src[0].words[4:] == ("c", "d", "a", "b")
    assert merged.src[1].words[4:] == ("Y", "Z", "X")
    assert merged.tgt[0].words[4:] == ("r", "s", "p", "q")


def test_other_features_are_refused() -> None:
    with pytest.raises(OptionError, match="number of word features"):
        VocabularyUpdate.of(OLD, replace(DATA, src=DATA.src[:1]), "replace")


def test_a_translation_model_and_its_optimiser_move_together() -> None:
    options = Seq2SeqModelOptions(rnn_size=4, word_vec_size=3, layers=1)
    spec = spec_from_options(options, DataSizes(src=(7, 6), tgt=(7,)))
    model = build_model(spec)
    model.initialise(0.1, torch.Generator().manual_seed(1))
    weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = OPTIMIZERS["adam"](weights)
    optimizer.step([torch.ones_like(weight) for weight in weights.values()], 0.1)
    update = VocabularyUpdate.of(OLD, DATA, "merge")

    new_model = build_model(update.spec(spec))
    moved = update.tensors(weights)
    shapes = {name: parameter.shape for name, parameter in new_model.named_parameters()}
    assert {name: tensor.shape for name, tensor in moved.items()} == shapes
    assert torch.equal(moved["source.words"][4], weights["source.words"][6])
    assert torch.equal(moved["source.features.0"][6], weights["source.features.0"][4])
    assert torch.equal(moved["decoder.embeddings.words"][4], weights["decoder.embeddings.words"][6])
    assert torch.equal(moved["generator.biases.0"][4], weights["generator.biases.0"][6])
    assert moved["generator.biases.0"][5] == 0
    OPTIMIZERS["adam"](moved).load_state(update.optimizer_state(optimizer.to_state(), {}))


@pytest.mark.parametrize(
    ("chosen", "initial"),
    [
        ({"name": "Adagrad", "params": {"initial_accumulator_value": 0.25}}, {"squares": 0.25}),
        ({"name": "RMSProp", "params": {"centered": True}}, {"squares": 1.0}),
        ({"name": "Ftrl", "params": {}}, {"squares": 0.1}),
        ({"name": "Momentum", "params": {"momentum": 0.5}}, {"velocity": 0.0}),
        ({"name": "Adam", "params": {}}, {}),
    ],
)
def test_the_optimiser_begins_anew_with_new_words(chosen: dict[str, Any], initial: dict[str, float]) -> None:
    """New words get initial slots: with zeros Adagrad would divide by zero for a word without a gradient."""
    params = to_text({f"optimizer.{name}": value for name, value in chosen.items()})
    options = TrainSeq2SeqOptions(data="d", save_model="m", model="BasicSeq2Seq", model_params=params)
    assert Recipe.of(options).initial_slots == initial
    gathered = {slot: {"source.words": torch.full((7, 2), 9.0)} for slot in (*initial, "others")}
    update = VocabularyUpdate(OLD, DATA)
    state = update.optimizer_state({"name": "x", "steps": 1, "gathered": gathered}, initial)
    for slot, tensors in state["gathered"].items():
        assert tensors["source.words"][5].tolist() == pytest.approx([initial.get(slot, 0.0)] * 2)
        assert tensors["source.words"][6].tolist() == [9.0, 9.0]


def test_a_language_model_predicts_what_it_reads() -> None:
    options = LanguageModelOptions(rnn_size=4, word_vec_size=(3,), layers=1)
    spec = spec_from_options(options, DataSizes(src=(7,), tgt=()))
    old = Vocabularies(src=(vocabulary("a b c"),), tgt=())
    new = Vocabularies(src=(vocabulary("c d"),), tgt=())
    update = VocabularyUpdate(old, new)
    assert update.spec(spec).outputs == (6,)
    moved = update.tensors({"generator.weights.0": torch.arange(7.0)[:, None].expand(7, 4)})
    assert moved["generator.weights.0"][:, 0].tolist() == [0, 1, 2, 3, 6, 0]
