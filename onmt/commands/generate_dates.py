"""`tools/generate_dates.py`: writes the corpus under `data/dates`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from onmt.commandline.declare import at_least, not_empty, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.data.toy_tasks import Pair, generate, spell
from onmt.files import replacing
from onmt.logger import Logger, LoggerOptions


@dataclass(frozen=True, kw_only=True)
class DatesOptions:
    """Corpus of dates"""

    output: str = option("data/dates", "Folder to write to; it is made if it is not there.", valid=not_empty)
    train: int = option(10_000, "Pairs to train on.", valid=at_least(1))
    valid: int = option(1_000, "Pairs to validate with.", valid=at_least(1))
    test: int = option(1_000, "Pairs to test with.", valid=at_least(1))
    seed: int = option(1, "The same seed writes the same files.")


@dataclass(frozen=True, kw_only=True)
class GenerateDatesOptions(DatesOptions, LoggerOptions):
    """Generate dates"""


SCRIPT = Script(
    name="tools/generate_dates.py",
    summary="Writes a corpus of dates and times in English and in ISO form, as blank-separated characters.",
    choose=lambda _: GenerateDatesOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[GenerateDatesOptions], logger: Logger) -> None:
    """Write `<split>.src` and `<split>.tgt` for train, valid and test; no moment is in two of them."""
    options = parsed.options
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = generate(options.seed)
    for split, size in (("train", options.train), ("valid", options.valid), ("test", options.test)):
        _write_split(folder, split, list(islice(pairs, size)))
        logger.info(f"Wrote {size} pairs to {folder / split}.src and .tgt")


def _write_split(folder: Path, split: str, pairs: Sequence[Pair]) -> None:
    for side, texts in (("src", (pair.source for pair in pairs)), ("tgt", (pair.target for pair in pairs))):
        with replacing(folder / f"{split}.{side}") as file:
            file.writelines(f"{spell(text)}\n".encode() for text in texts)
