import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import report
from benchmarks.__main__ import benchmarks
from benchmarks.options import BenchmarkOptions
from benchmarks.workload import Measured, Workload, spec_for, steps_taken
from onmt.decoding.hypotheses import Trace

ENCODERS = ["rnn", "brnn", "dbrnn", "pdbrnn", "gnmt", "cnn"]
TINY = [
    *("-encoders", *ENCODERS, "-rnn_size", "6", "-vocabulary", "20", "-matrix_size", "8", "-rounds", "1"),
    *("-train_batch", "3", "-translate_batch", "2", "-source_length", "4", "-target_length", "5"),
]


def test_a_row_per_encoder(tmp_path: Path) -> None:
    assert benchmarks([*TINY, "-output", str(tmp_path / "report.json"), "-disable_logs"]) == 0
    result = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [row["encoder"] for row in result["rows"]] == ENCODERS
    assert result["matrix"]["size"] == 8
    assert result["workload"]["rnn_size"] == 6
    for row in result["rows"]:
        for kind in ("train", "translate"):
            rates = row[kind]
            assert rates["flops_per_second"] == pytest.approx(rates["flops"] / rates["seconds"])
            share = rates["flops_per_second"] / result["matrix"]["flops_per_second"]
            assert rates["of_matrix_rate"] == pytest.approx(share)


def test_only_the_json_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks(TINY) == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["rows"]) == len(ENCODERS)
    assert "pdbrnn" in printed.err


def test_rates_are_those_of_the_fastest_round() -> None:
    measurements = [Measured(seconds, 600, 6, 60, 30) for seconds in (9.0, 2.0, 3.0)]
    rates = report.throughput(measurements)
    assert rates == {
        "seconds": 2.0,
        "median_seconds": 3.0,
        "sentences_per_second": 3.0,
        "source_tokens_per_second": 30.0,
        "target_tokens_per_second": 15.0,
        "flops": 600,
        "flops_per_second": 300.0,
    }


def test_steps_are_counted_until_a_sentence_leaves() -> None:
    nothing = torch.zeros(1, 1)
    alive = (torch.tensor([0, 1, 2]), torch.tensor([0, 2]), torch.tensor([2]))
    traces = [Trace(sentences, *[nothing] * 6, None) for sentences in alive]
    assert steps_taken(traces, 3) == [2, 1, 3]


def test_a_training_step_changes_the_weights() -> None:
    options = BenchmarkOptions(rnn_size=6, vocabulary=20, train_batch=3, source_length=4, target_length=5)
    workload = Workload(spec_for("brnn", options), options, seed=1, device=torch.device("cpu"))
    before = [parameter.clone() for parameter in workload.model.parameters()]
    measured = workload.train()
    assert (measured.sentences, measured.source_tokens, measured.target_tokens) == (3, 12, 15)
    after = list(workload.model.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from benchmarks.__main__ import benchmarks; "
        "benchmarks(['-h']); sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, stdout=subprocess.DEVNULL).returncode == 0
