"""Drawings of shapes with captions (onmt/data/toy_tasks.py)."""

import random
from collections import deque
from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest

from onmt.data.toy_tasks import _COLOURS, _COUNTS, SMALLEST, Scene, _Group, draw, scenes
from onmt.errors import OptionError

pytest.importorskip("PIL.Image")


def blobs(pixels: npt.NDArray[np.uint8]) -> list[tuple[str, float, float]]:
    """Return the nearest colour name and the centre (x, y) of each connected coloured area."""
    coloured = np.ptp(pixels.astype(int), axis=2) > 60
    found = []
    while coloured.any():
        start = tuple(int(i) for i in np.argwhere(coloured)[0])
        area, waiting = [], deque([start])
        coloured[start] = False
        while waiting:
            y, x = waiting.popleft()
            area.append((y, x))
            for ny, nx in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= ny < len(pixels) and 0 <= nx < len(pixels) and coloured[ny, nx]:
                    coloured[ny, nx] = False
                    waiting.append((ny, nx))
        mean = np.mean([pixels[place] for place in area], axis=0)
        name = min(_COLOURS, key=lambda name: float(np.abs(mean - _COLOURS[name]).sum()))
        found.append((name, float(np.mean([x for _, x in area])), float(np.mean([y for y, _ in area]))))
    return found


def test_captions_read_as_a_person_would_say_them() -> None:
    scene = Scene(_Group(2, "red", "circle"), "left of", _Group(1, "blue", "square"))
    assert scene.caption == "two red circles left of a blue square"


@pytest.mark.parametrize("size", [SMALLEST, 75, 120])
def test_the_drawing_shows_what_the_caption_says(size: int) -> None:
    for scene in islice(scenes(3), 25):
        found = blobs(np.asarray(draw(scene, size, random.Random(scene.caption))))
        axis = 1 if scene.relation == "left of" else 2
        found.sort(key=lambda blob: blob[axis])
        first, second = found[: scene.first.count], found[scene.first.count :]
        assert [len(first), len(second)] == [scene.first.count, scene.second.count], scene
        assert {name for name, *_ in first} == {scene.first.colour}
        assert {name for name, *_ in second} == {scene.second.colour}
        assert first[-1][axis] < size / 2 < second[0][axis]


def test_scenes_are_repeatable_and_various() -> None:
    drawn = list(islice(scenes(1), 300))
    assert drawn == list(islice(scenes(1), 300))
    assert drawn != list(islice(scenes(2), 300))
    assert {scene.first.count for scene in drawn} == {1, 2, 3} == set(range(1, len(_COUNTS) + 1))
    assert {scene.relation for scene in drawn} == {"left of", "above"}
    assert all((one.first.colour, one.first.kind) != (one.second.colour, one.second.kind) for one in drawn)


def test_too_small_images_are_refused() -> None:
    with pytest.raises(OptionError, match="too small"):
        draw(next(scenes(1)), SMALLEST - 1, random.Random(1))
