"""The scripts that draw: `tools/visualize.py` (attention and search), `tools/plot_training.py`."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from onmt.commandline.declare import (
    at_least,
    existing_file,
    existing_file_or_empty,
    existing_folder_or_empty,
    not_empty,
    option,
)
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.errors import DataError, OptionError
from onmt.files import replacing
from onmt.logger import Logger, LoggerOptions


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """Page"""

    attention: str = option(
        "", "File that translate.py wrote for -save_attention, text or .npz.", valid=existing_file_or_empty
    )
    beam: str = option(
        "", "File that translate.py wrote for -save_beam_to, JSON or .npz.", valid=existing_file_or_empty
    )
    sentences: tuple[int, ...] = option(
        (),
        "Numbers of the sentences to show, counted from 1; all by default. If -attention is an .npz file: "
        "numbers of the lines of translate.py's output.",
        valid=at_least(1),
    )
    images: str = option(
        "",
        "For a model that reads images: folder of the list that translate.py read, at which relative paths "
        "start. Shows attention over the images.",
        valid=existing_folder_or_empty,
    )
    grid: tuple[int, ...] = option(
        (),
        "With -images: rows and columns of the grid that attention covers, two numbers. By default the grid "
        "is square.",
        valid=at_least(1),
    )
    output: str = option("translations.html", "HTML page to write.", valid=not_empty, writes=("{}",))

    def check(self) -> None:
        """Require a file to show, and options of images that fit together."""
        if not self.attention and not self.beam:
            raise OptionError("-attention or -beam is missing: name a file that translate.py wrote")
        if self.grid and len(self.grid) != 2:
            raise OptionError("-grid must be two numbers: rows and columns")
        if self.grid and not self.images:
            raise OptionError("-grid is about images: name their folder with -images")
        if not self.images:
            return
        from onmt.decoding.array_files import ArrayFile  # imports numpy, which takes time

        if ArrayFile.has_suffix(self.attention):
            raise OptionError(
                "-images needs the images' names: give -attention a file of text, not of arrays"
            )


@dataclass(frozen=True, kw_only=True)
class VisualizeOptions(PageOptions, LoggerOptions):
    """Visualize"""


def _visualize(parsed: Parsed[VisualizeOptions], logger: Logger) -> None:
    """Read the files and write the page.

    Raises DataError for a file that cannot be read and for a sentence that is not in it.
    """
    from onmt.decoding.array_files import AttentionTable, BeamTree
    from onmt.decoding.pictures import page

    options = parsed.options
    tables = AttentionTable.read(options.attention) if options.attention else []
    trees = list(enumerate(BeamTree.read(options.beam), start=1)) if options.beam else []
    numbers = {table.number for table in tables}
    for number in options.sentences:
        if options.attention and number not in numbers:
            raise DataError(f"{options.attention}: there is no sentence {number}")
        if options.beam and number > len(trees):
            raise DataError(f"{options.beam}: there is no sentence {number}")
    if options.sentences:
        tables = [table for table in tables if table.number in options.sentences]
        trees = [(number, tree) for number, tree in trees if number in options.sentences]
    shown = page(tables, trees, options.images, options.grid)
    with replacing(options.output) as file:
        file.write(shown.encode("utf-8"))
    logger.info(f"Wrote {len(tables)} attention tables and {len(trees)} searches to {options.output}")


visualize = Command(
    Script(
        name="tools/visualize.py",
        summary="Writes an HTML page that shows attention as shaded tables and beam search as trees.",
        choose=lambda _: VisualizeOptions,
    ),
    _visualize,
)


@dataclass(frozen=True, kw_only=True)
class PlotOptions:
    """Plot"""

    logs: tuple[str, ...] = option(
        (), "Logs or `_metrics.jsonl` files of train.py, one curve each.", valid=existing_file
    )
    names: tuple[str, ...] = option(
        (),
        "Names of the curves, one per file of `-logs`, in the same order. By default the names of the "
        "files, with their folders where two are equal.",
    )
    output: str = option(
        "training.png",
        "Picture to write; the ending of its name determines the format.",
        valid=not_empty,
        writes=("{}",),
    )

    def check(self) -> None:
        """Require logs to draw, and a unique name for each if there are names."""
        if not self.logs:
            raise OptionError("-logs is missing: name the logs to draw")
        if self.names and len(self.names) != len(self.logs):
            raise OptionError(f"-names has {len(self.names)} names for {len(self.logs)} files of -logs")
        if len(set(self.names)) < len(self.names):
            raise OptionError("-names: two curves have the same name")


@dataclass(frozen=True, kw_only=True)
class PlotTrainingOptions(PlotOptions, LoggerOptions):
    """Plot training"""


_REPORT: Final = re.compile(
    r"Epoch (?P<epoch>\d+) ; Iteration (?P<iteration>\d+)/(?P<iterations>\d+) ; "
    r"Optim \w+(?: LR (?P<rate>\S+))? ; .*Perplexity (?P<perplexity>\S+)"
)
_VALIDATION: Final = re.compile(r"Validation (?P<name>\w+): (?P<score>\S+)")


@dataclass
class TrainingHistory:
    """The curves read from a log. The first number of a point is its position in epochs: 1.5 is in the middle
    of the second epoch."""

    perplexities: list[tuple[float, float]] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)
    scores: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # by metric


def _plot_training(parsed: Parsed[PlotTrainingOptions], logger: Logger) -> None:
    """Draw the picture."""
    options = parsed.options
    names = options.names or curve_names(options.logs)
    histories = {name: read_history(path) for name, path in zip(names, options.logs, strict=True)}
    draw(histories, options.output)
    logger.info(f"Drew {len(histories)} training{'s' if len(histories) > 1 else ''} to '{options.output}'")


plot_training = Command(
    Script(
        name="tools/plot_training.py",
        summary="Plots perplexity, learning rate and validation scores from the logs of trainings.",
        choose=lambda _: PlotTrainingOptions,
    ),
    _plot_training,
)


def curve_names(paths: Sequence[str]) -> list[str]:
    """Return a name per file: its stem without the `_metrics` of train.py, or its path if stems repeat."""
    stems = [Path(path).stem.removesuffix("_metrics") for path in paths]
    with_folders = [str(Path(path).with_name(stem)) for path, stem in zip(paths, stems, strict=True)]
    for names in (stems, with_folders):
        if len(set(names)) == len(names):
            return names
    return list(paths)


def read_history(path: str) -> TrainingHistory:
    """Read the curves from a log of train.py or from its metrics file.

    Raises DataError for a malformed line, and if the file has no perplexity.
    """
    history = TrainingHistory()
    place = 0.0
    read_line = _read_record if path.endswith(".jsonl") else _read_line
    lines = Path(path).read_bytes().decode("utf-8", "replace").split("\n")
    if path.endswith(".jsonl"):
        lines.pop()  # empty, or a line that a running or killed training has not finished
    for number, line in enumerate(lines, start=1):
        try:
            place = read_line(line, history, place)
        except KeyError as error:
            raise DataError(f"{path}, line {number}: {error} is missing") from error
        except (ValueError, ZeroDivisionError, TypeError, OverflowError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: {error}") from error
    if not history.perplexities:
        raise DataError(f"{path}: no line of this file reports a training")
    return history


def _read_line(line: str, history: TrainingHistory, place: float) -> float:
    """Add the values of a log line to `history`; return its position in epochs, `place` if it has none."""
    report, validation = _REPORT.search(line), _VALIDATION.search(line)
    if report is not None:
        place = int(report["epoch"]) - 1 + int(report["iteration"]) / int(report["iterations"])
        history.perplexities.append((place, float(report["perplexity"])))
        if report["rate"] is not None:
            history.rates.append((place, float(report["rate"])))
    elif validation is not None:
        history.scores.setdefault(validation["name"], []).append((place, float(validation["score"])))
    return place


def _read_record(line: str, history: TrainingHistory, place: float) -> float:
    """Like `_read_line`, for a metrics file, where null stands for a number that is not finite."""
    record = json.loads(line)
    place = float(record["epoch"] - 1 + record["iteration"] / record["iterations"])
    if record["kind"] == "validation":
        if record["score"] is not None:
            scores = history.scores.setdefault(str(record["metric"]), [])
            scores.append((place, float(record["score"])))
    else:
        history.rates.append((place, float(record["learning_rate"])))
        if record["perplexity"] is not None:
            history.perplexities.append((place, float(record["perplexity"])))
    return place


def draw(histories: dict[str, TrainingHistory], output: str) -> None:
    """Plot perplexity, validation scores and learning rate, one curve per training with its name.

    Raises OptionError if matplotlib is missing or does not support the format of `output`.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot, ticker
    except ImportError as error:
        raise OptionError("drawing needs matplotlib: pip install matplotlib") from error
    figure, (losses, scores, rates) = pyplot.subplots(3, 1, sharex=True, figsize=(8, 9))
    for name, history in histories.items():
        losses.plot(*zip(*history.perplexities, strict=True), label=name)
        for metric, points in history.scores.items():
            scores.plot(*zip(*points, strict=True), marker="o", label=f"{name} ({metric})")
        if history.rates:
            rates.plot(*zip(*history.rates, strict=True), label=name)
    for axes, title in ((losses, "training perplexity"), (scores, "validation"), (rates, "learning rate")):
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    losses.set_yscale("log")
    for set_formatter in (losses.yaxis.set_major_formatter, losses.yaxis.set_minor_formatter):
        set_formatter(ticker.StrMethodFormatter("{x:g}"))  # 20 rather than 2 x 10^1
    rates.set_xlabel("epochs")
    figure.tight_layout()
    try:
        figure.savefig(output)
    except ValueError as error:
        raise OptionError(f"-output {output}: {str(error).partition(chr(10))[0]}") from error
    finally:
        pyplot.close(figure)
