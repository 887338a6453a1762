"""Small random models of every kind, and a folder to use them in."""

from pathlib import Path

import pytest
import torch

from onmt.checkpoint import save_checkpoint
from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.models.build import build_model
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions, TaggerOptions


def vocabulary(*words: str) -> Vocabulary:
    return Vocabulary([*SPECIAL_WORDS, *words])


SOURCE, TARGET = vocabulary("a", "b", "c"), vocabulary("x", "y", "z")


def save(path: str, options, vocabularies: Vocabularies, data_type: str) -> None:
    """Write a new model of these options."""
    sizes = DataSizes(
        src=tuple(map(len, vocabularies.src)),
        tgt=tuple(map(len, vocabularies.tgt)),
        src_vector_size=vocabularies.src_vector_size,
    )
    spec = spec_from_options(options, sizes)
    model = build_model(spec)
    model.initialise(1.0, torch.Generator().manual_seed(5))
    content = {
        "format": 1,
        "version": "0",
        "data_type": data_type,
        "spec": spec.to_state(),
        "options": {},
        "vocabularies": vocabularies.to_state(),
        "weights": {name: parameter.detach() for name, parameter in model.named_parameters()},
    }
    save_checkpoint(path, content)


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """The folder of the models' files."""
    folder = tmp_path_factory.mktemp("models")
    words = Seq2SeqModelOptions(layers=1, rnn_size=6, word_vec_size=5)
    save(f"{folder}/words.pt", words, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    save(f"{folder}/vectors.pt", words, Vocabularies((), (TARGET,), 2), "feattext")
    without = Seq2SeqModelOptions(layers=1, rnn_size=6, word_vec_size=5, attention="none")
    save(f"{folder}/last.pt", without, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    language_model = LanguageModelOptions(layers=1, rnn_size=6, word_vec_size=(5,))
    save(f"{folder}/lm.pt", language_model, Vocabularies((TARGET,), ()), "monotext")
    tagger = TaggerOptions(layers=1, rnn_size=6, word_vec_size=(5,))
    save(f"{folder}/tagger.pt", tagger, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    return folder


@pytest.fixture
def work(models, tmp_path, monkeypatch) -> Path:
    """The working folder: the models, `src` with an empty line, `tgt`."""
    monkeypatch.chdir(tmp_path)
    for model in models.iterdir():
        (tmp_path / model.name).symlink_to(model)
    (tmp_path / "src").write_text("a b c\n\nc q\n", encoding="utf-8")
    (tmp_path / "tgt").write_text("x\ny\nz z\n", encoding="utf-8")
    return tmp_path
