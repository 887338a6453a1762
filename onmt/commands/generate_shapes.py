"""`tools/generate_shapes.py`: writes images of coloured shapes with captions, to learn captioning from."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from onmt.commandline.declare import at_least, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.data.toy_tasks import SMALLEST, Scene, draw, scenes
from onmt.errors import DataError
from onmt.files import replacing
from onmt.logger import Logger, LoggerOptions


@dataclass(frozen=True, kw_only=True)
class ShapesOptions:
    """Images of shapes"""

    output: str = option("", "Folder to write to; it is made if it is not there.", required=True)
    train: int = option(6_000, "Images to train on.", valid=at_least(1))
    valid: int = option(500, "Images to validate with.", valid=at_least(1))
    test: int = option(500, "Images to test with.", valid=at_least(1))
    size: int = option(75, "Height and width of the images, in pixels.", valid=at_least(SMALLEST))
    seed: int = option(1, "The same seed writes the same images.")


@dataclass(frozen=True, kw_only=True)
class GenerateShapesOptions(ShapesOptions, LoggerOptions):
    """Generate shapes"""


SCRIPT = Script(
    name="tools/generate_shapes.py",
    summary="Writes images of coloured shapes with captions such as `two red circles left of a blue square`.",
    choose=lambda _: GenerateShapesOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[GenerateShapesOptions], logger: Logger) -> None:
    """Write the lists `train.tsv`, `valid.tsv` and `test.tsv`, and a folder of images for each."""
    options = parsed.options
    folder = Path(options.output)
    drawn, rng = scenes(options.seed), random.Random(f"{options.seed} drawing")
    for split, number in (("train", options.train), ("valid", options.valid), ("test", options.test)):
        _write_split(folder, split, islice(drawn, number), options.size, rng)
        logger.info(f"Wrote {number} images to {folder / split} and their captions to {folder / split}.tsv")


def _write_split(folder: Path, split: str, drawn: Iterator[Scene], size: int, rng: random.Random) -> None:
    lines = []
    try:
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number, scene in enumerate(tqdm(drawn, desc=split, unit="image", disable=None, leave=False), 1):
            name = f"{split}/{number:06d}.png"
            draw(scene, size, rng).save(folder / name)
            lines.append(f"{name}\t{scene.caption}\n")
    except OSError as error:
        raise DataError(f"{folder / split}: cannot write: {error.strerror}") from error
    with replacing(folder / f"{split}.tsv") as file:
        file.write("".join(lines).encode())
