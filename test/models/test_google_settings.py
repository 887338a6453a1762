import json
from pathlib import Path
from typing import Any

import pytest

from onmt.errors import OptionError
from onmt.google.settings import (
    check_model_name,
    from_text,
    read_config_files,
    read_model_params,
    restarted_parameters,
    to_text,
)
from onmt.training.options import TrainSeq2SeqOptions
from onmt.training.recipe import Recipe


def files(folder: Path, *texts: str) -> list[str]:
    paths = [folder / f"{number}.yml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return [str(path) for path in paths]


def test_files_merge_from_left_to_right(tmp_path: Path) -> None:
    paths = files(
        tmp_path,
        "model: BasicSeq2Seq\nbatch_size: 4\n"
        "model_params: {embedding.dim: 3, encoder.params: {init_scale: 0.1}}",
        "",
        "batch_size: 8\ntrain_steps: null\nmodel_params: {encoder.params: {rnn_cell: {num_layers: 2}}}",
    )
    assert read_config_files(paths) == {
        "model": "BasicSeq2Seq",
        "batch_size": 8,
        "model_params": {
            "embedding.dim": 3,
            "encoder.params": {"init_scale": 0.1, "rnn_cell": {"num_layers": 2}},
        },
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bach_size: 3", r"0\.yml: unknown setting 'bach_size'; did you mean batch_size\?"),
        ("- model", r"0\.yml must hold names and values"),
        ("model: [", r"0\.yml: line 1"),
    ],
)
def test_files_are_checked(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        read_config_files(files(tmp_path, text))


def test_parameters_as_text_or_file(tmp_path: Path) -> None:
    assert read_model_params("embedding.dim: 64") == {"embedding.dim": 64}
    assert read_model_params("{embedding.dim: 64}") == {"embedding.dim": 64}
    assert read_model_params("") == {}
    (path,) = files(tmp_path, "embedding.dim: 64\n")
    assert read_model_params(path) == {"embedding.dim": 64}
    with pytest.raises(OptionError, match=r"there is no file 'nothing\.yml'"):
        read_model_params("nothing.yml")
    with pytest.raises(OptionError, match="is a folder"):
        read_model_params(str(tmp_path))
    with pytest.raises(OptionError, match="-model_params must hold names and values"):
        read_model_params("[1, 2]")


def test_model_names(tmp_path: Path) -> None:
    assert check_model_name("seq2seq.models.BasicSeq2Seq") == "BasicSeq2Seq"
    (path,) = files(tmp_path, "")
    for file in (path, "m_epoch1_3.20.pt", "m.t7"):
        with pytest.raises(OptionError, match=f"use -train_from {file}"):
            check_model_name(file)
    with pytest.raises(OptionError, match="did you mean BasicSeq2Seq"):
        check_model_name("BasicSeqSeq")


@pytest.mark.parametrize("parameters", [{}, {"b": 1, "a": {"c": 0.1, "d": "\u00e9 \U0001f600 \x7f"}}])
def test_options_hold_one_form(parameters: dict[str, Any]) -> None:
    text = to_text(parameters)
    assert from_text(text) == parameters
    assert to_text(dict(reversed(parameters.items()))) == text


def test_the_recipe_has_the_model_that_stored_options_describe() -> None:
    stored = TrainSeq2SeqOptions(model="BasicSeq2Seq", model_params='{"embedding.dim": 7}')
    model = Recipe.of(stored).google
    assert model is not None
    assert model.parameters["embedding.dim"] == 7
    assert Recipe.of(TrainSeq2SeqOptions()).google is None


STORED = json.dumps(
    {
        "embedding.dim": 7,
        "encoder.class": "UnidirectionalRNNEncoder",
        "optimizer.name": "Momentum",
        "optimizer.params": {"momentum": 0.5},
        "optimizer.clip_embed_gradients": 0.5,
    }
)


def test_a_restart_changes_the_optimiser_only() -> None:
    asked = {
        "embedding.dim": 8,
        "optimizer.learning_rate": 0.1,
        "source.reverse": False,
        "optimizer.clip_embed_gradients": 0.3,
        "vocab_source": None,
    }
    restarted = restarted_parameters("BasicSeq2Seq", STORED, json.dumps(asked), continues=False)
    assert from_text(restarted.text) == json.loads(STORED) | {"optimizer.learning_rate": 0.1}
    assert restarted.changed == {"optimizer.learning_rate": 0.1}
    assert restarted.ignored == ("embedding.dim", "optimizer.clip_embed_gradients", "source.reverse")


def test_a_continued_training_keeps_its_optimiser() -> None:
    asked = json.dumps({"optimizer.learning_rate": 0.1, "optimizer.lr_staircase": False})
    restarted = restarted_parameters("BasicSeq2Seq", STORED, asked, continues=True)
    assert from_text(restarted.text) == json.loads(STORED)
    assert (restarted.changed, restarted.ignored) == ({}, ("optimizer.learning_rate",))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Adam", {}),
        ("Adam", {"optimizer.params": {"beta1": 0.8}}),
        ("RMSProp", {"optimizer.params": {"momentum": 0.5}}),  # requested, though equal to the stored
    ],
)
def test_another_optimiser_inherits_no_arguments(name: str, params: dict[str, Any]) -> None:
    asked = json.dumps({"optimizer.name": name, **params})
    restarted = restarted_parameters("BasicSeq2Seq", STORED, asked, continues=False)
    assert from_text(restarted.text).get("optimizer.params") == params.get("optimizer.params")


def test_the_same_in_other_words_is_no_change() -> None:
    asked = {"encoder.class": "seq2seq.encoders.UnidirectionalRNNEncoder", "target.max_seq_len": 50}
    restarted = restarted_parameters("BasicSeq2Seq", STORED, json.dumps(asked), continues=False)
    assert restarted.ignored == ()
    assert restarted_parameters("BasicSeq2Seq", STORED, STORED, continues=True).ignored == ()


def test_a_restart_knows_its_class() -> None:
    with pytest.raises(OptionError, match=r"no parameter 'embeding\.dim'; did you mean embedding"):
        restarted_parameters("BasicSeq2Seq", STORED, '{"embeding.dim": 3}', continues=False)
