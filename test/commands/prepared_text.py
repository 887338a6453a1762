"""Run preprocess.py on pairs of sentences, and read the prepared data."""

from pathlib import Path

import numpy as np
import pytest

from onmt.commands.pipeline import preprocess
from onmt.data.loading import open_prepared

PAIRS = [("a b", "x y"), ("c", "z"), ("a b c", "x"), ("b", "y y"), ("c c c", "z z z z")]


def write_pairs(folder: Path, pairs: list[tuple[str, str]], name: str = "train") -> list[str]:
    """Write the files of both sides; return the flags that name them."""
    for side, lines in zip(("src", "tgt"), zip(*pairs, strict=True), strict=True):
        (folder / f"{name}.{side}").write_bytes("".join(line + "\n" for line in lines).encode())
    return [f"-{name}_src", str(folder / f"{name}.src"), f"-{name}_tgt", str(folder / f"{name}.tgt")]


def stored_text(prefix: str, name: str = "train") -> list[tuple[str, ...]]:
    """The sentences of a prepared data set, converted back to words."""
    data = open_prepared(prefix)
    dataset = data.train if name == "train" else data.valid
    assert dataset is not None
    texts = []
    for index in range(len(dataset)):
        batch = dataset.batch(np.array([index]))
        sides = [(batch.src, data.vocabularies.src)]
        if batch.tgt_output is not None:
            sides.append((batch.tgt_output, data.vocabularies.tgt))
        texts.append(
            tuple(
                " ".join(
                    "￨".join(v.word(int(i)) for v, i in zip(vocabularies, ids, strict=True))
                    for ids in tensor[0]
                )
                for tensor, vocabularies in sides
            )
        )
    return texts


def files(folder: Path) -> set[str]:
    """The names of a folder's entries."""
    return {path.name for path in folder.iterdir()}


def run_failing(flags: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run preprocess.py, which must fail with one line; return its exit code and that line."""
    capsys.readouterr()
    code = preprocess(flags)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("preprocess.py: ")
    return code, error
