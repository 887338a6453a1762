"""Restarting from a model file, through the command line."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onmt.checkpoint import load_checkpoint, save_checkpoint
from onmt.commands.pipeline import preprocess
from onmt.training.trainer import StepResult, Trainer

RunTrain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trained(run_train: RunTrain, tmp_path: Path) -> str:
    """The model after a first epoch."""
    assert run_train("-end_epoch", "1", "-dropout", "0.2")[0] == 0
    (path,) = tmp_path.glob("m_epoch1_*")
    return str(path)


def other_data(folder: Path, words: str) -> str:
    """Prepared data with other words."""
    argv = ["-save_data", str(folder / "other")]
    for split in ("train", "valid"):
        for side in ("src", "tgt"):
            path = folder / f"other-{split}.{side}"
            path.write_text("".join(f"{word} {word}\n" for word in words.split()) * 5)
            argv += [f"-{split}_{side}", str(path)]
    assert preprocess(argv) == 0
    return str(folder / "other")


def test_training_starts_over_from_the_weights(run_train: RunTrain, trained: str, tmp_path: Path) -> None:
    code, log, _ = run_train("-train_from", trained, "-end_epoch", "1", "-learning_rate", "0")
    assert code == 0
    assert f"Loading checkpoint '{trained}'..." in log
    assert "Start training from epoch 1 to 1..." in log
    assert "Optim SGD LR 0.000000" in log
    assert "Building model" not in log
    before = load_checkpoint(trained)["weights"]
    after = load_checkpoint(max(tmp_path.glob("m_epoch1_*"), key=lambda path: path.stat().st_mtime_ns))[
        "weights"
    ]
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_changes_are_refused_or_applied(run_train: RunTrain, trained: str) -> None:
    arguments = ["-rnn_size", "16", "-dropout", "0.5", "-fix_word_vecs_enc", "true", "-end_epoch", "1"]
    code, log, _ = run_train("-train_from", trained, *arguments)
    assert code == 0
    assert "WARNING] Cannot change the option -rnn_size of the model. Ignoring." in log
    applied = log.split("Applying new parameters:\n")[1]
    assert re.findall(r"INFO\]  \* (.*)", applied)[:2] == ["dropout = 0.5", "fix_word_vecs_enc = true"]


def test_fixed_word_vectors_do_not_move(run_train: RunTrain, trained: str, tmp_path: Path) -> None:
    run_train(
        "-train_from",
        trained,
        "-fix_word_vecs_enc",
        "true",
        "-end_epoch",
        "1",
        "-save_model",
        f"{tmp_path}/f",
    )
    (path,) = tmp_path.glob("f_epoch1_*")
    before, after = load_checkpoint(trained)["weights"], load_checkpoint(path)["weights"]
    assert torch.equal(before["source.words"], after["source.words"])
    assert not torch.equal(before["decoder.embeddings.words"], after["decoder.embeddings.words"])


def test_another_learning_rate_cancels_continue(run_train: RunTrain, trained: str) -> None:
    _, log, _ = run_train("-train_from", trained, "-continue", "-learning_rate", "0.5", "-end_epoch", "1")
    assert "WARNING] -learning_rate 0.5 is not that of the checkpoint: -continue is cancelled." in log
    assert "Resuming" not in log
    assert "Start training from epoch 1 to 1..." in log


def test_a_finished_training_has_nothing_to_continue(run_train: RunTrain, trained: str) -> None:
    code, log, _ = run_train("-train_from", trained, "-continue", "-end_epoch", "1")
    assert code == 0
    assert "WARNING] Nothing to train: epoch 2 is next, and -end_epoch is 1" in log


def test_other_batches_are_told(run_train: RunTrain, trained: str) -> None:
    _, log, _ = run_train("-train_from", trained, "-continue", "-max_batch_size", "5", "-end_epoch", "2")
    assert "WARNING] the batches are not those of the checkpoint's training: max_batch_size: 10 -> 5" in log


def test_another_environment_is_told(run_train: RunTrain, trained: str, tmp_path: Path) -> None:
    content = load_checkpoint(trained)
    content["training"]["environment"]["threads"] = 96
    save_checkpoint(tmp_path / "moved.pt", content)
    _, log, _ = run_train("-train_from", str(tmp_path / "moved.pt"), "-continue", "-end_epoch", "1")
    assert (
        "the checkpoint comes from another environment, so results may differ in the last digits: threads: 96"
        in log
    )


def test_an_iteration_beyond_the_data_is_refused(run_train: RunTrain, trained: str, tmp_path: Path) -> None:
    content = load_checkpoint(trained)
    content["training"]["iteration"] = 1000
    save_checkpoint(tmp_path / "beyond.pt", content)
    code, _, errors = run_train("-train_from", str(tmp_path / "beyond.pt"), "-continue")
    assert code == 1
    assert "training cannot go on at iteration 1000: an epoch of this data has" in errors


def test_a_released_model_cannot_be_continued(run_train: RunTrain, trained: str, tmp_path: Path) -> None:
    content = load_checkpoint(trained)
    del content["training"]
    save_checkpoint(tmp_path / "released.pt", content)
    code, _, errors = run_train("-train_from", str(tmp_path / "released.pt"), "-continue")
    assert code == 1
    assert "is a released model" in errors
    assert run_train("-train_from", str(tmp_path / "released.pt"), "-end_epoch", "1")[0] == 0


def test_another_kind_of_model_is_refused(run_train: RunTrain, trained: str) -> None:
    code, _, errors = run_train("-train_from", trained, "-model_type", "seqtagger")
    assert code == 2
    assert errors == f"train.py: '{trained}' is a seq2seq model: add -model_type seq2seq\n"


def test_data_with_more_words_is_refused(run_train: RunTrain, trained: str, tmp_path: Path) -> None:
    data = other_data(tmp_path, "a b c d e f g h i j")
    code, _, errors = run_train("-train_from", trained, "-data", data)
    assert code == 1
    assert "the data has a source vocabulary of 14 words" in errors
    assert "-update_vocab" in errors


def test_data_with_other_words_is_told(run_train: RunTrain, trained: str, tmp_path: Path) -> None:
    data = other_data(tmp_path, "x y z")
    code, log, _ = run_train("-train_from", trained, "-data", data, "-end_epoch", "1")
    assert code == 0
    assert "the source vocabulary of the data is not that of" in log


@pytest.mark.parametrize(("how", "words"), [("replace", 4 + 2), ("merge", 4 + 9)])
def test_vocabularies_can_be_updated(
    run_train: RunTrain, trained: str, tmp_path: Path, how: str, words: int
) -> None:
    data = other_data(tmp_path, "b z")
    for arguments in (["-learning_rate", "0"], ["-continue", "-end_epoch", "2"]):
        stem = str(tmp_path / f"u{len(arguments)}")
        arguments += ["-save_model", stem, "-data", data, "-update_vocab", how]
        if "-end_epoch" not in arguments:
            arguments += ["-end_epoch", "1"]
        code, _, errors = run_train("-train_from", trained, *arguments)
        assert code == 0, errors
    (path,) = tmp_path.glob("u2_epoch1_*")
    before, after = load_checkpoint(trained), load_checkpoint(path)
    (old,) = (one["words"] for one in before["vocabularies"]["src"])
    (new,) = (one["words"] for one in after["vocabularies"]["src"])
    assert len(new) == words
    tables = [content["weights"]["source.words"] for content in (before, after)]
    assert torch.equal(tables[0][old.index("b")], tables[1][new.index("b")])
    assert not tables[1][new.index("z")].any()


class TestNewest:
    """-train_from takes a folder or a `-save_model` as the newest undamaged model there."""

    @pytest.fixture
    def folder(self, run_train: RunTrain, tmp_path: Path) -> Path:
        """Models of three epochs, in that order; the checkpoint is older."""
        folder = tmp_path / "models"
        folder.mkdir()
        assert run_train("-end_epoch", "3", "-save_every", "4", "-save_model", str(folder / "n"))[0] == 0
        for place, path in enumerate([folder / "n_checkpoint.pt", *sorted(folder.glob("n_epoch*"))]):
            os.utime(path, (place, place))
        (folder / "n_epoch9_notes.txt").write_text("no model")
        (folder / "nn_checkpoint.pt").write_bytes(b"of another training, and damaged")
        os.utime(folder / "nn_checkpoint.pt", (9, 9))
        return folder

    @pytest.mark.parametrize("name", ["n", "", "n_epoch3"])
    @pytest.mark.parametrize("damaged", [0, 1])
    def test_it_is_found(self, run_train: RunTrain, folder: Path, name: str, damaged: int) -> None:
        models = sorted(folder.glob("n_epoch*.pt"), reverse=True)
        for model in models[:damaged]:
            content = bytearray(model.read_bytes())
            content[len(content) // 2] ^= 1
            model.write_bytes(content)
        os.utime(models[0], (3, 3))
        where = str(models[0]) if name == "n_epoch3" else str(folder / name)
        code, log, errors = run_train("-train_from", where, "-continue", "-end_epoch", "4")
        if name == "n_epoch3" and damaged:
            assert code == 1
            assert "is damaged: Bad CRC-32" in errors
            assert errors.endswith(f"; the newest intact model of that training is '{models[1]}'\n")
        else:
            assert code == 0
            assert f"Loading checkpoint '{models[damaged]}'..." in log
            assert f"Resuming training from epoch {4 - damaged} at iteration 1..." in log

    @pytest.mark.parametrize(
        ("where", "code", "told"),
        [
            ("nn", 1, "nn: there is no intact model of that name or in that folder"),
            ("empty", 2, "no training has saved a model in the folder"),
            ("nothing", 2, "the file must exist, but there is no"),
        ],
    )
    def test_there_is_none(self, run_train: RunTrain, folder: Path, where: str, code: int, told: str) -> None:
        (folder / "empty").mkdir()
        result, _, errors = run_train("-train_from", str(folder / where))
        assert (result, errors.count("\n")) == (code, 1)
        assert told in errors


def test_data_that_is_cut_ends_a_training_after_saving(
    run_train: RunTrain, tiny_data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the data is whole again, a resumed training ends like an uninterrupted one."""
    for path in Path(tiny_data).parent.glob("tiny*"):
        shutil.copy(path, tmp_path)
    (shard,) = tmp_path.glob("tiny-train-*.bin")
    whole, step = shard.read_bytes(), Trainer.step

    def cutting_step(self: Trainer, batch: Any, epoch: int, iteration: int) -> StepResult:
        if (epoch, iteration) == (1, 5):
            os.truncate(shard, 100)
        return step(self, batch, epoch, iteration)

    arguments = ("-data", str(tmp_path / "tiny"), "-end_epoch", "2", "-dropout", "0.2")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", cutting_step)
        code, _, errors = run_train(*arguments)
    assert code == 1
    told = f"train.py: {shard}: was cut while it was being read; prepare the data again; -train_from "
    assert errors == f"{told}{tmp_path}/m_checkpoint.pt -continue goes on from there\n"
    shard.write_bytes(whole)
    goes_on = ("-train_from", str(tmp_path / "m"), "-continue", "-max_batch_size", "10")
    assert run_train(*arguments, *goes_on)[0] == 0
    assert run_train(*arguments, "-save_model", str(tmp_path / "whole"))[0] == 0
    finals = [load_checkpoint(next(tmp_path.glob(f"{stem}_epoch2_*")))["weights"] for stem in ("whole", "m")]
    assert all(torch.equal(finals[0][name], finals[1][name]) for name in finals[0])
