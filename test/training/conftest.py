"""A small task to train on, and a way to run train.py in this process."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from onmt.commands.pipeline import preprocess, train

RAW = {"-train_src", "-train", "-train_dir"}
TINY_MODEL = (
    "-rnn_size 8 -word_vec_size 6 -layers 2 -encoder_type brnn -max_batch_size 10 -optim adam "
    "-learning_rate 0.01"
).split()


def write_corpus(folder: Path) -> list[str]:
    """Sentences of one to six letters and their reversals; return the files as options of preprocess.py."""
    draw = random.Random(11)
    argv = []
    for split, size in (("train", 120), ("valid", 30)):
        sources = [[draw.choice("abcdefgh") for _ in range(draw.randint(1, 6))] for _ in range(size)]
        for side, texts in (("src", sources), ("tgt", [words[::-1] for words in sources])):
            path = folder / f"{split}.{side}"
            path.write_text("".join(" ".join(words) + "\n" for words in texts), encoding="utf-8")
            argv += [f"-{split}_{side}", str(path)]
    return argv


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Prepared pairs, by their `-save_data`."""
    folder = tmp_path_factory.mktemp("tiny")
    assert preprocess([*write_corpus(folder), "-save_data", str(folder / "tiny")]) == 0
    return str(folder / "tiny")


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The same pairs as text files, as options."""
    return write_corpus(tmp_path_factory.mktemp("tiny_files"))


@pytest.fixture(scope="session")
def tiny_model() -> list[str]:
    """Options of a model that trains in a second."""
    return TINY_MODEL


@pytest.fixture
def run_train(
    tiny_data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run train.py on the tiny data with a tiny model saved as `<tmp_path>/m`; return exit code, log,
    stderr."""

    def run(*argv: str) -> tuple[int, str, str]:
        given = [*argv]
        if "-data" not in given and not RAW & {*given}:
            given += ["-data", tiny_data]
        if "-save_model" not in given:
            given += ["-save_model", str(tmp_path / "m")]
        if "-train_from" not in given and "-rnn_size" not in given:
            given += TINY_MODEL
        capsys.readouterr()
        code = train(given)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run
