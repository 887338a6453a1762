"""Texts of toy tasks; some of their words are so rare that vocabularies leave them out."""

import random
from collections.abc import Sequence
from pathlib import Path

WORDS = "red green blue black white".split()


def lines(count: int, seed: int, *, rare: str = "rare", every: int = 5) -> list[str]:
    """Lines of 2 to 5 words; one line in `every` has a word that occurs only once and begins with `rare`."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        words = rng.choices(WORDS, k=rng.randint(2, 5))
        if index % every == 0:
            words[rng.randrange(len(words))] = f"{rare}{seed}x{index}"
        made.append(" ".join(words))
    return made


def write(path: Path, texts: Sequence[str]) -> str:
    """Write the lines; return the path as an argument."""
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return str(path)
