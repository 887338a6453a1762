"""-log_metrics: several metrics of one validation."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from onmt.errors import OptionError
from onmt.scorers import ROUGE_SCORERS
from onmt.training.evaluation import _joined
from onmt.training.options import implied_flags

RunTrain = Callable[..., tuple[int, str, str]]


def test_all_are_logged_and_the_first_decides(run_train: RunTrain, tmp_path: Path) -> None:
    more = "perplexity,loss,ter,rouge_1,rouge_2,rouge_l"
    code, log, _ = run_train("-validation_metric", "bleu", "-log_metrics", more, "-end_epoch", "1")
    assert code == 0
    for name in ("BLEU", "perplexity", "loss", "TER", "ROUGE-1", "ROUGE-2", "ROUGE-L"):
        assert f"Validation {name}: " in log
    lines = (tmp_path / "m_metrics.jsonl").read_text(encoding="utf-8").splitlines()
    measured = {record["metric"]: record["score"] for record in map(json.loads, lines) if "metric" in record}
    (path,) = tmp_path.glob("m_epoch1_*.pt")
    assert path.stem.endswith(f"{measured['BLEU']:.2f}")
    assert measured["perplexity"] > 1


def test_rouge_against_its_definition() -> None:
    hypotheses, references = ["a b c d".split(), "x".split()], [["a c b e".split(), "y".split()]]
    assert ROUGE_SCORERS["rouge_1"](hypotheses, references).value == pytest.approx(0.75 / 2)
    assert ROUGE_SCORERS["rouge_2"](hypotheses, references).value == 0
    assert ROUGE_SCORERS["rouge_l"](hypotheses, references).value == pytest.approx(0.5 / 2)


def test_subwords_are_joined() -> None:
    assert _joined("lo@@ w er@@".split(), "strip_bpe") == ["low", "er@@"]
    assert _joined("\u2581lo w \u2581er".split(), "decode_sentencepiece") == ["low", "er"]
    assert _joined(["lo@@"], "none") == ["lo@@"]
    assert all(_joined([], how) == [] for how in ("none", "strip_bpe", "decode_sentencepiece"))


def test_metrics_of_the_original_become_flags() -> None:
    metrics = """
  - class: LogPerplexityMetricSpec
  - class: BleuMetricSpec
    params: {separator: ' ', postproc_fn: seq2seq.data.postproc.strip_bpe}
  - class: RougeMetricSpec
    params: {rouge_type: rouge_1/f_score}
"""
    implied = implied_flags({"metrics": metrics})
    assert implied.values["validation_metric"] == "perplexity"
    assert implied.values["log_metrics"] == ("bleu", "rouge_1")
    assert implied.values["metrics_postprocess"] == "strip_bpe"
    assert implied.warnings == ()


@pytest.mark.parametrize(
    ("metrics", "complaint"),
    [
        ("[{class: RougeMetricSpec}]", "rouge_type must be one of"),
        ("[{class: RougeMetricSpec, params: {rouge_type: rouge_2/r_score}}]", "use rouge_2/f_score"),
        ("[{class: BleuMetricSpec, params: {seperator: x}}]", "unknown parameter 'seperator'"),
        ("[{class: BlueMetricSpec}]", "BlueMetricSpec"),
    ],
)
def test_what_is_wrong_with_them_is_said(metrics: str, complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint):
        implied_flags({"metrics": metrics})
