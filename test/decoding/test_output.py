import json
import math
from pathlib import Path

import numpy as np
import pytest

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabulary
from onmt.decoding.array_files import ArrayFile
from onmt.decoding.hypotheses import History
from onmt.decoding.inputs import Source
from onmt.decoding.output import (
    ResultFile,
    _attention_array,
    _attention_block,
    _beam_json,
    _encoding_line,
    _write_beams,
)
from onmt.decoding.translator import Hypothesis
from onmt.errors import DataError

VOCABULARY = Vocabulary([*SPECIAL_WORDS, "é"])
NAN = math.nan


def history(tokens, parents, totals) -> History:
    """A history in which ended hypotheses have left the beam and a rank is twice the total."""
    totals = np.array(totals)
    scores = np.where(np.array(tokens) == 3, -math.inf, totals)
    return History(np.array(tokens), np.array(parents), totals, scores, 2 * totals)


HISTORY = history([[4, 3], [3, 4]], [[0, 0], [0, 1]], [[-1.0, -2.0], [-1.5, -math.inf]])
WEIGHTS = np.array([[1.0, 0.0], [0.25, 0.1]], dtype=np.float32)


def test_attention_of_words():
    source = Source(("a", "b"), (("X", "Y"),))
    block = _attention_block(3, "c d", Hypothesis(["c", "d"], [], -1.25, WEIGHTS), source)
    assert block == "3 ||| c d ||| -1.250000 ||| a￨X b￨Y ||| 2 2\n1 0\n0.25 0.10000000149012\n\n"


def test_attention_of_vectors_and_without_attention():
    vectors = Source(vectors=np.zeros((2, 4), dtype=np.float32))
    block = _attention_block(1, "c d", Hypothesis(["c", "d"], [], -1.0, WEIGHTS), vectors)
    assert block.startswith("1 ||| c d ||| -1.000000 ||| 2\n1 0\n")
    without = _attention_block(1, "", Hypothesis([], [], -math.inf, None), Source(("a",)))
    assert without == "1 |||  ||| -inf ||| a ||| 1 0\n\n"


def test_encoding():
    assert _encoding_line(2, np.array([0.5, -0.20426999], dtype=np.float32)) == "2 0.5 -0.20426999032497"


def test_beam():
    short = history([[3, 4]], [[0, 0]], [[-1.0, -2.0]])
    assert json.loads(_beam_json([HISTORY, short], VOCABULARY)) == {
        "predicted_ids": [[["é", "</s>"]], []],
        "beam_parent_ids": [[[0, 0]], []],
        "scores": [[[-1.0, None]], []],
    }


def test_attention_as_an_array():
    assert _attention_array(Hypothesis(["c", "d"], [], -1.0, WEIGHTS), Source(("a", "b"))) is WEIGHTS
    without = _attention_array(Hypothesis(["c"], [], -1.0, None), Source(("a", "b")))
    assert (without.shape, without.dtype) == ((0, 2), np.float32)


def written(past, folder, beam_size):
    with ArrayFile(str(folder / "beam.npz")) as file:
        _write_beams(file, past, VOCABULARY, beam_size)
    with np.load(folder / "beam.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_beam_arrays(tmp_path):
    short = history([[3, 4]], [[0, 0]], [[-1.0, -2.0]])
    found = written([HISTORY, None, short], tmp_path, 2)
    nothing = [-1, -1]
    expected = {
        "predicted_ids": [[[4, 3], [3, -1]], [nothing, nothing], [[3, 4], nothing]],
        "beam_parent_ids": [[[0, 0], [0, -1]], [nothing, nothing], [[0, 0], nothing]],
        "scores": [[[-2, -4], [-3, NAN]], [[NAN, NAN], [NAN, NAN]], [[-2, -4], [NAN, NAN]]],
        "log_probs": [[[-1, -2], [-1.5, NAN]], [[NAN, NAN], [NAN, NAN]], [[-1, -2], [NAN, NAN]]],
        "steps": [2, 0, 1],
    }
    assert found.pop("target_words").tolist() == list(VOCABULARY.words)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    kinds = {name: array.dtype.name for name, array in found.items()}
    assert set(kinds.values()) == {"int64", "float64"}
    assert [name for name, kind in kinds.items() if kind == "float64"] == ["scores", "log_probs"]


@pytest.mark.parametrize(("dead", "slots"), [(0, 6), (1, 6), (3, 3), (6, 3)])
def test_beam_arrays_have_room_for_the_slots_that_were_used(dead, slots, tmp_path):
    """The number of levels of a grid of constraints depends on the other sentences of a batch."""
    totals = np.full((1, 6), -1.0)
    totals[:, 6 - dead :] = -math.inf
    wide = history([[4] * 6], [[0] * 6], totals)
    assert written([wide], tmp_path, 3)["predicted_ids"].shape == (1, 1, slots)


def test_no_beams_at_all(tmp_path):
    assert written([], tmp_path, 5)["scores"].shape == (0, 0, 5)


def test_results_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot write"), ResultFile(str(tmp_path / "no" / "out")):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_reported():
    def fill() -> None:
        with ResultFile("/dev/full") as output:
            output.write("x")

    with pytest.raises(DataError, match="/dev/full: cannot write"):
        fill()


def test_a_run_that_fails_before_its_first_result_leaves_files_alone(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("of another run\n")
    for path in (old, new):
        with pytest.raises(DataError), ResultFile(str(path)):
            raise DataError("line 1")
    assert old.read_text() == "of another run\n"
    assert not new.exists()


def test_results_replace_what_was_there_and_stay_after_a_failure(tmp_path: Path) -> None:
    path, empty = tmp_path / "out", tmp_path / "empty"
    path.write_text("a longer line of another run\n")
    empty.write_text("something")
    with pytest.raises(DataError), ResultFile(str(path)) as output:
        _write_and_fail(output)
    with ResultFile(str(empty)):
        pass
    assert path.read_text() == "first\n"
    assert empty.read_text() == ""


def _write_and_fail(output: ResultFile) -> None:
    output.write("first\n")
    raise DataError("line 2")
