"""Vocabularies and batches equal those of the original program (skipped without measurements)."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from onmt.commands.pipeline import preprocess
from onmt.data.dataset import describe_dataset, plan_batches
from onmt.data.loading import open_prepared

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "training"

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the measured runs are not beside this checkout")

PACKAGES = {
    "base": ("src", "tgt"),
    "unsorted": ("src", "tgt"),
    "srcf2": ("srcf2", "tgt"),
    "srcf1tgtf2": ("srcf1", "tgtf2"),
    "srcf1tgtf2_unsorted": ("srcf1", "tgtf2"),
    "tag": ("src", "tag"),
    "lm": ("tgt",),
    "lm_unsorted": ("tgt",),
}
RUNS = (
    "sgd_clip",
    "uneven_rnn",
    "uneven_sorted_rnn",
    "srcfeat2_concat",
    "srcf1tgtf2",
    "seqtagger",
    "lm",
    "uneven_lm",
)


def side_flags(sides: tuple[str, ...], folder: Path) -> list[str]:
    if len(sides) == 1:
        return [
            "-data_type",
            "monotext",
            "-train",
            f"{folder}/train.{sides[0]}",
            "-valid",
            f"{folder}/valid.{sides[0]}",
        ]
    return [
        argument
        for side, ending in zip(("src", "tgt"), sides, strict=True)
        for name in ("train", "valid")
        for argument in (f"-{name}_{side}", f"{folder}/{name}.{ending}")
    ]


@pytest.mark.parametrize("package", ["base", "srcf2", "srcf1tgtf2", "srcf1tgtf2_unsorted", "tag"])
def test_vocabulary_files_are_those_of_the_original(package: str, tmp_path: Path) -> None:
    flags = side_flags(PACKAGES[package], GOLDEN / "corpus")
    assert preprocess([*flags, "-save_data", str(tmp_path / package), "-shuffle", "0", "-sort", "0"]) == 0
    expected = {path.name: path.read_bytes() for path in (GOLDEN / "prep").glob(f"{package}.*.dict")}
    assert len(expected) >= 2
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.dict")} == expected


def prepare_in_lua_order(package: str, folder: Path) -> str:
    """Prepare a package with its sentences in the order that Lua's unstable sort gave; return its path."""
    sides = PACKAGES[package]
    orders = (GOLDEN / "prep" / f"{package}.perm").read_text().splitlines()
    for name, order in zip(("train", "valid"), orders, strict=True):
        for ending in sides:
            lines = (GOLDEN / "corpus" / f"{name}.{ending}").read_text(encoding="utf-8").splitlines()
            ordered = [lines[number - 1] + "\n" for number in json.loads(order)]
            (folder / f"{name}.{ending}").write_text("".join(ordered), encoding="utf-8")
    flags = side_flags(sides, folder)
    if len(sides) == 1:
        flags += ["-vocab", str(GOLDEN / "prep" / "base.tgt.dict")]
    elif package == "unsorted":
        flags += ["-src_vocab", str(GOLDEN / "prep" / "base.src.dict")]
        flags += ["-tgt_vocab", str(GOLDEN / "prep" / "base.tgt.dict")]
    assert preprocess([*flags, "-save_data", str(folder / package), "-shuffle", "0", "-sort", "0"]) == 0
    return str(folder / package)


def plan_flags(run: str) -> tuple[int, int, bool]:
    words = shlex.split((GOLDEN / run / "cmd.txt").read_text().splitlines()[0])
    max_tokens = int(words[words.index("-max_tokens") + 1]) if "-max_tokens" in words else 1800
    return int(words[words.index("-max_batch_size") + 1]), max_tokens, "-uneven_batches" in words


@pytest.mark.parametrize("run", RUNS)
def test_batches_are_those_of_the_original(run: str, tmp_path: Path) -> None:
    trajectory: dict[str, Any] = json.loads((GOLDEN / run / "trajectory.json").read_text())
    package = trajectory["package"]
    data = open_prepared(prepare_in_lua_order(package, tmp_path))
    plan = plan_batches(data.train.src_lengths, *plan_flags(run))
    lines = json.loads((GOLDEN / "prep" / f"{package}.perm").read_text().splitlines()[0])
    first_epoch = [iteration for iteration in trajectory["iterations"] if iteration["epoch"] == 1]
    assert len(plan) == len(first_epoch)
    for number, iteration in enumerate(first_epoch):
        indices = plan[number]
        batch = data.train.batch(indices)
        assert [lines[index] for index in indices] == iteration["lines"]
        assert batch.size == iteration["size"]
        assert batch.src_words == iteration["src_words"]
        assert batch.tgt_words == iteration["tgt_words"]


def test_log_lines_about_a_data_set(tmp_path: Path) -> None:
    data = open_prepared(prepare_in_lua_order("base", tmp_path))
    assert describe_dataset(
        data.train, data.vocabularies, plan_batches(data.train.src_lengths, 20, 1800, False)
    ) == [
        " * vocabulary size: source = 30; target = 29",
        " * additional features: source = 0; target = 0",
        " * maximum sequence length: source = 9; target = 14",
        " * number of training sentences: 200",
        " * number of batches: 18",
        "   - source sequence lengths: equal",
        "   - maximum size: 20 sentences / 1800 tokens",
        "   - average size: 11.11",
        "   - capacity: 100.00%",
    ]


def test_log_lines_about_a_data_set_for_a_language_model(tmp_path: Path) -> None:
    data = open_prepared(prepare_in_lua_order("lm", tmp_path))
    lines = describe_dataset(
        data.train, data.vocabularies, plan_batches(data.train.src_lengths, 20, 1800, False)
    )
    assert lines[:5] == [
        " * vocabulary size: 29",
        " * additional features: 0",
        " * maximum sequence length: source = 15; target = 0",
        " * number of training sentences: 200",
        " * number of batches: 16",
    ]
