"""`-plot_attention`: a picture of each sentence's attention, drawn by matplotlib. Torch-free."""

import io
import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onmt.errors import DataError, OptionError
from onmt.files import replacing

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
_DARKEST: Final = 0.85  # opacity over a place without attention
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
"""Fonts in which characters are looked for, in this order, as far as they are installed."""

_Weights = npt.NDArray[np.float32]


class AttentionPlots:
    """A folder of pictures: `00000.png` is the first sentence's, `00001.png` the second's, and so on."""

    def __init__(self, folder: str) -> None:
        """Make the folder unless it is there. Raises OptionError without matplotlib, DataError without
        folder.
        """
        self._figure_class, fonts = require_matplotlib()
        self._text = {"family": fonts, "fontsize": 8, "parse_math": False, "usetex": False}
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: cannot make the folder: {error.strerror}") from error

    def refuse_to_overwrite(self) -> None:
        """Raise DataError if there is a picture that could be one of ours, or one to read."""
        for path in sorted(self._folder.glob("*.png")):
            if path.stem.isdecimal():
                raise DataError(
                    f"{path}: this run may have to read it, or would overwrite it: give -plot_attention "
                    "another folder"
                )

    def table(self, number: int, words: Sequence[str], positions: Sequence[str], weights: _Weights) -> None:
        """A shaded table, darkest where the largest weight is.

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
        """The image once per word, dark where it has little of the word's attention; of a very long
        translation the first 400 words.

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
            warnings.simplefilter("ignore")  # of characters that no font has: they are drawn as boxes
            figure.savefig(content, format="png", bbox_inches="tight", facecolor="white")
        with replacing(self._folder / f"{number - 1:05d}.png") as file:
            file.write(content.getvalue())


def require_matplotlib() -> tuple[Any, list[str]]:
    """Matplotlib's class of figures and the fonts to use. Raises OptionError where it is not installed."""
    # Its remarks, about fonts for example, are not the user's concern.
    logging.getLogger("matplotlib").addHandler(logging.NullHandler())
    try:
        from matplotlib.figure import Figure
        from matplotlib.font_manager import get_font_names
    except ImportError as error:
        raise OptionError("-plot_attention needs matplotlib: install it with the extra [plot]") from error
    installed = set(get_font_names())
    return Figure, [name for name in _FONTS if name in installed]


def _labels(names: Sequence[str], length: float) -> tuple[list[int], list[str]]:
    """Places and names of the labels that fit on this many inches."""
    every = max(1, math.ceil(len(names) * _LABEL / length))
    places = list(range(0, len(names), every))
    return places, [_shortened(names[place], _LONGEST_LABEL) for place in places]


def _shortened(word: str, longest: int) -> str:
    return word if len(word) <= longest else word[: longest - 1] + "…"


def _shadow(weights: _Weights) -> npt.NDArray[np.float64]:
    """Black, the more opaque the smaller the weight: red, green, blue, opacity per place."""
    shown = np.nan_to_num(weights)
    shadow = np.zeros((*shown.shape, 4))
    shadow[..., 3] = _DARKEST * (1 - shown / max(float(shown.max()), 1e-30))
    return shadow
