"""The summary that a run of translate.py logs."""

import math

from onmt.decoding.translation_run import _Coverage, _Scores


def test_summary_lines():
    scores = _Scores()
    assert scores.line("PRED") == "PRED AVG SCORE: nan, PRED PPL: nan"
    scores.add(-383.0, 166)
    assert scores.line("PRED") == "PRED AVG SCORE: -2.31, PRED PPL: 10.05"
    scores.add(-math.inf, 0)
    assert scores.line("PRED") == "PRED AVG SCORE: -inf, PRED PPL: inf"


def test_coverage_is_rounded_down():
    coverage = _Coverage()
    assert coverage.percent == "nan%"
    coverage.add(161, 6)
    assert coverage.percent == "3.7%"
    coverage.add(59, 214)
    assert coverage.percent == "100%"
