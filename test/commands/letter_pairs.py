"""Prepared pairs of letters and their capitals, and translation with a model trained on them."""

import random
from collections.abc import Sequence
from pathlib import Path

from onmt.commands.pipeline import preprocess, translate


def prepare_pairs(folder: Path, sentences: Sequence[str]) -> None:
    """Write prepared data `d`, and the sentences to translate as `src`."""
    draw = random.Random(3)
    argv = []
    for split, count in (("train", 100), ("valid", 10)):
        lines = [" ".join(draw.choices("abcdef", k=draw.randint(1, 5))) for _ in range(count)]
        for side, texts in (("src", lines), ("tgt", [line.upper() for line in lines])):
            (folder / f"{split}.{side}").write_text("".join(f"{line}\n" for line in texts), encoding="utf-8")
            argv += [f"-{split}_{side}", str(folder / f"{split}.{side}")]
    assert preprocess([*argv, "-save_data", str(folder / "d")]) == 0
    (folder / "src").write_text("".join(f"{line}\n" for line in sentences), encoding="utf-8")


def translation(model: Path | str, folder: Path, output: Path, *more: str) -> list[str]:
    """Translate `src`; return the lines that translate.py writes, and the text after the last line break."""
    argv = ["-model", str(model), "-src", str(folder / "src"), "-output", str(output), *more]
    assert translate(argv) == 0
    return output.read_text(encoding="utf-8").split("\n")
