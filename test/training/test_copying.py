"""`-copy_attn` through preprocess.py, train.py and translate.py: names that no vocabulary has are copied."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from toy_texts import WORDS, lines, write

from onmt.checkpoint import load_checkpoint
from onmt.commands.model_files import average_models, inspect_model, release_model
from onmt.commands.pipeline import train, translate
from onmt.commands.word_vectors import extract_embeddings

RunTrain = Callable[..., tuple[int, str, str]]
MODEL = (
    "-encoder_type brnn -layers 1 -rnn_size 32 -word_vec_size 16 -dropout 0 -optim adam -learning_rate 0.02 "
    "-max_batch_size 16 -save_every_epochs 0 -src_words_min_frequency 2 -tgt_words_min_frequency 2 -copy_attn"
).split()


def names_and_words(count: int, seed: int) -> list[str]:
    """Return sentences; every other one has a name that occurs only once."""
    return lines(count, seed, rare="name", every=2)


def in_capitals(line: str) -> str:
    """Return the target: words in capitals, names unchanged."""
    return " ".join(word if word.startswith("name") else word.upper() for word in line.split())


def files(folder: Path) -> list[str]:
    argv = []
    for split, count, seed in (("train", 400, 1), ("valid", 20, 2)):
        source = names_and_words(count, seed)
        argv += [f"-{split}_src", write(folder / f"{split}.src", source)]
        argv += [f"-{split}_tgt", write(folder / f"{split}.tgt", list(map(in_capitals, source)))]
    return argv


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose training was stopped after three epochs and continued."""
    folder = tmp_path_factory.mktemp("copying")
    common = [*files(folder), "-save_model", str(folder / "m"), "-log_level", "WARNING"]
    assert train([*common, *MODEL, "-coverage_attn", "-end_epoch", "3"]) == 0
    [first] = folder.glob("m_epoch3_*.pt")
    again = ["-train_from", str(first), "-continue", "-end_epoch", "8", "-max_batch_size", "16"]
    assert train([*common, *again, "-save_every_epochs", "0"]) == 0
    [trained] = folder.glob("m_epoch8_*.pt")
    return trained


def translated(model: Path, folder: Path, source: Sequence[str], *options: str) -> list[str]:
    output = folder / "output"
    paths = ["-model", str(model), "-src", write(folder / "source", source), "-output", str(output)]
    assert translate([*paths, "-log_file", str(folder / "log"), *options]) == 0
    return output.read_text(encoding="utf-8").split("\n")[:-1]


def test_names_are_copied(model: Path, tmp_path: Path) -> None:
    source = names_and_words(60, 3)
    answers = translated(model, tmp_path, source)
    right = sum(in_capitals(line) == answer for line, answer in zip(source, answers, strict=True))
    assert right >= 0.9 * len(source)
    assert sum(f"name3x{index}" in answers[index] for index in range(0, 60, 2)) >= 27


def test_copied_words_have_high_copy_probabilities(model: Path, tmp_path: Path) -> None:
    translated(model, tmp_path, ["red unheard blue"], "-save_attention", str(tmp_path / "attention"))
    header = (tmp_path / "attention").read_text(encoding="utf-8").split("\n")[0].split(" ||| ")
    assert header[1] == "RED unheard BLUE"
    copying = list(map(float, header[-1].split(" ")))
    assert copying[1] > max(copying[0], copying[2])


def test_gold_scores_know_the_names(model: Path, tmp_path: Path) -> None:
    gold = write(tmp_path / "gold", ["RED unheard BLUE", "RED another BLUE"])
    translated(model, tmp_path, ["red unheard blue"] * 2, "-tgt", gold)
    log = (tmp_path / "log").read_text(encoding="utf-8")
    scores = [float(line.split("GOLD SCORE: ")[1]) for line in log.split("\n") if "GOLD SCORE" in line]
    assert scores[0] > scores[1] + 3


def test_the_other_commands_read_it(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released, averaged = tmp_path / "released.pt", tmp_path / "averaged.pt"
    assert release_model(["-model", str(model), "-output_model", str(released)]) == 0
    both = [str(model), str(model)]
    assert average_models(["-models", *both, "-output_model", str(averaged)]) == 0
    source = names_and_words(6, 5)
    expected = translated(model, tmp_path, source)
    assert translated(released, tmp_path, source) == expected
    assert translated(averaged, tmp_path, source) == expected
    capsys.readouterr()
    assert inspect_model(["-model", str(model)]) == 0
    assert "decoder.copies = true" in capsys.readouterr().out
    assert extract_embeddings(["-model", str(model), "-output_dir", str(tmp_path)]) == 0


def test_new_vocabularies_are_taken_up(model: Path, tmp_path: Path) -> None:
    """After -update_vocab, copied words follow the new ids."""
    more = [f"{word} mauve" for word in WORDS] * 8
    argv = ["-train_src", write(tmp_path / "src", more), "-train_tgt", write(tmp_path / "tgt", more)]
    argv += ["-train_from", str(model), "-update_vocab", "merge", "-save_model", str(tmp_path / "new")]
    assert train([*argv, "-end_epoch", "1", "-log_level", "ERROR"]) == 0
    [new] = tmp_path.glob("new_epoch1_*.pt")
    assert len(load_checkpoint(new)["vocabularies"]["src"][0]["words"]) > 9
    assert len(translated(new, tmp_path, ["red mauve quux"])) == 1


GOOGLE = (
    "{embedding.dim: 8, encoder.params: {rnn_cell: {cell_params: {num_units: 8}}}, "
    "decoder.params: {rnn_cell: {cell_params: {num_units: 8}}}, attention.params: {num_units: 8}}"
)


def test_google_models_take_it_too(run_train: RunTrain, tmp_path: Path) -> None:
    given = ["-train_from", "", "-train_steps", "3", "-model", "AttentionSeq2Seq", "-model_params", GOOGLE]
    code, _, errors = run_train(*given, "-copy_attn")
    assert code == 0, errors
    (path,) = tmp_path.glob("m_epoch*.pt")
    assert "decoder.copy_gate.gate_weight" in load_checkpoint(path)["weights"]
    assert len(translated(path, tmp_path, ["a q r", "b"], "-n_best", "2", "-beam_size", "2")) == 4


def test_training_repeats_itself(run_train: RunTrain, tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert run_train("-save_model", str(tmp_path / name), "-copy_attn", "-end_epoch", "1")[0] == 0
    contents = [load_checkpoint(path)["weights"] for path in sorted(tmp_path.glob("o*_epoch1_*.pt"))]
    assert all(torch.equal(contents[0][name], contents[1][name]) for name in contents[0])


def test_validation_by_bleu_translates_with_it(run_train: RunTrain) -> None:
    code, log, _ = run_train("-copy_attn", "-validation_metric", "bleu", "-end_epoch", "1")
    assert code == 0
    assert "Validation BLEU" in log


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["-copy_attn", "-attention", "none"], "-copy_attn needs a decoder with attention"),
        (["-copy_attn", "-encoder_type", "pdbrnn", "-rnn_size", "8"], "-copy_attn needs one memory position"),
        (["-copy_attn", "-label_smoothing", "0.1"], "-label_smoothing cannot be used with"),
        (["-copy_attn", "-sample", "10", "-sample_vocab"], "-sample_vocab cannot be used with"),
        (["-copy_attn", "-scheduled_sampling", "0.5"], "-scheduled_sampling cannot be used with"),
        (["-copy_attn", "-target_subdict", __file__], "-target_subdict is limited to the target vocabulary"),
        (["-copy_attn", "-model_type", "lm"], "-copy_attn"),
    ],
)
def test_what_does_not_fit_is_refused(flags: list[str], complaint: str, run_train: RunTrain) -> None:
    code, _, errors = run_train(*flags)
    assert code == 2
    assert complaint in errors
    assert errors.count("\n") == 1


def test_a_restart_is_refused_too(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    argv = [*files(tmp_path), "-save_model", str(tmp_path / "m"), "-train_from", str(model)]
    assert train([*argv, "-label_smoothing", "0.1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "-label_smoothing cannot be used with a model that copies" in error


def test_a_language_model_beside_it_is_refused(
    model: Path, run_train: RunTrain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A language model has no probability for words outside the target vocabulary."""
    target = tmp_path / "target"
    words = load_checkpoint(model)["vocabularies"]["tgt"][0]["words"]
    target.write_text("".join(f"{word}\n" for word in words[4:]), encoding="utf-8")
    text = write(tmp_path / "text", ["RED GREEN", "BLUE"])
    lm = ["-model_type", "lm", "-train", text, "-vocab", str(target), "-save_model", str(tmp_path / "lm")]
    sizes = ["-rnn_size", "8", "-layers", "1", "-word_vec_size", "8", "-end_epoch", "1"]
    assert train([*lm, *sizes]) == 0
    (path,) = tmp_path.glob("lm_epoch1_*.pt")
    capsys.readouterr()
    argv = ["-model", str(model), "-src", text, "-output", str(tmp_path / "out"), "-lm_model", str(path)]
    assert translate(argv) == 2
    assert "-lm_model is limited to the target vocabulary" in capsys.readouterr().err
