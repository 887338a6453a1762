"""Restarts of google/seq2seq's models: the file has the -model and -model_params of the first run."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onmt.checkpoint import load_checkpoint, save_checkpoint
from onmt.commands.pipeline import train

RunTrain = Callable[..., tuple[int, str, str]]

CELL = {"rnn_cell": {"cell_params": {"num_units": 4}}}
PARAMS: dict[str, Any] = {
    "embedding.dim": 5,
    "attention.params": {"num_units": 4},
    "encoder.params": CELL,
    "decoder.params": CELL,
    "inference.beam_search.beam_width": 3,
    "inference.beam_search.length_penalty_weight": 0.4,
}
CUT = "100 total, 100 drawn, 100 kept"
DROPPED = "100 total, 100 drawn, 70 kept"


@pytest.fixture(scope="module")
def long_texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A hundred pairs, thirty of them longer than OpenNMT's limit, as options."""
    folder = tmp_path_factory.mktemp("long")
    draw = random.Random(5)
    lengths = [draw.randint(1, 9) for _ in range(70)] + [draw.randint(51, 60) for _ in range(30)]
    text = "".join(" ".join(draw.choice("abcd") for _ in range(length)) + "\n" for length in lengths)
    argv = []
    for side in ("src", "tgt"):
        path = folder / f"train.{side}"
        path.write_text(text, encoding="utf-8")
        argv += [f"-train_{side}", str(path)]
    return argv


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> RunTrain:
    """Run train.py; return exit code, log, stderr. Models go to `<tmp_path>/<name>`."""

    def run_named(name: str, *argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = train([*argv, "-max_batch_size", "20", "-save_model", str(tmp_path / name)])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run_named


def only_model(folder: Path, name: str) -> Path:
    (path,) = folder.glob(f"{name}_epoch*.pt")
    return path


def new(**params: Any) -> list[str]:
    return ["-model", "AttentionSeq2Seq", "-model_params", json.dumps(PARAMS | params)]


@pytest.mark.parametrize("continues", [[], ["-continue"]])
def test_a_restart_on_texts_cuts_what_is_long(
    run: RunTrain, long_texts: list[str], tmp_path: Path, continues: list[str]
) -> None:
    assert CUT in run("a", *new(), *long_texts, "-train_steps", "2")[1]
    restart = ["-train_from", str(only_model(tmp_path, "a")), *continues, "-train_steps", "3"]
    code, log, errors = run("b", *restart, *long_texts)
    assert (code, errors) == (0, "")
    assert CUT in log
    assert DROPPED in run("c", *restart, *long_texts, "-src_seq_length", "50")[1]
    again = ["-model", "AttentionSeq2Seq"]
    assert CUT in run("d", *restart, *again, *long_texts)[1]
    assert DROPPED in run("e", *restart, *again, *long_texts, "-tgt_seq_length", "50")[1]


def test_lengths_that_the_first_run_asked_for_stay(
    run: RunTrain, long_texts: list[str], tmp_path: Path
) -> None:
    assert DROPPED in run("a", *new(), *long_texts, "-train_steps", "1", "-src_seq_length", "50")[1]
    restart = ["-train_from", str(only_model(tmp_path, "a")), *long_texts, "-train_steps", "1"]
    assert DROPPED in run("b", *restart)[1]
    assert DROPPED in run("c", *restart, "-model", "AttentionSeq2Seq")[1]
    assert CUT in run("d", *restart, "-src_seq_length", "1000")[1]


def test_texts_after_prepared_data_are_cut(
    run: RunTrain, tiny_data: str, long_texts: list[str], tmp_path: Path
) -> None:
    assert run("a", *new(), "-data", tiny_data, "-train_steps", "1")[0] == 0
    restart = ["-train_from", str(only_model(tmp_path, "a")), *long_texts, "-train_steps", "1"]
    assert CUT in run("b", *restart)[1]


def test_a_restart_searches_as_its_model_does(run: RunTrain, tiny_data: str, tmp_path: Path) -> None:
    assert run("a", *new(), "-data", tiny_data, "-train_steps", "1")[0] == 0
    restart = ["-train_from", str(only_model(tmp_path, "a")), "-data", tiny_data, "-train_steps", "1"]
    slower = ["-model", "AttentionSeq2Seq", "-model_params", "optimizer.learning_rate: 0.01"]
    for name, given, wanted in (
        ("b", [], (3, 0.4, 100)),
        ("c", slower, (3, 0.4, 100)),
        ("d", [*slower, "-beam_size", "2"], (2, 0.4, 100)),
    ):
        assert run(name, *restart, *given)[0] == 0
        options = load_checkpoint(only_model(tmp_path, name))["options"]
        assert tuple(options[flag] for flag in ("beam_size", "length_norm", "max_sent_length")) == wanted


def test_samples_of_a_continued_training_keep_its_evaluations(
    run: RunTrain, tiny_data: str, tmp_path: Path
) -> None:
    sampled = ["-data", tiny_data, "-sample", "40"]
    assert run("a", *new(), *sampled, "-train_steps", "4", "-eval_every_n_steps", "4")[0] == 0
    goes_on = [*sampled, "-continue", "-train_steps", "6", "-train_from"]
    assert run("b", *goes_on, str(only_model(tmp_path, "a")))[0] == 0
    assert run("c", *new(), "-data", tiny_data, "-end_epoch", "1")[0] == 0
    code, _, errors = run("d", *goes_on, str(only_model(tmp_path, "c")))
    assert code == 2
    assert "-train_steps with samples needs -eval_every_n_steps" in errors


def test_one_table_needs_one_vocabulary(run: RunTrain, tmp_path: Path) -> None:
    argv = []
    for side, words in (("src", "a b c"), ("tgt", "x y z")):
        (tmp_path / side).write_text(f"{words}\n" * 5, encoding="utf-8")
        (tmp_path / f"{side}.words").write_text(words.replace(" ", "\n") + "\n", encoding="utf-8")
        argv += [f"-train_{side}", str(tmp_path / side)]
    share = [*new(**{"embedding.share": True}), *argv, "-train_steps", "1"]
    one = str(tmp_path / "src.words")
    code, _, errors = run("a", *share)
    assert code == 2
    assert "embedding.share needs one vocabulary" in errors
    code, _, errors = run("b", *share, "-src_vocab", one, "-tgt_vocab", str(tmp_path / "tgt.words"))
    assert code == 2
    assert "where the source's has 'a' the target's has 'x'" in errors
    assert run("c", *share, "-src_vocab", one, "-tgt_vocab", one)[0] == 0
    updated = [
        "-train_from",
        str(only_model(tmp_path, "c")),
        *argv,
        "-train_steps",
        "1",
        "-update_vocab",
        "merge",
    ]
    code, _, errors = run("d", *updated)
    assert code == 2
    assert "embedding.share needs one vocabulary" in errors
    both = str(tmp_path / "both.words")
    Path(both).write_text("x\ny\nz\n", encoding="utf-8")
    assert run("e", *updated, "-src_vocab", both, "-tgt_vocab", both)[0] == 0


def test_a_restart_freezes_word_vectors(run: RunTrain, tiny_data: str, tmp_path: Path) -> None:
    assert run("a", *new(), "-data", tiny_data, "-end_epoch", "1")[0] == 0
    goes_on = ["-data", tiny_data, "-end_epoch", "1", "-train_from"]
    for before, name, flags in (
        ("a", "b", ["-fix_word_vecs_enc"]),
        ("b", "c", []),
        ("c", "d", ["-fix_word_vecs_enc", "false"]),
    ):
        assert run(name, *goes_on, str(only_model(tmp_path, before)), *flags)[0] == 0
    tables = [
        load_checkpoint(only_model(tmp_path, name))["weights"]["source.words"]
        for name in ("a", "b", "c", "d")
    ]
    assert torch.equal(tables[1], tables[0])
    assert torch.equal(tables[2], tables[0])
    assert not torch.equal(tables[3], tables[0])
    pretrained = ["-fix_word_vecs_enc", "pretrained"]
    code, _, errors = run("e", *goes_on, str(only_model(tmp_path, "a")), *pretrained)
    assert code == 2
    assert "needs word vectors from -pre_word_vecs_enc" in errors


@pytest.mark.parametrize("side", ["enc", "dec"])
def test_one_table_has_one_origin_and_is_fixed_once(side: str, run: RunTrain, tmp_path: Path) -> None:
    argv = [*new(**{"embedding.share": True}), "-train_steps", "1", "-train_src", str(tmp_path / "text")]
    argv += ["-train_tgt", str(tmp_path / "text"), "-src_vocab", str(tmp_path / "words")]
    argv += ["-tgt_vocab", str(tmp_path / "words")]
    (tmp_path / "text").write_text("a b c\n" * 5, encoding="utf-8")
    (tmp_path / "words").write_text("a\nb\nc\n", encoding="utf-8")
    torch.save(torch.full((7, 5), 0.25), tmp_path / "vectors.pt")
    for name, flags in (
        ("f", [f"-fix_word_vecs_{side}"]),
        ("p", [f"-pre_word_vecs_{side}", str(tmp_path / "vectors.pt")]),
    ):
        code, _, errors = run(name, *argv, *flags)
        assert code == 2
        assert "one table of word vectors for both sides" in errors
        assert errors.count("\n") == 1


def test_a_continued_training_keeps_its_optimiser(run: RunTrain, tiny_data: str, tmp_path: Path) -> None:
    rate = {"optimizer.learning_rate": 0.03}
    assert run("a", *new(**rate), "-data", tiny_data, "-train_steps", "2", "-eval_every_n_steps", "2")[0] == 0
    goes_on = ["-data", tiny_data, "-train_from", str(only_model(tmp_path, "a")), "-continue"]
    goes_on += ["-train_steps", "4"]
    assert run("b", *goes_on)[0] == 0
    assert run("c", *goes_on, "-model", "AttentionSeq2Seq")[0] == 0
    _, log, _ = run("d", *goes_on, "-model_params", "{optimizer.learning_rate: 0.5, optimizer.name: SGD}")
    assert "Cannot change optimizer.learning_rate with -continue. Ignoring." in log
    assert "Cannot change optimizer.name with -continue. Ignoring." in log
    weights = [load_checkpoint(only_model(tmp_path, name))["weights"] for name in "bcd"]
    for other in weights[1:]:
        assert all(torch.equal(weight, other[name]) for name, weight in weights[0].items())


def test_parameters_need_no_class_on_a_restart(run: RunTrain, tiny_data: str, tmp_path: Path) -> None:
    assert run("a", *new(), "-data", tiny_data, "-train_steps", "1")[0] == 0
    restart = ["-train_from", str(only_model(tmp_path, "a")), "-data", tiny_data, "-train_steps", "1"]
    _, log, _ = run("b", *restart, "-model_params", "{optimizer.learning_rate: 0.5, embedding.dim: 9}")
    assert "Optim ADAM LR 0.500000" in log
    assert " * optimizer.learning_rate = 0.5\n" in log
    assert "Cannot change embedding.dim of the model. Ignoring." in log
    code, _, errors = run("c", *restart, "-model_params", "optimizer.learning_rat: 0.5")
    assert code == 2
    assert "did you mean optimizer.learning_rate" in errors


@pytest.mark.parametrize(
    "damage",
    [
        {"model_params": "{"},
        {"model_params": "[1]"},
        {"model_params": '{"embedding.di": 3}'},
        {"model": "Other"},
        {"model": ["BasicSeq2Seq"]},
        {"model": None},
    ],
)
def test_a_file_that_does_not_say_what_it_holds(
    run: RunTrain, tiny_data: str, tmp_path: Path, damage: dict[str, Any]
) -> None:
    assert run("a", *new(), "-data", tiny_data, "-train_steps", "1")[0] == 0
    content = load_checkpoint(only_model(tmp_path, "a"))
    damaged = str(tmp_path / "damaged.pt")
    save_checkpoint(damaged, content | {"options": content["options"] | damage})
    code, _, errors = run("b", "-train_from", damaged, "-data", tiny_data, "-train_steps", "1")
    assert code == 1
    assert "is damaged: its options do not describe its model" in errors
    assert errors.count("\n") == 1


def test_checkpoints_come_between_evaluations_too(run: RunTrain, tiny_data: str, tmp_path: Path) -> None:
    steps = ["-train_steps", "9", "-eval_every_n_steps", "2", "-save_every", "5"]
    assert run("a", *new(), "-data", tiny_data, *steps)[0] == 0
    training = load_checkpoint(tmp_path / "a_checkpoint.pt")["training"]
    assert (training["epoch"], training["iteration"]) == (3, 2)  # five steps have been done
    goes_on = ["-data", tiny_data, "-train_from", str(tmp_path / "a_checkpoint.pt"), "-continue"]
    assert run("b", *goes_on)[0] == 0
    ends = [load_checkpoint(next(tmp_path.glob(f"{name}_epoch5_*"))) for name in "ab"]
    assert all(torch.equal(part, ends[1]["weights"][name]) for name, part in ends[0]["weights"].items())
