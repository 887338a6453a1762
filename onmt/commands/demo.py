"""`tools/demo.py`, and the scripts that write toy corpora: `generate_dates.py`, `generate_shapes.py`."""

import random
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from onmt.commandline.declare import at_least, not_empty, option
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.data.toy_tasks import SMALLEST, Pair, Scene, draw, generate, join, scenes, spell
from onmt.errors import DataError, OnmtError
from onmt.files import replacing
from onmt.logger import Logger, LoggerOptions

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = (ROOT / "tools" / "demo.py").is_file()
"""False if the package was installed from a wheel, which contains neither the scripts nor the corpus."""
CORPUS = "data/dates"
PREDICTIONS = "test.pred"

MODEL = (
    *(
        "-encoder_type",
        "brnn",
        "-rnn_type",
        "GRU",
        "-layers",
        "1",
        "-rnn_size",
        "128",
        "-word_vec_size",
        "64",
    ),
    *("-dropout", "0"),
)
TRAINING = (
    *("-optim", "adam", "-learning_rate", "0.003", "-learning_rate_decay", "0.5", "-start_decay_at", "5"),
    *("-max_batch_size", "64", "-max_tokens", "5000", "-save_every", "0", "-save_every_epochs", "0"),
)


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """Demo"""

    data: str = option(
        CORPUS,
        "Folder of the corpus. If the default folder does not exist, the same corpus is generated in the "
        "subfolder `corpus` of -output.",
        valid=not_empty,
    )
    output: str = option("demo", "Folder for all results; existing files are replaced.", valid=not_empty)
    end_epoch: int = option(7, "Number of epochs to train.", valid=at_least(1))
    lines: int = option(10, "Number of test lines to show.", valid=at_least(1))


@dataclass(frozen=True, kw_only=True)
class DemoOptions(PipelineOptions, LoggerOptions):
    """Demonstration"""


@dataclass(frozen=True)
class Answer:
    """One test line with its translation and reference, characters joined."""

    source: str
    prediction: str
    reference: str

    @property
    def exact(self) -> bool:
        """Whether every character of the prediction is right."""
        return self.prediction == self.reference


def _demo(parsed: Parsed[DemoOptions], logger: Logger) -> None:
    """Preprocess, train, translate; show answers, the exact-match rate and suggestions for further steps."""
    options = parsed.options
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("dates_epoch*.pt"):
        old.unlink()
    data = corpus(options)
    _run("preprocess", preprocess_arguments(data, output))
    _run("train", train_arguments(output, options.end_epoch))
    model = trained_model(output)
    _run("translate", translate_arguments(model, data / "test.src", output))
    answers = read_answers(data / "test.src", output / PREDICTIONS, data / "test.tgt")
    print(
        f"\n{table(answers[: options.lines])}\n\n{advice(model)}\n\nexact match: {exact_match(answers):.1f} %"
    )


demo = Command(
    Script(
        name="tools/demo.py",
        summary="Trains a small model to read dates, and shows its translations of unseen dates.",
        choose=lambda _: DemoOptions,
    ),
    _demo,
)


def corpus(options: PipelineOptions) -> Path:
    """Return the folder of the corpus; generate the corpus if it is the default one and does not exist."""
    folder = Path(options.data)
    if options.data != CORPUS or folder.exists():
        return folder
    folder = Path(options.output) / "corpus"
    _run("generate_dates", ["-output", str(folder)])
    return folder


def preprocess_arguments(data: Path, output: Path) -> list[str]:
    """Return the arguments of preprocess.py for the corpus in `data`."""
    files = [
        argument
        for split in ("train", "valid")
        for side in ("src", "tgt")
        for argument in (f"-{split}_{side}", str(data / f"{split}.{side}"))
    ]
    return [*files, "-src_seq_length", "80", "-tgt_seq_length", "20", "-save_data", str(output / "dates")]


def train_arguments(output: Path, end_epoch: int) -> list[str]:
    """Return the arguments of train.py for a small bidirectional model."""
    paths = ("-data", str(output / "dates-train.json"), "-save_model", str(output / "dates"))
    return [*paths, *MODEL, *TRAINING, "-end_epoch", str(end_epoch)]


def translate_arguments(model: Path, source: Path, output: Path) -> list[str]:
    """Return the arguments of translate.py for the best translation of every line.

    The log, which has three lines per translation, goes to a file.
    """
    files = ("-output", str(output / PREDICTIONS), "-log_file", str(output / "translate.log"))
    return ["-model", str(model), "-src", str(source), *files, "-batch_size", "100"]


def trained_model(output: Path) -> Path:
    """Return the model that training saved. Raises DataError unless there is exactly one."""
    models = sorted(output.glob("dates_epoch*.pt"))
    if len(models) != 1:
        raise DataError(f"{output}: one trained model dates_epoch*.pt was expected, not {len(models)}")
    return models[0]


def read_answers(source: Path, prediction: Path, reference: Path) -> list[Answer]:
    """Read the three files line by line and join characters. Raises DataError if they differ in length."""
    columns = [
        [join(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        for path in (source, prediction, reference)
    ]
    if len({len(column) for column in columns}) != 1:
        lengths = ", ".join(str(len(column)) for column in columns)
        raise DataError(f"{source}, {prediction} and {reference} differ in length: {lengths} lines")
    return [Answer(*texts) for texts in zip(*columns, strict=True)]


def exact_match(answers: Sequence[Answer]) -> float:
    """Return the percentage of answers in which every character is right."""
    return 100 * sum(answer.exact for answer in answers) / len(answers)


def table(answers: Sequence[Answer]) -> str:
    """Return a table of source, prediction, reference, and a mark for right or wrong."""
    rows = [("source (unseen in training)", "prediction", "reference", "")]
    rows += [
        (answer.source, answer.prediction, answer.reference, "✓" if answer.exact else "✗")
        for answer in answers
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths[:3]), *lines[1:]])


def advice(model: Path) -> str:
    """Return suggestions for what to try next."""
    translate = f"{shown('translate')} -model {model}"
    return "\n".join(
        [
            "Try next:",
            "- a date of your own, in characters with blanks between them and _ for a blank:",
            f"  echo 'n o o n _ o n _ 1 _ m a y _ 2 0 2 6' | {translate} -src - -output -",
            "- five answers per line, best first: add -n_best 5; another search: -beam_size 1",
            "- a smaller or longer training: the commands above, with -rnn_size, -end_epoch, -dropout ...",
            "- your own text: two files with a sentence per line, the same three commands (README.md)",
        ]
    )


def shown(command: str) -> str:
    """Return a command as the user would type it: the script in a checkout, else the console command."""
    return f"{python()} {launcher(command)}" if CHECKOUT else f"onmt_{command}"


def launcher(command: str) -> Path:
    """Return the script of a command, relative to the checkout."""
    script = Path(f"{command}.py")
    return script if (ROOT / script).is_file() else Path("tools") / script


def python() -> str:
    """Return the path of the Python interpreter, relative to the current folder if it is inside."""
    executable, here = Path(sys.executable), Path.cwd()
    return str(executable.relative_to(here) if executable.is_relative_to(here) else executable)


def _run(command: str, arguments: Sequence[str]) -> None:
    print(f"\n$ {shown(command)} {shlex.join(arguments)}", flush=True)
    # Not the console command `onmt_...`: its folder may not be on the PATH.
    module = "demo" if command == "generate_dates" else "pipeline"
    call = f"import sys; from onmt.commands.{module} import {command}; sys.exit({command}())"
    program = [str(ROOT / launcher(command))] if CHECKOUT else ["-c", call]
    finished = subprocess.run([sys.executable, *program, *arguments])
    if finished.returncode != 0:
        name = launcher(command).name if CHECKOUT else f"onmt_{command}"
        raise OnmtError(f"the demo stops here: {name} ended with exit code {finished.returncode}")


@dataclass(frozen=True, kw_only=True)
class DatesOptions:
    """Corpus of dates"""

    output: str = option("data/dates", "Folder to write to; created if it does not exist.", valid=not_empty)
    train: int = option(10_000, "Number of training pairs.", valid=at_least(1))
    valid: int = option(1_000, "Number of validation pairs.", valid=at_least(1))
    test: int = option(1_000, "Number of test pairs.", valid=at_least(1))
    seed: int = option(1, "Random seed; the same seed gives the same files.")


@dataclass(frozen=True, kw_only=True)
class GenerateDatesOptions(DatesOptions, LoggerOptions):
    """Generate dates"""


def _generate_dates(parsed: Parsed[GenerateDatesOptions], logger: Logger) -> None:
    """Write `<split>.src` and `<split>.tgt` for train, valid and test; no moment occurs in two splits."""
    options = parsed.options
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = generate(options.seed)
    for split, size in (("train", options.train), ("valid", options.valid), ("test", options.test)):
        _write_pairs(folder, split, list(islice(pairs, size)))
        logger.info(f"Wrote {size} pairs to {folder / split}.src and .tgt")


generate_dates = Command(
    Script(
        name="tools/generate_dates.py",
        summary="Generates a corpus of dates and times, in English and in ISO format, as characters "
        "separated by blanks.",
        choose=lambda _: GenerateDatesOptions,
    ),
    _generate_dates,
)


def _write_pairs(folder: Path, split: str, pairs: Sequence[Pair]) -> None:
    for side, texts in (("src", (pair.source for pair in pairs)), ("tgt", (pair.target for pair in pairs))):
        with replacing(folder / f"{split}.{side}") as file:
            file.writelines(f"{spell(text)}\n".encode() for text in texts)


@dataclass(frozen=True, kw_only=True)
class ShapesOptions:
    """Images of shapes"""

    output: str = option("", "Folder to write to; created if it does not exist.", required=True)
    train: int = option(6_000, "Number of training images.", valid=at_least(1))
    valid: int = option(500, "Number of validation images.", valid=at_least(1))
    test: int = option(500, "Number of test images.", valid=at_least(1))
    size: int = option(75, "Height and width of the images, in pixels.", valid=at_least(SMALLEST))
    seed: int = option(1, "Random seed; the same seed gives the same images.")


@dataclass(frozen=True, kw_only=True)
class GenerateShapesOptions(ShapesOptions, LoggerOptions):
    """Generate shapes"""


def _generate_shapes(parsed: Parsed[GenerateShapesOptions], logger: Logger) -> None:
    """Write the lists `train.tsv`, `valid.tsv` and `test.tsv`, and a folder of images for each."""
    options = parsed.options
    folder = Path(options.output)
    drawn, rng = scenes(options.seed), random.Random(f"{options.seed} drawing")
    for split, number in (("train", options.train), ("valid", options.valid), ("test", options.test)):
        _write_scenes(folder, split, islice(drawn, number), options.size, rng)
        logger.info(f"Wrote {number} images to {folder / split} and their captions to {folder / split}.tsv")


generate_shapes = Command(
    Script(
        name="tools/generate_shapes.py",
        summary="Generates images of coloured shapes with captions such as `two red circles left of a blue "
        "square`.",
        choose=lambda _: GenerateShapesOptions,
    ),
    _generate_shapes,
)


def _write_scenes(folder: Path, split: str, drawn: Iterator[Scene], size: int, rng: random.Random) -> None:
    from tqdm import tqdm  # here, because it is slow to import

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
