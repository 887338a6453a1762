"""Pictures of attention: their content, and words that a drawing program could misread."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.decoding.pictures import AttentionPlots
from onmt.errors import DataError, OptionError

DIAGONAL = np.eye(2, dtype=np.float32)
MARGIN, CELL = 10, 28  # pixels right and below of a table, and of one of its cells


def shades(path: Path) -> np.ndarray:
    """Brightness of a picture's pixels, 0 to 1."""
    image = pytest.importorskip("PIL.Image")
    with image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=np.float64) / 255


@pytest.fixture
def plots(tmp_path: Path) -> AttentionPlots:
    pytest.importorskip("matplotlib")
    return AttentionPlots(str(tmp_path / "new" / "plots"))


def test_a_table_is_dark_where_the_weight_is(plots: AttentionPlots, tmp_path: Path) -> None:
    plots.table(1, ["first", "second"], ["left", "right"], DIAGONAL)
    plots.table(124, ["first", "second"], ["left", "right"], DIAGONAL[::-1])
    folder = tmp_path / "new" / "plots"
    assert sorted(path.name for path in folder.iterdir()) == ["00000.png", "00123.png"]
    for name, expected in (("00000.png", [[1, 0], [0, 1]]), ("00123.png", [[0, 1], [1, 0]])):
        pixels = shades(folder / name)
        middles = [-MARGIN - CELL - CELL // 2, -MARGIN - CELL // 2]
        dark = [[int(pixels[row, column] < 0.5) for column in middles] for row in middles]
        assert dark == expected


def test_an_image_is_bright_where_the_word_looks(plots: AttentionPlots, tmp_path: Path) -> None:
    white = np.full((3, 20, 40), 255, dtype=np.uint8)
    weights = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=np.float32)  # a row of the grid, then the other
    plots.image(1, ["up", "down"], white, (2, 2), weights)
    pixels = shades(tmp_path / "new" / "plots" / "00000.png")
    rows, columns = pixels.shape
    for column, upper_is_bright in ((columns // 4, True), (3 * columns // 4, False)):
        shadowed = np.flatnonzero(pixels[:, column] < 0.3)
        assert len(shadowed) > 10
        assert (shadowed.mean() > rows / 2) == upper_is_bright


def test_a_grid_may_be_wider_than_high(plots: AttentionPlots, tmp_path: Path) -> None:
    white = np.full((3, 20, 40), 255, dtype=np.uint8)
    plots.image(1, ["left"], white, (1, 4), np.array([[1, 1, 0, 0]], dtype=np.float32))
    pixels = shades(tmp_path / "new" / "plots" / "00000.png")
    shadowed = np.flatnonzero(pixels[2 * len(pixels) // 3] < 0.3)
    assert len(shadowed) > 10
    assert shadowed.min() > pixels.shape[1] / 3


def test_a_table_starts_at_zero_and_is_labelled_on_both_sides(
    plots: AttentionPlots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = np.array([[0.5, 1.0]], dtype=np.float32)
    plots.table(1, ["word"], ["left", "right"], weights)
    lower, upper = (
        shades(tmp_path / "new" / "plots" / "00000.png")[-MARGIN - CELL // 2, -MARGIN - x]
        for x in (3 * CELL // 2, CELL // 2)
    )
    assert 0.4 < lower < 0.8
    assert upper < 0.3
    figures: list[Any] = []
    monkeypatch.setattr(AttentionPlots, "_save", lambda self, figure, number: figures.append(figure))
    plots.table(1, ["word"], ["left", "right"], weights)
    [axes] = figures[0].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["left", "right"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["word"]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), min_size=1, max_size=4))
def test_any_words_can_be_drawn(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    pytest.importorskip("matplotlib")
    plots = AttentionPlots(str(tmp_path_factory.mktemp("plots")))
    plots.table(1, words, words, np.eye(len(words), dtype=np.float32))


def test_odd_words_and_numbers_leave_standard_error_alone(
    plots: AttentionPlots, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["$x_", "$\\frac{$", "漢字", "हिन्दी", "😀", "a\x00\u2028b", "w" * 500]
    plots.table(1, words, words, np.eye(7, dtype=np.float32))
    plots.table(2, ["x"], ["y"], np.full((1, 1), np.nan, dtype=np.float32))
    nothing = np.zeros((7, 1), dtype=np.float32)
    plots.image(3, words, np.zeros((3, 8, 8), dtype=np.uint8), (1, 1), nothing)
    plots.image(4, words, np.zeros((3, 8, 8), dtype=np.uint8), (1, 1), nothing * np.nan)
    assert capfd.readouterr().err == ""


def test_a_long_table_stays_a_picture_of_some_size(plots: AttentionPlots, tmp_path: Path) -> None:
    plots.table(1, ["w"], [str(place) for place in range(5000)], np.ones((1, 5000), dtype=np.float32))
    assert shades(tmp_path / "new" / "plots" / "00000.png").shape[1] < 4000


def test_an_image_is_drawn_for_so_many_words_only(
    plots: AttentionPlots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onmt.decoding.pictures._MOST_IMAGES", 9)
    for number, count in enumerate((9, 40), start=1):
        weights = np.ones((count, 1), dtype=np.float32)
        plots.image(number, ["x"] * count, np.zeros((3, 8, 8), dtype=np.uint8), (1, 1), weights)
    folder = tmp_path / "new" / "plots"
    assert shades(folder / "00000.png").shape == shades(folder / "00001.png").shape


def test_what_stands_in_the_way_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "000001.png").write_text("")
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(OptionError, match="needs matplotlib"):
            AttentionPlots(str(tmp_path / "plots"))
    assert not (tmp_path / "plots").exists()
    pytest.importorskip("matplotlib")
    with pytest.raises(DataError, match="cannot make the folder"):
        AttentionPlots(str(tmp_path / "file"))
    AttentionPlots(str(tmp_path / "plots")).refuse_to_overwrite()
    with pytest.raises(DataError, match=r"000001\.png: this run may have to read it"):
        AttentionPlots(str(tmp_path)).refuse_to_overwrite()
