"""Draws the pictures of docs/models.md into this folder: `python docs/drawings/draw.py`. Standard library
only.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from canvas import BACKWARD, FORWARD, MEMORY, PLAIN, STATE, Canvas

COLUMN, CELL = 92, 27  # distance of columns; half the width of a box
HALF, DOUBLE = 17, 22  # half the height of a box, and of one for both directions
LEGEND = "dashed: what dropout acts on"
SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"


def name(letter: str, index: int) -> str:
    """A letter with a subscript."""
    return letter + SUBSCRIPTS[index]


def columns(count: int, first: float, distance: float = COLUMN) -> list[float]:
    """x of each column."""
    return [first + distance * index for index in range(count)]


def words(canvas: Canvas, xs: list[float], y: float) -> None:
    """The row of word vectors."""
    for index, x in enumerate(xs, start=1):
        canvas.box((x, y), name("x", index), PLAIN)


def layer(canvas: Canvas, xs: list[float], y: float, backward: bool = False) -> None:
    """A row of recurrent cells and the arrows along it."""
    for x in xs:
        canvas.box((x, y), "←" if backward else "→", BACKWARD if backward else FORWARD)
    for left, right in pairwise(xs):
        ends = [(left + CELL, y), (right - CELL, y)]
        canvas.arrow(ends[::-1] if backward else ends)


def double_layer(canvas: Canvas, xs: list[float], y: float) -> None:
    """A row of cells that read in both directions, and the arrows along it."""
    for x in xs:
        canvas.double_box((x, y))
    for left, right in pairwise(xs):
        canvas.arrow([(left + CELL, y - 11), (right - CELL, y - 11)])
        canvas.arrow([(right - CELL, y + 11), (left + CELL, y + 11)])


def upwards(
    canvas: Canvas,
    xs: list[float],
    low: float,
    high: float,
    dashed: bool = False,
    halves: tuple[int, int] = (HALF, HALF),
) -> None:
    """Arrows between two rows; `halves`: half the heights of the lower and the upper boxes."""
    for x in xs:
        canvas.arrow([(x, low - halves[0]), (x, high + halves[1])], dashed)


def memory(canvas: Canvas, xs: list[float], y: float) -> None:
    """The row of memory positions."""
    for index, x in enumerate(xs, start=1):
        canvas.box((x, y), name("m", index), MEMORY)


def row_labels(canvas: Canvas, rows: Mapping[str, float]) -> None:
    """What each row is, at the left."""
    for label, y in rows.items():
        canvas.text((104, y + 4.5), label, "end", faint=True)


def draw_rnn() -> Canvas:
    """One stack, left to right."""
    canvas, xs = Canvas(670, 340), columns(4, 150)
    row_labels(canvas, {"memory": 40, "layer 2": 120, "layer 1": 200, "word vectors": 280})
    memory(canvas, xs, 40)
    layer(canvas, xs, 120)
    layer(canvas, xs, 200)
    words(canvas, xs, 280)
    upwards(canvas, xs, 280, 200)
    upwards(canvas, xs, 200, 120, dashed=True)
    upwards(canvas, xs, 120, 40)
    for y, level in ((120, 2), (200, 1)):
        canvas.arrow([(xs[-1] + CELL, y), (540, y)])
        canvas.box((580, y), f"{name('c', level)} {name('h', level)}", STATE, 78)
    canvas.text((580, 236), "states, for the bridge", faint=True)
    canvas.text((650, 325), LEGEND, "end", faint=True)
    return canvas


def draw_brnn() -> Canvas:
    """Two stacks of their own that meet at the top."""
    canvas = Canvas(860, 390)
    left, right, middle = columns(3, 80), columns(3, 596), columns(3, 338)
    canvas.text((left[0] - 44, 110), "forward stack", "start", faint=True)
    canvas.text((right[-1] + 44, 110), "backward stack", "end", faint=True)
    for xs, backward in ((left, False), (right, True)):
        canvas.frame((xs[0] - 52, 118), (xs[-1] + 52, 290))
        layer(canvas, xs, 160, backward)
        layer(canvas, xs, 240, backward)
        words(canvas, xs, 330)
        upwards(canvas, xs, 330, 240)
        upwards(canvas, xs, 240, 160, dashed=True)
    memory(canvas, middle, 40)
    for x, from_left, from_right in zip(middle, left, right, strict=True):
        canvas.arrow([(from_left, 160 - HALF), (x - 10, 40 + HALF)])
        canvas.arrow([(from_right, 160 - HALF), (x + 10, 40 + HALF)])
    canvas.text((190, 44), "memory: concat or sum", "end", faint=True)
    canvas.box((430, 200), "c₁ h₁ c₂ h₂", STATE, 110)
    canvas.arrow([(left[-1] + 52, 200), (430 - 55, 200)])
    canvas.arrow([(right[0] - 52, 200), (430 + 55, 200)])
    canvas.text((430, 236), "states of both ends, joined", faint=True)
    canvas.text((430, 335), "the same word vectors", faint=True)
    canvas.text((840, 378), LEGEND, "end", faint=True)
    return canvas


def draw_dbrnn() -> Canvas:
    """Bidirectional layers on each other."""
    canvas, xs = Canvas(680, 370), columns(4, 150)
    row_labels(canvas, {"memory": 40, "layer 2": 130, "layer 1": 230, "word vectors": 315})
    memory(canvas, xs, 40)
    double_layer(canvas, xs, 130)
    double_layer(canvas, xs, 230)
    words(canvas, xs, 315)
    upwards(canvas, xs, 315, 230, halves=(HALF, DOUBLE))
    upwards(canvas, xs, 230, 130, dashed=True, halves=(DOUBLE, DOUBLE))
    upwards(canvas, xs, 130, 40, halves=(DOUBLE, HALF))
    for y, level in ((130, 2), (230, 1)):
        canvas.arrow([(xs[-1] + CELL, y - 11), (556, y - 11)])
        canvas.box((604, y), f"{name('c', level)} {name('h', level)}, joined", STATE, 96)
    canvas.text((604, 190), "states, for the bridge", faint=True)
    canvas.text((660, 356), LEGEND, "end", faint=True)
    return canvas


def draw_pdbrnn() -> Canvas:
    """Half the frames from layer to layer."""
    canvas, xs = Canvas(920, 470), columns(8, 150)
    second = [(xs[2 * index] + xs[2 * index + 1]) / 2 for index in range(4)]
    third = [(second[0] + second[1]) / 2, (second[2] + second[3]) / 2]
    row_labels(canvas, {"memory": 40, "layer 3": 120, "layer 2": 225, "layer 1": 330, "frames": 415})
    memory(canvas, third, 40)
    double_layer(canvas, third, 120)
    double_layer(canvas, second, 225)
    double_layer(canvas, xs[1:], 330)
    canvas.box((xs[0], 330), "0", PLAIN)
    words(canvas, xs[1:], 415)
    upwards(canvas, xs[1:], 415, 330, halves=(HALF, DOUBLE))
    upwards(canvas, third, 120, 40, halves=(DOUBLE, HALF))
    for lower, upper, y in ((xs, second, 330), (second, third, 225)):
        for index, x in enumerate(lower):
            group = upper[index // 2]
            side = -9 if x < group else 9
            height = HALF if y == 330 and index == 0 else DOUBLE
            canvas.arrow([(x, y - height), (group + side, y - 105 + DOUBLE)], dashed=True)
    canvas.text((800, 275), "concat or sum", "start", faint=True)
    canvas.text((900, 458), LEGEND, "end", faint=True)
    canvas.text((123, 380), "filled up", "start", faint=True)
    return canvas


def draw_gnmt() -> Canvas:
    """One bidirectional layer, then one-way layers with residual connections."""
    canvas, xs = Canvas(660, 520), columns(4, 150)
    rows = {"memory": 40, "layer 4": 115, "layer 3": 215, "layer 2": 315, "layer 1": 400, "word vectors": 475}
    row_labels(canvas, rows)
    memory(canvas, xs, 40)
    for y in (115, 215, 315):
        layer(canvas, xs, y)
    double_layer(canvas, xs, 400)
    words(canvas, xs, 475)
    upwards(canvas, xs, 475, 400, halves=(HALF, DOUBLE))
    upwards(canvas, xs, 400, 315, dashed=True, halves=(DOUBLE, HALF))
    upwards(canvas, xs, 115, 40)
    for low, high in ((315, 215), (215, 115)):
        plus = (low + high) / 2
        for x in xs:
            canvas.arrow([(x, low - HALF), (x, plus + 10)])
            canvas.node((x, plus), "+")
            canvas.arrow([(x, plus - 9), (x, high + HALF)], dashed=True)
            canvas.arrow([(x, low + 31), (x + 37, low + 31), (x + 37, plus), (x + 9, plus)])
    for y, level in ((115, 4), (215, 3), (315, 2)):
        canvas.arrow([(xs[-1] + CELL, y), (552, y)])
        canvas.box((588, y), f"{name('c', level)} {name('h', level)}", STATE, 70)
    canvas.arrow([(xs[-1] + CELL, 389), (536, 389)])
    canvas.box((588, 395), "c₁ h₁, concat", STATE, 104)
    canvas.text((640, 508), LEGEND, "end", faint=True)
    return canvas


def draw_cnn() -> Canvas:
    """Windows of three positions that look ahead."""
    canvas, xs = Canvas(760, 400), columns(6, 150)
    row_labels(canvas, {"memory": 40, "layer 2": 120, "layer 1": 215, "words + places": 315})
    memory(canvas, xs[:4], 40)
    for x in xs[:4]:
        canvas.box((x, 120), "conv +", FORWARD)
        canvas.box((x, 215), "conv", FORWARD)
    words(canvas, xs[:4], 315)
    for y in (315, 215):
        for x in xs[4:]:
            canvas.box((x, y), "0", PLAIN)
        above = 215 if y == 315 else 120
        for index, x in enumerate(xs[:4]):
            for step, reach in enumerate((0, 1, 2)):
                canvas.arrow(
                    [(xs[index + reach], y - HALF), (x - 8 + 8 * step, above + HALF)], dashed=y == 215
                )
    upwards(canvas, xs[:4], 120, 40)
    canvas.box((655, 40), "Σ m", STATE, 78)
    canvas.frame((xs[0] - 38, 14), (xs[3] + 38, 66))
    canvas.arrow([(xs[3] + 38, 40), (616, 40)])
    canvas.text((655, 76), "the one state", faint=True)
    canvas.text((xs[4] - 27, 360), "nothing after the end", "start", faint=True)
    canvas.text((740, 388), LEGEND, "end", faint=True)
    return canvas


def draw_decoder() -> Canvas:
    """Two steps of the decoder."""
    canvas, steps = Canvas(820, 540), [250.0, 600.0]
    rows = {"predictions": 40, "output": 115, "attention": 215, "layer 2": 320, "layer 1": 400, "input": 480}
    row_labels(canvas, rows)
    for index, x in enumerate(steps, start=1):
        decoder_step(canvas, x, index)
    first, second = steps
    for y in (320, 400):
        canvas.arrow([(first + CELL, y), (second - CELL, y)])
        canvas.arrow([(172, 360), (first - CELL, y)])
        canvas.arrow([(second + CELL, y), (690, y)])
    canvas.box((145, 360), "bridge", STATE)
    canvas.box((165, 480), "0", PLAIN, 30)
    canvas.arrow([(180, 480), (first - 38, 480)])
    canvas.arrow([(first + 38, 115), (470, 115), (470, 480), (second - 38, 480)], dashed=True)
    canvas.text((478, 150), "input feed", "start", faint=True)
    canvas.text((800, 526), LEGEND, "end", faint=True)
    return canvas


def decoder_step(canvas: Canvas, x: float, index: int) -> None:
    """What happens between a previous word and the next."""
    canvas.box((x, 480), f"word {name('y', index - 1)}", PLAIN, 76)
    canvas.box((x, 400), "→", FORWARD)
    canvas.box((x, 320), "→", FORWARD)
    canvas.box((x, 215), f"context {name('c', index)}", MEMORY, 90)
    canvas.box((x, 115), f"tanh: {name('a', index)}", PLAIN, 76)
    canvas.box((x, 40), f"word {name('y', index)}, features", PLAIN, 120)
    canvas.box((x + 130, 215), "memory", MEMORY, 70)
    upwards(canvas, [x], 480, 400)
    upwards(canvas, [x], 400, 320, dashed=True)
    upwards(canvas, [x], 320, 215)
    upwards(canvas, [x], 215, 115)
    upwards(canvas, [x], 115, 40, dashed=True)
    canvas.arrow([(x + 95, 215), (x + 45, 215)])
    canvas.text((x + 8, 275), name("h", index), "start", faint=True)
    canvas.arc((x - 16, 320 - HALF), (x - 110, 215), (x - 26, 115 + HALF))


def main() -> None:
    """Write every drawing beside this file."""
    folder = Path(__file__).parent
    drawings = {
        "rnn": draw_rnn,
        "brnn": draw_brnn,
        "dbrnn": draw_dbrnn,
        "pdbrnn": draw_pdbrnn,
        "gnmt": draw_gnmt,
        "cnn": draw_cnn,
        "decoder": draw_decoder,
    }
    for file, draw in drawings.items():
        draw().save(folder / f"{file}.svg")


if __name__ == "__main__":
    main()
