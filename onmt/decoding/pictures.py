"""Pictures of attention and of the search: pages for a browser, and files that matplotlib draws."""

import base64
import io
import logging
import math
import mimetypes
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onmt.decoding.array_files import AttentionTable, BeamTree
from onmt.errors import DataError, OptionError
from onmt.files import replacing

LOOK: Final = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f6f8; --ink: #1c2128; --quiet: #59636e; --line: #d4dae1;
  --accent: 9 105 218; --on-accent: #ffffff; --strong: #0a5bc0; --alarm: #b3261e; --alarm-paper: #fdecea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --panel: #1d232a; --ink: #e4e8ec; --quiet: #9aa5b1; --line: #353d47;
    --accent: 88 166 255; --on-accent: #0b1016; --strong: #79b8ff; --alarm: #ffb4ab; --alarm-paper: #3b1a18;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main, header { max-width: 80rem; margin: 0 auto; padding: 0 1.25rem; }
h1 { font-size: 1.25rem; line-height: 1.3; margin: 1rem 0; }
h2 { font-size: 1rem; margin: 1.5rem 0 0.25rem; }
.quiet, .source { color: var(--quiet); }
.source { margin: 0 0 0.5rem; overflow-wrap: anywhere; }
.hypotheses { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.hypothesis { margin: 0; padding: 0.6rem 0.8rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 8px; min-width: min(20rem, 100%); max-width: 100%; overflow-x: auto; }
/* As wide as the table below, however long the text. */
.caption { display: flex; gap: 0.6rem; align-items: baseline; margin-bottom: 0.4rem;
  width: 0; min-width: 100%; }
.caption .text { overflow-wrap: anywhere; }
.rank { color: var(--quiet); }
.score { color: var(--quiet); font-variant-numeric: tabular-nums; }
table.heat { border-collapse: collapse; font-size: 13px; line-height: 1.2; }
table.heat th { font-weight: normal; padding: 0 5px; }
table.heat th.column { vertical-align: bottom; padding: 0 0 4px; }
table.heat th.column span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11em;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
table.heat th.row { text-align: right; white-space: nowrap; max-width: 14em; overflow: hidden;
  text-overflow: ellipsis; }
table.heat td { width: 17px; min-width: 17px; height: 17px; padding: 0; border: 1px solid var(--line);
  background: rgb(var(--accent) / var(--w, 0)); }
"""


_STEP_WIDTH: Final = 130  # pixels
_SLOT_HEIGHT: Final = 30
_STYLE: Final = """
svg { display: block; max-width: none; }
.search { overflow-x: auto; }
svg text { font-size: 13px; fill: var(--ink); }
svg text.dead { fill: var(--quiet); }
svg line { stroke: var(--line); }
svg .kept { stroke: rgb(var(--accent)); stroke-width: 2; }
"""


def page(
    tables: Iterable[AttentionTable],
    trees: Iterable[tuple[int, BeamTree]],
    images: str = "",
    grid: tuple[int, ...] = (),
) -> str:
    """The HTML page; trees come with the numbers of their sentences.

    images: for sources that are images, the folder of their names: shows attention over the images instead of
    shaded tables. grid: rows and columns of a word's weights, which stand row by row; empty: as many rows as
    columns. Raises DataError for another number of weights, and for an image that cannot be read.
    """
    shown = partial(_over_image, folder=images, grid=grid) if images else _attention
    style = _STYLE + (_IMAGE_STYLE if images else "")
    parts = [_sentence(list(group), shown) for _, group in groupby(tables, key=lambda table: table.number)]
    parts += [
        f'<h2>Search {number}</h2>\n<div class="search">\n{_tree(tree)}\n</div>' for number, tree in trees
    ]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Translations</title>\n'
        f"<style>{LOOK}{style}</style>\n</head>\n<body>\n<main>\n<h1>Translations</h1>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def _sentence(tables: list[AttentionTable], shown: Callable[[AttentionTable], str]) -> str:
    """A sentence's source and its hypotheses, best first."""
    first = tables[0]
    title = f"<h2>{'Line' if first.score is None else 'Sentence'} {first.number}</h2>"
    source = f'<p class="source">{escape(" ".join(first.source))}</p>' if first.source else ""
    figures = [
        f'<div class="hypothesis">\n{_caption(rank, table)}\n{shown(table)}\n</div>'
        for rank, table in enumerate(tables, start=1)
    ]
    return "\n".join([title, source, '<div class="hypotheses">', *figures, "</div>"])


def _caption(rank: int, table: AttentionTable) -> str:
    """Rank, score and text of a hypothesis; a file of arrays has neither score nor text."""
    if table.score is None:
        return ""
    return (
        f'<div class="caption"><span class="rank">{rank}</span> <span class="score">{table.score:.4f}</span> '
        f'<span class="text">{escape(" ".join(table.target))}</span></div>'
    )


def _row_names(table: AttentionTable) -> list[str]:
    """A name per target word: its number where the words are unknown (-detokenize_output)."""
    numbered = [str(place) for place in range(1, len(table.weights) + 1)]
    return table.target if len(table.target) == len(numbered) else numbered


def _attention(table: AttentionTable) -> str:
    """A shaded table: the darker a cell, the more attention from the target word to the source position."""
    width = max((len(row) for row in table.weights), default=len(table.source))
    positions = [str(place) for place in range(1, width + 1)]
    names = table.source if len(table.source) == width else positions
    head = "".join(
        f'<th class="column" title="{escape(name)}"><span>{escape(name)}</span></th>' for name in names
    )
    if table.copying:
        head = f'<th class="column" title="probability of copying"><span>copying</span></th>{head}'
    copying = [_cell(probability) for probability in table.copying] or [""] * len(table.weights)
    rows = [
        f'<tr><th class="row">{escape(word)}</th>{first}{"".join(map(_cell, row))}</tr>'
        for word, first, row in zip(_row_names(table), copying, table.weights, strict=True)
    ]
    return "\n".join([f'<table class="heat">\n<tr><th></th>{head}</tr>', *rows, "</table>"])


def _cell(weight: float) -> str:
    shade = min(max(weight, 0.0), 1.0)
    return f'<td title="{weight:.4f}" style="--w: {shade:.3f}"></td>'


def _tree(tree: BeamTree) -> str:
    """Steps from left to right, slots downwards; coloured lines lead to hypotheses alive in the last step."""
    slots = max((len(words) for words in tree.words), default=0)
    size = f'width="{_STEP_WIDTH * len(tree.words) + 20}" height="{_SLOT_HEIGHT * slots + 10}"'
    kept = _ancestors(tree)
    drawn = []
    for step, parents in enumerate(tree.parents[1:], start=1):
        for slot, parent in enumerate(parents):
            if tree.scores[step][slot] is not None or (step, slot) in kept:
                style = ' class="kept"' if (step, slot) in kept else ""
                start, end = _place(step - 1, parent), _place(step, slot)
                drawn.append(
                    f'<line{style} x1="{start[0] + 90}" y1="{start[1]}" x2="{end[0] - 4}" y2="{end[1]}"/>'
                )
    for step, words in enumerate(tree.words):
        for slot, word in enumerate(words):
            drawn.append(_node(word, tree.scores[step][slot], _place(step, slot)))
    return "\n".join([f"<svg {size}>", *drawn, "</svg>"])


def _ancestors(tree: BeamTree) -> set[tuple[int, int]]:
    """(step, slot) of the hypotheses alive in the last step and of all their ancestors."""
    found: set[tuple[int, int]] = set()
    if not tree.words:
        return found
    last = len(tree.words) - 1
    for slot, score in enumerate(tree.scores[last]):
        step, place = last, slot
        while score is not None and step >= 0 and (step, place) not in found:
            found.add((step, place))
            place = tree.parents[step][place]
            step -= 1
    return found


def _place(step: int, slot: int) -> tuple[int, int]:
    return 10 + step * _STEP_WIDTH, 20 + slot * _SLOT_HEIGHT


def _node(word: str, score: float | None, place: tuple[int, int]) -> str:
    shown = word if len(word) <= 12 else word[:11] + "…"
    title = "ended or empty" if score is None else f"{score:.4f}"
    dead = ' class="dead"' if score is None else ""
    return (
        f'<text x="{place[0]}" y="{place[1] + 4}"{dead}>{escape(shown)}'
        f"<title>{escape(word)}: {title}</title></text>"
    )


_IMAGE_STYLE: Final = """
.word { display: inline-block; margin: 0 8px 1em 0; text-align: center; }
.image { display: grid; width: 150px; height: 150px; }
.image { background-image: var(--image); background-size: 100% 100%; }
"""
_DARKEST: Final = 0.85


def _over_image(table: AttentionTable, folder: str, grid: tuple[int, ...]) -> str:
    """One hypothesis: for each word a copy of the image, dark where it has little of the word's attention."""
    path = Path(folder) / " ".join(table.source)
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    try:
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except (OSError, ValueError) as error:  # ValueError: no file can have this name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{path}: the image of sentence {table.number}: {reason}") from error
    names = zip(_row_names(table), table.weights, strict=True)
    words = [_word(name, weights, grid, f"sentence {table.number}") for name, weights in names]
    image = f"--image: url(data:{kind};base64,{content})"
    return "\n".join([f'<div style="{image}">', *words, "</div>"])


def _word(name: str, weights: list[float], grid: tuple[int, ...], where: str) -> str:
    rows, columns = grid or (math.isqrt(len(weights)),) * 2
    if rows * columns != len(weights):
        raise DataError(
            f"{where}: {len(weights)} weights do not fit {rows} rows and {columns} columns: give -grid"
        )
    most = max(weights, default=0.0) or 1.0
    cells = "".join(_image_cell(weight, most) for weight in weights)
    places = f"grid-template: repeat({rows}, 1fr) / repeat({columns}, 1fr)"
    return f'<div class="word">{escape(name)}<div class="image" style="{places}">{cells}</div></div>'


def _image_cell(weight: float, most: float) -> str:
    darkness = _DARKEST * (1 - max(weight, 0.0) / most)
    return f'<i title="{weight:.4f}" style="background: rgba(0, 0, 0, {darkness:.3f})"></i>'


_DPI: Final = 100
_CELL: Final = 0.28  # inches
_LARGEST: Final = 30.0  # inches; then cells become smaller
_LABEL: Final = 0.14  # inches that a label needs
_LONGEST_LABEL: Final = 30  # characters
_IMAGE: Final = 1.3  # inches
_TITLE: Final = 0.25  # inches above an image
_LONGEST_TITLE: Final = 14  # characters
_IMAGES_PER_ROW: Final = 8
_MOST_IMAGES: Final = 400  # matplotlib draws no picture of 2^16 pixels, and every image takes time
_DARKEST_SHADE: Final = 0.85  # opacity over a place without attention
_FONTS: Final = (
    "DejaVu Sans",
    "Noto Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
    "Microsoft YaHei",
    "Hiragino Sans",
)
"""Fonts to use, as far as they are installed: the first that has a character."""

_Weights = npt.NDArray[np.float32]


class AttentionPlots:
    """A folder of pictures: `00000.png` is the first sentence's, `00001.png` the second's, and so on."""

    def __init__(self, folder: str) -> None:
        """Make the folder unless it exists.

        Raises OptionError without matplotlib, DataError where the folder cannot be made.
        """
        self._figure_class, fonts = self.require_matplotlib()
        self._text = {"family": fonts, "fontsize": 8, "parse_math": False, "usetex": False}
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: cannot make the folder: {error.strerror}") from error

    @staticmethod
    def require_matplotlib() -> tuple[Any, list[str]]:
        """Return matplotlib's class of figures and the fonts to use. Raises OptionError if not installed."""
        # Hide its own messages, about fonts for example.
        logging.getLogger("matplotlib").addHandler(logging.NullHandler())
        try:
            from matplotlib.figure import Figure
            from matplotlib.font_manager import get_font_names
        except ImportError as error:
            raise OptionError("-plot_attention needs matplotlib: install it with the extra [plot]") from error
        installed = set(get_font_names())
        return Figure, [name for name in _FONTS if name in installed]

    def refuse_to_overwrite(self) -> None:
        """Raise DataError if the folder holds a picture that this run could overwrite or has to read."""
        for path in sorted(self._folder.glob("*.png")):
            if path.stem.isdecimal():
                raise DataError(
                    f"{path}: this run may have to read it, or would overwrite it: give -plot_attention "
                    "another folder"
                )

    def table(self, number: int, words: Sequence[str], positions: Sequence[str], weights: _Weights) -> None:
        """Draw a shaded table, darkest where the weight is largest.

        number: the sentence's, from 1; weights: words x positions, both at least 1.
        """
        rows, columns = weights.shape
        width, height = min(_CELL * columns, _LARGEST), min(_CELL * rows, _LARGEST)
        figure = self._figure_class(figsize=(width, height), dpi=_DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(weights, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest")
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        places, names = _labels(positions, width)
        axes.set_xticks(places, names, rotation=90, **self._text)
        places, names = _labels(words, height)
        axes.set_yticks(places, names, **self._text)
        self._save(figure, number)

    def image(
        self,
        number: int,
        words: Sequence[str],
        colours: npt.NDArray[np.uint8],
        grid: tuple[int, int],
        weights: _Weights,
    ) -> None:
        """Draw the image once per word, dark where it has little of the word's attention.

        Only the first 400 words of a very long translation are drawn.
        colours: 3 x height x width; weights: words x places of the grid (rows, columns), row by row.
        """
        words, weights = words[:_MOST_IMAGES], weights[:_MOST_IMAGES]
        rows, columns = math.ceil(len(words) / _IMAGES_PER_ROW), min(len(words), _IMAGES_PER_ROW)
        width, height = _IMAGE * columns, (_IMAGE + _TITLE) * rows
        figure = self._figure_class(figsize=(width, height), dpi=_DPI)
        shown = colours.transpose(1, 2, 0)
        extent = (0, shown.shape[1], shown.shape[0], 0)
        for place, (word, row) in enumerate(zip(words, weights, strict=True)):
            left = (place % _IMAGES_PER_ROW) * _IMAGE / width
            bottom = 1 - (place // _IMAGES_PER_ROW + 1) * (_IMAGE + _TITLE) / height
            axes = figure.add_axes((left, bottom, 0.95 * _IMAGE / width, 0.95 * _IMAGE / height))
            axes.imshow(shown, extent=extent)
            axes.imshow(_shadow(row.reshape(grid)), extent=extent, interpolation="bilinear")
            axes.set_axis_off()
            axes.set_title(_shortened(word, _LONGEST_TITLE), pad=2, **self._text)
        self._save(figure, number)

    def _save(self, figure: Any, number: int) -> None:
        content = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about characters that no font has: they are drawn as boxes
            figure.savefig(content, format="png", bbox_inches="tight", facecolor="white")
        with replacing(self._folder / f"{number - 1:05d}.png") as file:
            file.write(content.getvalue())


def _labels(names: Sequence[str], length: float) -> tuple[list[int], list[str]]:
    """Places and names of the labels that fit in this many inches."""
    every = max(1, math.ceil(len(names) * _LABEL / length))
    places = list(range(0, len(names), every))
    return places, [_shortened(names[place], _LONGEST_LABEL) for place in places]


def _shortened(word: str, longest: int) -> str:
    return word if len(word) <= longest else word[: longest - 1] + "…"


def _shadow(weights: _Weights) -> npt.NDArray[np.float64]:
    """Black that is more opaque where the weight is smaller: red, green, blue, opacity per place."""
    shown = np.nan_to_num(weights)
    shadow = np.zeros((*shown.shape, 4))
    shadow[..., 3] = _DARKEST_SHADE * (1 - shown / max(float(shown.max()), 1e-30))
    return shadow
