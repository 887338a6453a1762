"""Training on text files and on samples, through the command line."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commands.pipeline import preprocess
from onmt.data.vocabulary import ImageSize, Vocabularies
from onmt.errors import OptionError
from onmt.logger import Logger, LoggerOptions
from onmt.training.data import TrainingData
from onmt.training.options import TrainSeq2SeqOptions

RunTrain = Callable[..., tuple[int, str, str]]

SHORT = ["-end_epoch", "2", "-dropout", "0.3"]
SAMPLES = {
    "gsample": ["-gsample", "60"],
    "gsample and its words": ["-gsample", "0.5", "-sample_vocab"],
    "uniform": ["-sample", "60", "-sample_vocab"],
    "partition": ["-sample", "50", "-sample_type", "partition"],
    "perplexity": ["-sample", "60", "-sample_type", "perplexity", "-sample_perplexity_init", "1000"],
}


def saved(folder: Path, name: str) -> dict[str, Any]:
    (path,) = folder.glob(f"{name}.pt")
    return load_checkpoint(path)


def go_on_from(checkpoint: Path) -> list[str]:
    """Options to continue a run of the tiny model."""
    return ["-train_from", str(checkpoint), "-continue", "-max_batch_size", "10"]


def assert_identical(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def test_text_files_train_as_prepared_data_does(
    run_train: RunTrain, tiny_files: list[str], tmp_path: Path
) -> None:
    prepared = str(tmp_path / "prepared")
    assert preprocess([*tiny_files, "-save_data", prepared, "-seed", "5"]) == 0
    assert run_train(*SHORT, "-data", prepared, "-seed", "5")[0] == 0
    before = set(tmp_path.iterdir())
    code, log, errors = run_train(*SHORT, *tiny_files, "-seed", "5", "-save_model", str(tmp_path / "raw"))
    assert (code, errors) == (0, "")
    assert "number of training sentences: 120" in log
    assert_identical(saved(tmp_path, "raw_epoch2_*")["weights"], saved(tmp_path, "m_epoch2_*")["weights"])
    assert {path.name.split("_")[0] for path in set(tmp_path.iterdir()) - before} == {"raw"}


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sampled_run_goes_on_bit_for_bit(
    run_train: RunTrain, tiny_files: list[str], tmp_path: Path, sample: str
) -> None:
    argv = [*SAMPLES[sample], "-dropout", "0.3"] + (tiny_files if "gsample" in sample else [])
    assert run_train(*argv, "-end_epoch", "3")[0] == 0
    half = [*argv, "-save_model", str(tmp_path / "half"), "-save_every", "4"]
    assert run_train(*half, "-end_epoch", "2")[0] == 0
    stopped = saved(tmp_path, "half_checkpoint")["training"]
    assert (stopped["epoch"], stopped["iteration"] > 1) == (2, True)
    code, log, errors = run_train(*half, "-end_epoch", "3", *go_on_from(tmp_path / "half_checkpoint.pt"))
    assert (code, errors) == (0, "")
    assert "WARNING" not in log
    assert ("are taken for noise" in log) is (sample == "perplexity")
    assert_identical(saved(tmp_path, "half_epoch3_*")["weights"], saved(tmp_path, "m_epoch3_*")["weights"])


def test_a_run_goes_on_after_an_epoch_of_another_length(
    run_train: RunTrain, tiny_files: list[str], tmp_path: Path
) -> None:
    argv = [*tiny_files, "-gsample", "60"]
    assert run_train(*argv, "-end_epoch", "3")[0] == 0
    (first,) = tmp_path.glob("m_epoch1_*")
    resumed = ["-save_model", str(tmp_path / "on"), *go_on_from(first)]
    code, log, _ = run_train(*argv, *resumed, "-end_epoch", "3")
    assert code == 0
    assert "WARNING" not in log
    assert_identical(saved(tmp_path, "on_epoch3_*")["weights"], saved(tmp_path, "m_epoch3_*")["weights"])


def test_a_sample_has_as_many_sentences_as_asked_for(run_train: RunTrain) -> None:
    code, log, _ = run_train("-sample", "30", "-end_epoch", "2")
    assert code == 0
    assert "number of training sentences: 30" in log
    for epoch in (1, 2):
        assert f"sampled 30 of 120 sentences for epoch {epoch}" in log


def test_words_outside_the_sample_are_not_trained(run_train: RunTrain, tmp_path: Path) -> None:
    sample = ["-sample", "2", "-sample_vocab", "-end_epoch", "1", "-optim", "sgd", "-max_grad_norm", "0"]
    sizes = ["-rnn_size", "8", "-word_vec_size", "6", "-layers", "1"]
    assert run_train(*sample, *sizes, "-learning_rate", "0")[0] == 0
    code, log, _ = run_train(*sample, *sizes, "-learning_rate", "1", "-save_model", str(tmp_path / "n"))
    assert code == 0
    before, after = saved(tmp_path, "m_epoch1_*")["weights"], saved(tmp_path, "n_epoch1_*")["weights"]
    changed = (before["generator.weights.0"] != after["generator.weights.0"]).any(1)
    assert f"keeping {int(changed.sum())} target words" in log
    assert changed[[0, 2, 3]].all()  # padding always, the marks because they are stored with the targets
    assert not changed.all()


def test_a_language_model_learns_from_text_with_a_tokenizer(run_train: RunTrain, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("Hello, World!\nHello again...\n" * 10, encoding="utf-8")
    argv = (
        "-model_type lm -rnn_size 8 -word_vec_size 6 -layers 1 -end_epoch 1 -sample 15 -sample_vocab".split()
    )
    argv += "-tok_mode aggressive -tok_case_feature -tok_joiner_annotate".split()
    code, log, errors = run_train(*argv, "-train", str(text), "-valid", str(text))
    assert (code, errors) == (0, "")
    assert "keeping" in log
    content = saved(tmp_path, "m_epoch1_*")
    assert content["data_type"] == "monotext"
    words, cases = (vocabulary["words"] for vocabulary in content["vocabularies"]["src"])
    assert {"hello", "world", "￭,", "￭!"} <= set(words)
    assert {"C", "L", "N"} <= set(cases)


def test_the_files_of_a_folder(run_train: RunTrain, tiny_files: list[str], tmp_path: Path) -> None:
    folder = str(Path(tiny_files[1]).parent)
    suffixes = ["-src_suffix", ".src", "-tgt_suffix", ".tgt"]
    code, log, errors = run_train("-train_dir", folder, *suffixes, "-end_epoch", "1")
    assert (code, errors) == (0, "")
    assert "number of training sentences: 150" in log  # train and valid
    assert "No validation data" in log


def test_hooks_take_part(run_train: RunTrain, tiny_files: list[str], tmp_path: Path) -> None:
    hook = tmp_path / "upper.py"
    hook.write_text("def mpreprocess(options, lines):\n    return [line.upper() for line in lines]\n")
    assert run_train(*tiny_files, "-hook_file", str(hook), "-end_epoch", "1")[0] == 0
    words = saved(tmp_path, "m_epoch1_*")["vocabularies"]["src"][0]["words"]
    assert set(words[4:]) == set("ABCDEFGH")


def test_a_model_trained_further_keeps_its_vocabularies(
    run_train: RunTrain, tiny_files: list[str], tmp_path: Path
) -> None:
    assert run_train(*tiny_files, "-end_epoch", "1")[0] == 0
    (model,) = tmp_path.glob("m_epoch1_*")
    other = {}
    for side, text in (("src", "h g x\ng\n"), ("tgt", "x g h\ng\n")):
        other[side] = tmp_path / f"other.{side}"
        other[side].write_text(text)
    files = ["-train_src", str(other["src"]), "-train_tgt", str(other["tgt"])]
    further = ["-train_from", str(model), "-save_model", str(tmp_path / "n"), "-end_epoch", "1"]
    code, log, _ = run_train(*files, *further)
    assert code == 0
    assert "encoded with the vocabularies of the model" in log
    assert saved(tmp_path, "n_epoch1_*")["vocabularies"] == saved(tmp_path, "m_epoch1_*")["vocabularies"]
    vocabulary = tmp_path / "other.dict"
    vocabulary.write_text("<blank> 1\n<unk> 2\n<s> 3\n</s> 4\ng 5\n")
    code, log, _ = run_train(*files, *further, "-src_vocab", str(vocabulary))
    assert code == 0
    assert f"'{vocabulary}' is ignored: it differs from the source vocabulary of the model" in log
    code, log, _ = run_train(*files, *further, "-update_vocab", "merge")
    assert code == 0
    words = saved(tmp_path, "n_epoch1_*")["vocabularies"]["src"][0]["words"]
    assert set(words[4:]) == set("abcdefghx")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("-data ''", "-data is missing"),
        ("FILES -data DATA", "-data and -train_src exclude each other"),
        ("-train_src a", "the file must exist"),
        ("-train_src SRC", "-train_tgt is missing beside -train_src"),
        ("-train_src SRC -train_tgt SRC -valid_src SRC", "-valid_tgt is missing beside -valid_src"),
        ("-data DATA -gsample 3", "-gsample draws from text files"),
        ("FILES -gsample 3 -sample 3", "-sample and -gsample exclude each other"),
        ("FILES -gsample_dist SRC", "-gsample_dist needs -gsample"),
        ("-data DATA -sample_vocab", "-sample_vocab needs -sample or -gsample"),
        ("-data DATA -sample_tgt_vocab", "-sample_vocab needs -sample or -gsample"),
        ("-data DATA -model_type seqtagger -sample 3 -sample_vocab", "seq2seq and lm only"),
        ("-data DATA -sample -1", "-sample"),
        ("-data DATA -sample 9 -train_steps 9 -eval_every_n_steps 0", "needs -eval_every_n_steps"),
        ("-data DATA -sample_type some", "-sample_type"),
        ("-model_type lm -train_src SRC", "unknown option -train_src"),
    ],
)
def test_refusals(
    run_train: RunTrain, tiny_data: str, tiny_files: list[str], argv: str, message: str
) -> None:
    values = {"FILES": tiny_files, "DATA": [tiny_data], "SRC": [tiny_files[1]], "''": [""]}
    words = [word for one in argv.split() for word in values.get(one, [one])]
    code, _, errors = run_train(*words, "-rnn_size", "8")
    assert code == 2
    assert message in errors


def test_options_of_text_beside_prepared_data_are_pointed_out(run_train: RunTrain) -> None:
    code, log, _ = run_train("-tok_src_mode", "aggressive", "-src_vocab_size", "5", "-end_epoch", "1")
    assert code == 0
    assert "these options have no effect on prepared data (-data): -src_vocab_size, -tok_src_mode" in log


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        (Vocabularies((), (), src_image_size=ImageSize(75, 75)), "images"),
        (Vocabularies((), (), src_vector_size=4), "vectors"),
    ],
)
def test_a_model_of_other_sources_goes_on_with_prepared_data_only(known: Vocabularies, kind: str) -> None:
    options = TrainSeq2SeqOptions(train_src="a", train_tgt="b", save_model="m", train_from="m.pt")
    told = f"the model of -train_from reads {kind}, not texts: .* -data"
    with Logger(LoggerOptions(), sys.stdout) as logger, pytest.raises(OptionError, match=told):
        TrainingData.open(options, known, logger)
