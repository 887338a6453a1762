"""Training on text files without preprocessing (onmt/data/loading.py)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onmt.constants import BOS, EOS, SPECIAL_WORDS, UNK
from onmt.data.loading import RawData
from onmt.data.options import BitextOptions
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import DataError
from onmt.logger import Logger, LoggerOptions


def options(folder: Path) -> BitextOptions:
    for name, number in (("train", 30), ("valid", 3)):
        (folder / f"{name}.src").write_text("".join(f"s{i}" + " x" * (i % 3) + "\n" for i in range(number)))
        (folder / f"{name}.tgt").write_text("".join(f"t{i}\n" for i in range(number)))
    return BitextOptions(
        train_src=f"{folder}/train.src",
        train_tgt=f"{folder}/train.tgt",
        valid_src=f"{folder}/valid.src",
        valid_tgt=f"{folder}/valid.tgt",
    )


def open_raw(chosen: BitextOptions, folder: Path, seed: int = 1) -> RawData:
    return RawData(chosen, None, seed, folder, Logger(LoggerOptions(disable_logs=True), None))


def targets(data: RawData, epoch: int) -> list[str]:
    dataset = data.train(epoch)
    batch = dataset.batch(np.arange(len(dataset)))
    assert batch.tgt_output is not None
    assert batch.src_lengths.tolist() == sorted(batch.src_lengths.tolist())
    words = [data.vocabularies.tgt[0].word(int(ids[0, 0])) for ids in batch.tgt_output]
    sources = [data.vocabularies.src[0].word(int(ids[0, 0])) for ids in batch.src]
    assert [word[1:] for word in words] == [word[1:] for word in sources]
    return words


def test_whole_files_are_the_same_in_every_epoch(tmp_path: Path) -> None:
    data = open_raw(options(tmp_path), tmp_path)
    assert sorted(targets(data, 1)) == sorted(f"t{i}" for i in range(30))
    assert data.train(2) is data.train(1)
    assert data.valid is not None
    assert len(data.valid) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"train.src", "train.tgt", "valid.src", "valid.tgt"}


def test_samples_differ_between_epochs_but_not_between_runs(tmp_path: Path) -> None:
    sampled = replace(options(tmp_path), gsample=20.0)
    data = open_raw(sampled, tmp_path)
    first, second = targets(data, 1), targets(data, 2)
    assert len(first) == len(second) == 20
    assert first != second
    assert targets(data, 1) == first
    assert targets(open_raw(sampled, tmp_path), 2) == second
    assert targets(open_raw(sampled, tmp_path, seed=2), 2) != second


def test_the_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"temporary files in '.*/missing': No such file"):
        open_raw(options(tmp_path), tmp_path / "missing")


def test_known_vocabularies_are_used(tmp_path: Path) -> None:
    chosen = options(tmp_path)
    known = Vocabularies((Vocabulary([*SPECIAL_WORDS, "x", "s1"]),), (Vocabulary([*SPECIAL_WORDS, "t1"]),))
    silent = Logger(LoggerOptions(disable_logs=True), None)
    data = RawData(chosen, None, 1, tmp_path, silent, known)
    assert data.vocabularies == known
    words = data.train(1).predicted_words()
    assert words.tolist() == [UNK, BOS, EOS, len(SPECIAL_WORDS)]


def test_files_without_a_usable_sentence_are_refused(tmp_path: Path) -> None:
    chosen = replace(options(tmp_path), tgt_seq_length=1)
    (tmp_path / "train.tgt").write_text("a b\n" * 30)
    with pytest.raises(DataError, match="none of 30 sentences can be used"):
        open_raw(chosen, tmp_path).train(1)
