"""The real command lines, one after the other, learn a toy task: to reverse the words of a line.

Some words are so rare that the vocabularies leave them out; the model learns to write `<unk>` in their place.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from toy_texts import lines, write

from onmt.commands.pipeline import preprocess, train, translate

ROOT = Path(__file__).resolve().parents[2]
TRAINING = (
    *("-encoder_type", "brnn", "-layers", "1", "-rnn_size", "48", "-word_vec_size", "16", "-dropout", "0"),
    *("-optim", "adam", "-learning_rate", "0.02", "-learning_rate_decay", "0.5", "-start_decay_at", "3"),
    *("-max_batch_size", "16", "-end_epoch", "7", "-save_every_epochs", "0"),
)


def backwards(line: str) -> str:
    return " ".join(reversed(line.split(" ")))


def read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model made by preprocess.py and train.py."""
    folder = tmp_path_factory.mktemp("toy")
    arguments = ["-src_words_min_frequency", "2", "-tgt_words_min_frequency", "2"]
    arguments += ["-save_data", str(folder / "toy"), "-log_level", "WARNING"]
    for split, count, seed in (("train", 600, 1), ("valid", 40, 2)):
        source = lines(count, seed)
        arguments += [f"-{split}_src", write(folder / f"{split}.src", source)]
        arguments += [f"-{split}_tgt", write(folder / f"{split}.tgt", [backwards(line) for line in source])]
    assert preprocess(arguments) == 0
    paths = ["-data", str(folder / "toy-train.json"), "-save_model", str(folder / "toy")]
    assert train([*paths, *TRAINING, "-log_file", str(folder / "train.log")]) == 0
    [trained] = folder.glob("toy_epoch7_*.pt")
    return trained


@pytest.fixture
def translated(model: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """translated(lines, *options) -> the lines of the output."""

    def call(source: Sequence[str], *options: str) -> list[str]:
        output = tmp_path / "output"
        paths = ["-model", str(model), "-src", write(tmp_path / "source", source), "-output", str(output)]
        assert translate([*paths, "-log_file", str(tmp_path / "log"), *options]) == 0
        return read(output)

    return call


def test_the_task_is_learnt(translated: Callable[..., list[str]]) -> None:
    unseen = [line for line in lines(100, 3) if "rare" not in line]
    right = sum(backwards(line) == answer for line, answer in zip(unseen, translated(unseen), strict=True))
    assert right >= 0.95 * len(unseen)


def test_greedy_search_and_the_batch_size_change_nothing_here(translated: Callable[..., list[str]]) -> None:
    unseen = lines(40, 4)
    best = translated(unseen)
    assert translated(unseen, "-batch_size", "1") == best
    assert translated(unseen, "-beam_size", "1") == best


def test_unknown_words_are_replaced_by_their_sources(translated: Callable[..., list[str]]) -> None:
    source = ["red mauve blue", "black white ochre", "beige green"]
    assert translated(source) == ["blue <unk> red", "<unk> white black", "green <unk>"]
    assert translated(source, "-replace_unk") == [backwards(line) for line in source]


def test_several_translations_per_line(translated: Callable[..., list[str]]) -> None:
    source = ["red green", "white black blue"]
    answers = translated(source, "-n_best", "3")
    assert answers[0::3] == translated(source)
    assert len(answers) == 6
    assert len(set(answers[:3])) == 3


def test_an_empty_line_stays_one(translated: Callable[..., list[str]]) -> None:
    assert translated(["red green", "", "blue red"]) == ["green red", "", "red blue"]


def test_gold_scores_are_logged(translated: Callable[..., list[str]], tmp_path: Path) -> None:
    reference = write(tmp_path / "reference", ["green red", "blue blue blue"])
    translated(["red green", "white black"], "-tgt", reference)
    scores = [float(line.split("GOLD SCORE: ")[1]) for line in read(tmp_path / "log") if "GOLD SCORE" in line]
    assert scores[0] > -0.5
    assert scores[1] < -5


def test_translation_as_a_filter(model: Path) -> None:
    """In the C locale, text passes from standard input to output as UTF-8, and the log goes to stderr."""
    done = subprocess.run(
        [sys.executable, "translate.py", "-model", str(model), "-src", "-", "-output", "-", "-replace_unk"],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
        input="red blåbär\nwhite green".encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode("utf-8") == "blåbär red\ngreen white\n"
    assert b"PRED SCORE" in done.stderr
