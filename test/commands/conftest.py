"""Small models of every kind with random weights, and a working folder with them."""

from pathlib import Path

import pytest
from small_models import OTHER_SOURCE, SOURCE, TARGET, save

from onmt.data.vocabulary import Vocabularies
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions, TaggerOptions


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """The folder with the model files."""
    folder = tmp_path_factory.mktemp("models")
    words = Seq2SeqModelOptions(layers=1, rnn_size=6, word_vec_size=5)
    save(f"{folder}/words.pt", words, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    save(f"{folder}/vectors.pt", words, Vocabularies((), (TARGET,), 2), "feattext")
    without = Seq2SeqModelOptions(layers=1, rnn_size=6, word_vec_size=5, attention="none")
    save(f"{folder}/last.pt", without, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    pyramid = Seq2SeqModelOptions(layers=2, rnn_size=8, word_vec_size=4, encoder_type="pdbrnn")
    save(f"{folder}/others.pt", pyramid, Vocabularies((OTHER_SOURCE,), (TARGET,)), "bitext")
    save(f"{folder}/german.pt", words, Vocabularies((SOURCE,), (SOURCE,)), "bitext")
    language_model = LanguageModelOptions(layers=1, rnn_size=6, word_vec_size=(5,))
    save(f"{folder}/lm.pt", language_model, Vocabularies((TARGET,), ()), "monotext")
    tagger = TaggerOptions(layers=1, rnn_size=6, word_vec_size=(5,))
    save(f"{folder}/tagger.pt", tagger, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    return folder


@pytest.fixture
def work(models, tmp_path, monkeypatch) -> Path:
    """The working folder, with links to the models, `src` (which has an empty line) and `tgt`."""
    monkeypatch.chdir(tmp_path)
    for model in models.iterdir():
        (tmp_path / model.name).symlink_to(model)
    (tmp_path / "src").write_text("a b c\n\nc q\n", encoding="utf-8")
    (tmp_path / "tgt").write_text("x\ny\nz z\n", encoding="utf-8")
    return tmp_path
