"""The model at the start of a training: new, or restored with changes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commands.pipeline import preprocess

RunTrain = Callable[..., tuple[int, str, str]]
SIZES = ["-rnn_size", "8", "-word_vec_size", "6", "-layers", "1", "-end_epoch", "1"]


def weights_after_one_epoch(folder: Path, stem: str = "m") -> dict[str, torch.Tensor]:
    (path,) = folder.glob(f"{stem}_epoch1_*.pt")
    weights: dict[str, torch.Tensor] = load_checkpoint(path)["weights"]
    return weights


@pytest.fixture
def vectors(tmp_path: Path) -> torch.Tensor:
    """Word vectors of size 4 for the twelve words of the tiny data."""
    values = torch.rand(12, 4, generator=torch.Generator().manual_seed(2))
    torch.save(values, tmp_path / "vectors.pt")
    return values


@pytest.mark.parametrize("side", ["enc", "dec"])
def test_pretrained_columns_can_stay_fixed(
    run_train: RunTrain, tmp_path: Path, vectors: torch.Tensor, side: str
) -> None:
    table = {"enc": "source.words", "dec": "decoder.embeddings.words"}[side]
    flags = [f"-pre_word_vecs_{side}", str(tmp_path / "vectors.pt"), f"-fix_word_vecs_{side}", "pretrained"]
    code, _, errors = run_train(*SIZES, *flags)
    assert code == 0, errors
    words = weights_after_one_epoch(tmp_path)[table]
    assert torch.equal(words[1:, :4], vectors[1:])
    assert not words[0].any()
    assert words[4:, 4:].abs().max() > 0


def test_pretrained_vectors_are_only_a_start_otherwise(
    run_train: RunTrain, tmp_path: Path, vectors: torch.Tensor
) -> None:
    assert run_train(*SIZES, "-pre_word_vecs_enc", str(tmp_path / "vectors.pt"))[0] == 0
    words = weights_after_one_epoch(tmp_path)["source.words"]
    assert not torch.equal(words[4:, :4], vectors[4:])
    torch.testing.assert_close(words[4:, :4], vectors[4:], atol=0.5, rtol=0)


def test_vectors_of_another_vocabulary_are_refused(run_train: RunTrain, tmp_path: Path) -> None:
    torch.save(torch.zeros(5, 4), tmp_path / "vectors.pt")
    code, _, errors = run_train(*SIZES, "-pre_word_vecs_dec", str(tmp_path / "vectors.pt"))
    assert code == 1
    assert "5 x 4 word vectors do not fit" in errors


def test_pretrained_needs_a_file(run_train: RunTrain) -> None:
    code, _, errors = run_train(*SIZES, "-fix_word_vecs_enc", "pretrained")
    assert code == 2
    assert "needs word vectors from -pre_word_vecs_enc" in errors


def test_parameters_start_within_their_bound(run_train: RunTrain, tmp_path: Path) -> None:
    run_train(*SIZES, "-learning_rate", "0", "-param_init", "0.03")
    weights = weights_after_one_epoch(tmp_path)
    largest = max(float(weight.abs().max()) for weight in weights.values())
    assert 0.029 < largest <= 0.03


def test_a_tagger_may_learn_transitions_later(tiny_data: str, run_train: RunTrain, tmp_path: Path) -> None:
    tagger = ["-model_type", "seqtagger", "-rnn_size", "8", "-word_vec_size", "6", "-end_epoch", "1"]
    assert run_train(*tagger)[0] == 0
    (words,) = tmp_path.glob("m_epoch1_*")
    restart = ["-model_type", "seqtagger", "-end_epoch", "1", "-learning_rate", "0"]
    sentence = [*restart, "-loglikelihood", "sentence", "-save_model", str(tmp_path / "s")]
    code, log, errors = run_train("-train_from", str(words), *sentence)
    assert code == 0, errors
    assert "* loglikelihood = sentence" in log
    weights = weights_after_one_epoch(tmp_path, "s")
    assert torch.allclose(weights["transitions.between"].exp().sum(1), torch.ones(12), atol=1e-5)
    (crf,) = tmp_path.glob("s_epoch1_*")
    back = [*restart, "-loglikelihood", "word", "-save_model", str(tmp_path / "b")]
    assert run_train("-train_from", str(crf), *back)[0] == 0
    assert not [name for name in weights_after_one_epoch(tmp_path, "b") if name.startswith("transitions.")]


def test_a_language_model_learns_from_one_side(run_train: RunTrain, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("a b a b\nb a\n" * 30)
    data = str(tmp_path / "mono")
    files = ["-train", str(text), "-valid", str(text)]
    assert preprocess(["-data_type", "monotext", *files, "-save_data", data]) == 0
    code, log, errors = run_train("-model_type", "lm", "-data", data, "-rnn_size", "8", "-end_epoch", "1")
    assert code == 0, errors
    assert "Training Language model..." in log
    code, _, errors = run_train(
        "-model_type", "lm", "-data", data, "-rnn_size", "8", "-validation_metric", "ter"
    )
    assert code == 2
    assert "-validation_metric ter compares translations" in errors
