import json
import math

import numpy as np

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabulary
from onmt.decoding.hypotheses import History
from onmt.decoding.output import attention_block, beam_json, encoding_line
from onmt.decoding.sentences import Source
from onmt.decoding.summary import Coverage, Scores
from onmt.decoding.translator import Hypothesis

WEIGHTS = np.array([[1.0, 0.0], [0.25, 0.1]], dtype=np.float32)


def test_attention_of_words():
    source = Source(("a", "b"), (("X", "Y"),))
    block = attention_block(3, "c d", Hypothesis(["c", "d"], [], -1.25, WEIGHTS), source)
    assert block == "3 ||| c d ||| -1.250000 ||| a￨X b￨Y ||| 2 2\n1 0\n0.25 0.10000000149012\n\n"


def test_attention_of_vectors_and_without_attention():
    vectors = Source(vectors=np.zeros((2, 4), dtype=np.float32))
    block = attention_block(1, "c d", Hypothesis(["c", "d"], [], -1.0, WEIGHTS), vectors)
    assert block.startswith("1 ||| c d ||| -1.000000 ||| 2\n1 0\n")
    without = attention_block(1, "", Hypothesis([], [], -math.inf, None), Source(("a",)))
    assert without == "1 |||  ||| -inf ||| a ||| 1 0\n\n"


def test_encoding():
    assert encoding_line(2, np.array([0.5, -0.20426999], dtype=np.float32)) == "2 0.5 -0.20426999032497"


def test_beam():
    past = [History([[4, 3]], [[0, 0]], [[-1.0, -math.inf]]), History([], [], [])]
    assert json.loads(beam_json(past, Vocabulary([*SPECIAL_WORDS, "é"]))) == {
        "predicted_ids": [[["é", "</s>"]], []],
        "beam_parent_ids": [[[0, 0]], []],
        "scores": [[[-1.0, None]], []],
    }


def test_summary_lines():
    scores = Scores()
    assert scores.line("PRED") == "PRED AVG SCORE: nan, PRED PPL: nan"
    scores.add(-383.0, 166)
    assert scores.line("PRED") == "PRED AVG SCORE: -2.31, PRED PPL: 10.05"
    scores.add(-math.inf, 0)
    assert scores.line("PRED") == "PRED AVG SCORE: -inf, PRED PPL: inf"


def test_coverage_is_rounded_down():
    coverage = Coverage()
    assert coverage.percent == "nan%"
    coverage.add(161, 6)
    assert coverage.percent == "3.7%"
    coverage.add(59, 214)
    assert coverage.percent == "100%"
