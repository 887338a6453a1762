"""HTML pages of attention weights and beam trees, and attention drawn over images."""

import base64
import json
import math
import mimetypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from onmt.decoding.array_files import AttentionTable, holds_arrays, reading_arrays
from onmt.errors import DataError
from onmt.text.lines import read_text_lines

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


@dataclass(frozen=True)
class BeamTree:
    """The search of one sentence in a `-save_beam_to` file, [step][slot]; no score: the slot is empty."""

    words: list[list[str]]
    parents: list[list[int]]
    scores: list[list[float | None]]


def read_beams(path: str) -> list[BeamTree]:
    """The sentences of a `-save_beam_to` file. Raises DataError if it is none."""
    if holds_arrays(path):
        return _read_beam_arrays(path)
    try:
        content = json.loads("\n".join(read_text_lines(path)))
        trees = [
            BeamTree(words, parents, scores)
            for words, parents, scores in zip(
                content["predicted_ids"], content["beam_parent_ids"], content["scores"], strict=True
            )
        ]
        for tree in trees:
            _check_tree(tree)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: not a file of -save_beam_to") from error
    return trees


def _read_beam_arrays(path: str) -> list[BeamTree]:
    with reading_arrays(path, "-save_beam_to") as arrays:
        ids, parents, scores = (
            arrays.read(name, kind, 3)
            for name, kind in (("predicted_ids", "i"), ("beam_parent_ids", "i"), ("scores", "f"))
        )
        words = np.append(arrays.read("target_words", "U", 1), "")  # -1, a dead slot, has no word
        steps = arrays.read("steps", "i", 1)
        if not (ids.shape == parents.shape == scores.shape and len(ids) == len(steps)):
            raise ValueError("shapes")
        if (ids < -1).any() or (ids >= len(words) - 1).any():
            raise ValueError("ids")
        if (steps < 0).any() or (steps > ids.shape[1]).any():
            raise ValueError("steps")
        trees = []
        for sentence, length in enumerate(steps):
            shown = scores[sentence, :length].tolist()
            tree = BeamTree(
                words[ids[sentence, :length]].tolist(),
                parents[sentence, :length].clip(min=0).tolist(),
                [[None if math.isnan(score) else score for score in step] for step in shown],
            )
            _check_tree(tree)
            trees.append(tree)
    return trees


def page(
    tables: Iterable[AttentionTable],
    trees: Iterable[tuple[int, BeamTree]],
    section: Callable[[AttentionTable], str] | None = None,
    style: str = "",
) -> str:
    """The HTML page; trees come with the numbers of their sentences.

    section: shows a hypothesis instead of a shaded table, with the rules `style`.
    """
    shown = section or _attention
    parts = [_sentence(list(group), shown) for _, group in groupby(tables, key=lambda table: table.number)]
    parts += [
        f'<h2>Search {number}</h2>\n<div class="search">\n{_tree(tree)}\n</div>' for number, tree in trees
    ]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Translations</title>\n'
        f"<style>{LOOK}{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n<h1>Translations</h1>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def _check_tree(tree: BeamTree) -> None:
    """Raise ValueError, or OverflowError, unless every slot has a word, a score and a parent in the step
    before.
    """
    before = None
    for words, parents, scores in zip(tree.words, tree.parents, tree.scores, strict=True):
        if not len(words) == len(parents) == len(scores):
            raise ValueError("slots")
        if not all(isinstance(word, str) for word in words):
            raise ValueError("words")
        if not all(isinstance(parent, int) for parent in parents):
            raise ValueError("parents")
        if before is not None and not all(0 <= parent < before for parent in parents):
            raise ValueError("parents")
        if not all(score is None or isinstance(score, int | float) for score in scores):
            raise ValueError("scores")
        for score in scores:
            float(score or 0)  # a whole number of JSON may be too large for one
        before = len(words)


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
    """Rank, score and text of a hypothesis; arrays know neither score nor text."""
    if table.score is None:
        return ""
    return (
        f'<div class="caption"><span class="rank">{rank}</span> <span class="score">{table.score:.4f}</span> '
        f'<span class="text">{escape(" ".join(table.target))}</span></div>'
    )


def _row_names(table: AttentionTable) -> list[str]:
    """A name per target word: without one of its own (a target of -detokenize_output) its number."""
    numbered = [str(place) for place in range(1, len(table.weights) + 1)]
    return table.target if len(table.target) == len(numbered) else numbered


def _attention(table: AttentionTable) -> str:
    """A shaded table: the darker a cell, the more of the target word's attention the source position has."""
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
    """Steps from left to right, slots downwards; coloured lines lead to what was alive in the last step."""
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
    """(step, slot) of everything from which a live hypothesis of the last step descends, itself included."""
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


STYLE: Final = """
.word { display: inline-block; margin: 0 8px 1em 0; text-align: center; }
.image { display: grid; width: 150px; height: 150px; }
.image { background-image: var(--image); background-size: 100% 100%; }
"""
_DARKEST: Final = 0.85


def image_section(table: AttentionTable, folder: str, grid: tuple[int, ...]) -> str:
    """One hypothesis: for each word a copy of the image, dark where it has little of the word's attention.

    folder: where the image's name, which is the table's source, starts. grid: the rows and columns of which a
    word's weights are, row by row; empty: as many rows as columns. Raises DataError for another number of
    weights, and for an image that cannot be read.
    """
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
            f"{where}: {len(weights)} weights are not those of {rows} rows and {columns} columns: give -grid"
        )
    most = max(weights, default=0.0) or 1.0
    cells = "".join(_image_cell(weight, most) for weight in weights)
    places = f"grid-template: repeat({rows}, 1fr) / repeat({columns}, 1fr)"
    return f'<div class="word">{escape(name)}<div class="image" style="{places}">{cells}</div></div>'


def _image_cell(weight: float, most: float) -> str:
    darkness = _DARKEST * (1 - max(weight, 0.0) / most)
    return f'<i title="{weight:.4f}" style="background: rgba(0, 0, 0, {darkness:.3f})"></i>'
