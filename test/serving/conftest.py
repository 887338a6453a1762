"""Small models to serve, and a working folder with them."""

from pathlib import Path

import pytest
from small_models import SOURCE, TARGET, save, vocabulary

from onmt.data.vocabulary import Vocabularies
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions, TaggerOptions


@pytest.fixture(scope="session")
def served_models(tmp_path_factory) -> Path:
    """The folder with the model files."""
    folder = tmp_path_factory.mktemp("served")
    words = Seq2SeqModelOptions(layers=1, rnn_size=32, word_vec_size=16)
    save(f"{folder}/model.pt", words, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    save(f"{folder}/vectors.pt", words, Vocabularies((), (TARGET,), 2), "feattext")
    other = Seq2SeqModelOptions(layers=1, rnn_size=20, word_vec_size=8, encoder_type="brnn")
    save(f"{folder}/other.pt", other, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    case = vocabulary("L", "U", "C", "M", "N")
    featured = Vocabularies((SOURCE, case, vocabulary("news")), (TARGET, case))
    save(f"{folder}/featured.pt", other, featured, "bitext")
    language_model = LanguageModelOptions(layers=1, rnn_size=6, word_vec_size=(5,))
    save(f"{folder}/lm.pt", language_model, Vocabularies((TARGET,), ()), "monotext")
    tagger = TaggerOptions(layers=1, rnn_size=6, word_vec_size=(5,))
    save(f"{folder}/tagger.pt", tagger, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    return folder


@pytest.fixture
def folder(served_models, tmp_path, monkeypatch) -> Path:
    """The working folder, with links to the models."""
    monkeypatch.chdir(tmp_path)
    for model in served_models.iterdir():
        (tmp_path / model.name).symlink_to(model)
    return tmp_path
