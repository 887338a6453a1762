"""The results that are drawn, and the words beside them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from onmt.decoding import output
from onmt.decoding.inputs import Source
from onmt.decoding.options import TranslateOptions
from onmt.decoding.output import Results
from onmt.decoding.translator import Hypothesis, Translation

WEIGHTS = np.array([[0.75, 0.25]], dtype=np.float32)
HYPOTHESES = [Hypothesis(["best"], [], -1.0, WEIGHTS), Hypothesis(["second"], [], -2.0, WEIGHTS[:, ::-1])]


@pytest.mark.parametrize(
    ("source", "positions"),
    [
        (Source(("a", "b")), ("a", "b")),
        (Source(vectors=np.zeros((2, 3), dtype=np.float32)), ("1", "2")),
        (Source(("a", "b", "c", "d")), ("1", "2")),  # a pyramid has fewer positions than there are words
    ],
)
def test_the_best_translation_is_drawn_over_its_source(
    source: Source, positions: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    plots = SimpleNamespace(table=lambda *arguments: drawn.append(arguments))
    monkeypatch.setattr(output, "AttentionPlots", lambda folder: plots)
    options = TranslateOptions(
        model="m", src="s", output=str(tmp_path / "out"), n_best=2, plot_attention="plots"
    )
    translator: Any = SimpleNamespace(attends=True, image_size=None, image_grid=None, target_vocabulary=None)
    with Results(options, translator) as results:
        results.translation(3, source, Translation(HYPOTHESES), ["best", "second"])
        results.translation(4, source, Translation([Hypothesis([], [], -1.0, WEIGHTS[:0])] * 2), ["", ""])
        results.finish()
    [(number, words, columns, weights)] = drawn
    assert (number, words, tuple(columns)) == (3, ["best"], positions)
    np.testing.assert_array_equal(weights, WEIGHTS)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "best\nsecond\n\n\n"
