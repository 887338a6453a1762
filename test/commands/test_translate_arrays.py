"""The arrays of attention and beams that translate.py saves, and the pictures that it draws of attention."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from translating import TRANSLATE

from onmt.commands.pipeline import translate
from onmt.constants import EOS


def loaded(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def best_path(beams: dict[str, np.ndarray], sentence: int) -> tuple[list[str], float]:
    """Follow the back-pointers of a sentence's best hypothesis; return its words and score."""
    ids, steps = beams["predicted_ids"][sentence], beams["steps"][sentence]
    ends = (ids == EOS) | ((ids >= 0) & (np.arange(len(ids)) == steps - 1)[:, None])
    step, slot = np.unravel_index(np.where(ends, beams["scores"][sentence], -np.inf).argmax(), ends.shape)
    score, words = beams["scores"][sentence, step, slot], []
    for back in range(step, -1, -1):
        words.insert(0, str(beams["target_words"][ids[back, slot]]))
        slot = beams["beam_parent_ids"][sentence, back, slot]
    return words[:-1], score


@pytest.mark.parametrize("beam", ["1", "5"])
def test_attention_arrays_are_those_of_the_text(beam, work):
    argv = [*TRANSLATE, "-output", "out", "-beam_size", beam, "-n_best", "3" if beam == "5" else "1"]
    assert translate([*argv, "-save_attention", "attn"]) == 0
    blocks = (work / "attn").read_text().removesuffix("\n\n").split("\n\n")
    tables = [[row.split() for row in block.split("\n")[1:]] for block in blocks]
    middle = len(tables) // 2
    tables[middle:middle] = [[]] * middle  # the empty line has as many translations as the one before it
    for size in ("1", "30"):
        assert translate([*argv, "-save_attention", f"{size}.npz", "-batch_size", size]) == 0
        arrays = loaded(work / f"{size}.npz")
        assert list(arrays) == [f"arr_{line}" for line in range((work / "out").read_text().count("\n"))]
        for array, table in zip(arrays.values(), tables, strict=True):
            assert array.dtype == np.float32
            assert len(array) == len(table)
            np.testing.assert_allclose(
                array, np.array(table, dtype=np.float32).reshape(array.shape), atol=1e-6
            )
        assert arrays[f"arr_{middle}"].shape == (0, 0)


@pytest.mark.parametrize("beam", ["1", "5"])
@pytest.mark.parametrize("constrained", [False, True])
def test_beam_arrays_are_those_of_json_and_lead_to_the_translations(beam, constrained, work, capsys):
    (work / "table").write_text("a ||| x\nb ||| y\n")
    argv = [*TRANSLATE, "-output", "out", "-beam_size", beam, "-length_norm", "0.7"]
    argv += ["-lexical_constraints", "-phrase_table", "table"] if constrained else []
    assert translate([*argv, "-save_beam_to", "beam.json"]) == 0
    printed = [float(text) for text in re.findall(r"PRED SCORE: (\S+)", capsys.readouterr().out)]
    assert translate([*argv, "-save_beam_to", "1.npz", "-batch_size", "1"]) == 0
    assert translate([*argv, "-save_beam_to", "30.npz"]) == 0
    alone, beams = loaded(work / "1.npz"), loaded(work / "30.npz")
    for name, values in beams.items():
        assert values.shape == alone[name].shape
        if not constrained:  # a text found in two ways has equal scores, in any order
            assert same_values(values, alone[name])
    json_beams = json.loads((work / "beam.json").read_text())
    lines = (work / "out").read_text().split("\n")
    for sentence in (0, 2):
        words, score = best_path(beams, sentence)
        assert " ".join(words) == " ".join(best_path(alone, sentence)[0]) == lines[sentence]
        assert score == pytest.approx(printed[sentence // 2], abs=0.0051)
        assert_same_search(beams, sentence, [json_beams[name][sentence] for name in JSON_BEAMS])
    steps = beams["steps"]
    assert steps[1] == 0
    assert beams["predicted_ids"].shape == (3, steps.max(), int(beam) * (3 if constrained else 1))
    lengths = np.arange(steps.max())[:, None] + 2  # Lua's length: 2 after the first step, with `</s>`
    expected = beams["log_probs"] / ((5 + lengths) / 6) ** 0.7
    competing = beams["scores"] > -np.inf  # in the last step, only hypotheses that satisfy all constraints
    assert (competing == ~np.isnan(expected)).all() != constrained
    np.testing.assert_allclose(beams["scores"][competing], expected[competing], rtol=1e-12)
    for name in ("scores", "log_probs", "beam_parent_ids"):
        empty = np.isnan(beams[name]) if name != "beam_parent_ids" else beams[name] == -1
        np.testing.assert_array_equal(empty, beams["predicted_ids"] == -1)


def same_values(values: np.ndarray, others: np.ndarray) -> bool:
    if values.dtype.kind == "f":
        return np.allclose(values, others, atol=1e-5, equal_nan=True)
    return np.array_equal(values, others)


JSON_BEAMS = ("predicted_ids", "beam_parent_ids", "scores")


def assert_same_search(beams: dict[str, np.ndarray], sentence: int, from_json: list) -> None:
    """Compare arrays with JSON, which lacks the last step and the scores of hypotheses that left the beam."""
    words, parents, sums = from_json
    assert len(words) == beams["steps"][sentence] - 1
    for step, slots in enumerate(words):
        for slot, word in enumerate(slots):
            place = (sentence, step, slot)
            token = beams["predicted_ids"][place] if slot < beams["predicted_ids"].shape[2] else -1
            if token == -1:
                assert sums[step][slot] is None
                continue
            assert beams["target_words"][token] == word
            assert beams["beam_parent_ids"][place] == parents[step][slot]
            if sums[step][slot] is None:
                assert token == EOS
            else:
                assert beams["log_probs"][place] == pytest.approx(sums[step][slot], abs=1e-5)


def test_arrays_of_a_failed_run_do_not_appear(work, capsys):
    (work / "src").write_bytes(b"a\n" * 700 + b"\xff\n")  # in the second window
    (work / "beam.npz").write_bytes(b"before")
    argv = [*TRANSLATE, "-output", "out", "-save_attention", "attn.npz", "-save_beam_to", "beam.npz"]
    assert translate(argv) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (work / "attn.npz").exists()
    assert (work / "beam.npz").read_bytes() == b"before"


def test_nothing_to_translate_makes_empty_arrays(work):
    (work / "src").write_text("")
    argv = [*TRANSLATE, "-output", "out", "-save_attention", "attn.npz", "-save_beam_to", "beam.npz"]
    assert translate(argv) == 0
    assert loaded(work / "attn.npz") == {}
    assert loaded(work / "beam.npz")["predicted_ids"].shape == (0, 0, 5)


def test_pictures_of_attention(work, capfd):
    pytest.importorskip("matplotlib")
    argv = [*TRANSLATE, "-output", "out", "-n_best", "2", "-plot_attention", "plots"]
    for _ in range(2):  # the second time, the folder exists and holds the pictures
        assert translate([*argv, "-save_attention", "plots/scores.npz"]) == 0
        pictures = sorted((work / "plots").glob("*.png"))
        assert [path.name for path in pictures] == ["00000.png", "00002.png"]
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
        assert len(loaded(work / "plots" / "scores.npz")) == 6
    (work / "ark").write_text("u1 [\n 1 2\n 3 4 ]\n")
    argv = ["-model", "vectors.pt", "-src", "ark", "-output", "out", "-plot_attention", "vectors"]
    assert translate(argv) == 0
    assert [path.name for path in (work / "vectors").iterdir()] == ["00000.png"]
    assert capfd.readouterr().err == ""


def test_pictures_need_matplotlib_and_attention(work, monkeypatch, capsys):
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "matplotlib.figure", None)
        argv = ["-model", "src", "-src", "src", "-output", "out", "-plot_attention", "plots"]
        assert translate(argv) == 2  # before the model is read: `src` is not a model
    error = capsys.readouterr().err
    assert error == ("translate.py: -plot_attention needs matplotlib: install it with the extra [plot]\n")
    assert not (work / "plots").exists()
    pytest.importorskip("matplotlib")
    argv = ["-model", "last.pt", "-src", "src", "-output", "out", "-save_attention", "attn.npz"]
    assert translate([*argv, "-plot_attention", "plots"]) == 2
    assert "needs a model with attention" in capsys.readouterr().err
    assert not (work / "plots").exists()
    assert not (work / "out").exists()
    assert translate(argv) == 0
    assert [array.shape for array in loaded(work / "attn.npz").values()] == [(0, 3), (0, 0), (0, 2)]
