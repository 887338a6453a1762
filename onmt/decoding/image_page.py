"""Attention over images, for the page of `tools/visualize.py`: the image once per word of its caption."""

import base64
import math
import mimetypes
from html import escape
from pathlib import Path
from typing import Final

from onmt.decoding.visualize import AttentionTable, row_names
from onmt.errors import DataError

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
    names = zip(row_names(table), table.weights, strict=True)
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
    cells = "".join(_cell(weight, most) for weight in weights)
    places = f"grid-template: repeat({rows}, 1fr) / repeat({columns}, 1fr)"
    return f'<div class="word">{escape(name)}<div class="image" style="{places}">{cells}</div></div>'


def _cell(weight: float, most: float) -> str:
    darkness = _DARKEST * (1 - max(weight, 0.0) / most)
    return f'<i title="{weight:.4f}" style="background: rgba(0, 0, 0, {darkness:.3f})"></i>'
