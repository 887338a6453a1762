"""`tools/visualize.py`: a page with pictures of attention and search, from files of translate.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from onmt.commandline.declare import (
    at_least,
    existing_file_or_empty,
    existing_folder_or_empty,
    not_empty,
    option,
)
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.decoding.array_files import holds_arrays, read_attention
from onmt.decoding.visualize import STYLE, image_section, page, read_beams
from onmt.errors import DataError, OptionError
from onmt.files import replacing
from onmt.logger import Logger, LoggerOptions


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """Page"""

    attention: str = option(
        "", "File that translate.py wrote as -save_attention, text or .npz.", valid=existing_file_or_empty
    )
    beam: str = option(
        "", "File that translate.py wrote as -save_beam_to, JSON or .npz.", valid=existing_file_or_empty
    )
    sentences: tuple[int, ...] = option(
        (),
        "Numbers of the sentences to show, from 1; all by default. In an -attention file of arrays, "
        "numbers of the lines of the output.",
        valid=at_least(1),
    )
    images: str = option(
        "",
        "For a model that reads images: the folder from which their names start, that of the list given to "
        "translate.py. Shows attention over the images.",
        valid=existing_folder_or_empty,
    )
    grid: tuple[int, ...] = option(
        (),
        "With -images: rows and columns of the grid that attention is over, two numbers. Unless given, as "
        "many rows as columns.",
        valid=at_least(1),
    )
    output: str = option("translations.html", "Page to write.", valid=not_empty, writes=("{}",))

    def check(self) -> None:
        """There must be something to show."""
        if not self.attention and not self.beam:
            raise OptionError("-attention or -beam is missing: name a file that translate.py wrote")
        if self.grid and len(self.grid) != 2:
            raise OptionError("-grid must be two numbers: rows and columns")
        if self.grid and not self.images:
            raise OptionError("-grid is about images: name their folder with -images")
        if self.images and holds_arrays(self.attention):
            raise OptionError(
                "-images needs the images' names: give -attention a file of text, not of arrays"
            )


@dataclass(frozen=True, kw_only=True)
class VisualizeOptions(PageOptions, LoggerOptions):
    """Visualize"""


SCRIPT = Script(
    name="tools/visualize.py",
    summary="Shows attention as shaded tables and the search as trees, on a page for the browser.",
    choose=lambda _: VisualizeOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[VisualizeOptions], logger: Logger) -> None:
    """Read the files and write the page."""
    options = parsed.options
    tables = read_attention(options.attention) if options.attention else []
    trees = list(enumerate(read_beams(options.beam), start=1)) if options.beam else []
    numbers = {table.number for table in tables}
    for number in options.sentences:
        if options.attention and number not in numbers:
            raise DataError(f"{options.attention}: there is no sentence {number}")
        if options.beam and number > len(trees):
            raise DataError(f"{options.beam}: there is no sentence {number}")
    if options.sentences:
        tables = [table for table in tables if table.number in options.sentences]
        trees = [(number, tree) for number, tree in trees if number in options.sentences]
    if options.images:
        section = partial(image_section, folder=options.images, grid=options.grid)
        shown = page(tables, trees, section, STYLE)
    else:
        shown = page(tables, trees)
    with replacing(options.output) as file:
        file.write(shown.encode("utf-8"))
    logger.info(f"Wrote {len(tables)} attention tables and {len(trees)} searches to {options.output}")
