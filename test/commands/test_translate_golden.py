"""translate.py writes the same text, attention and beams as the original program."""

import gzip
import json
from pathlib import Path

import pytest
from translating import log_of

from onmt.commands.pipeline import translate

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "lua"


SUBDICTIONARY = "A\nB\nC\nD\nE\nn0\nn1\nn2\nn8\n"
"""The words with which `subdict` was measured, inferred from its scores: the file itself was overwritten."""

DECODING = {
    "base": ["-src", "test.src", "-tgt", "test.tgt"],
    "length_norm1": ["-src", "test.src", "-length_norm", "1"],
    "coverage02": ["-src", "test.src", "-coverage_norm", "0.2"],
    "eos_norm3": ["-src", "test.src", "-eos_norm", "3"],
    "max_sent_length3": ["-src", "test.src", "-max_sent_length", "3"],
    "max_sent_length3_n3": ["-src", "test.src", "-max_sent_length", "3", "-n_best", "3"],
    "replace_unk": ["-src", "unk.src", "-replace_unk"],
    "replace_unk_phrase": ["-src", "unk.src", "-replace_unk", "-phrase_table", "phrase.txt"],
    "replace_unk_tagged": ["-src", "unk.src", "-replace_unk_tagged"],
    "max_num_unks1": ["-src", "unk.src", "-max_num_unks", "1", "-pre_filter_factor", "2"],
    "subdict": ["-src", "test.src", "-target_subdict", "words.txt"],
    "lexical": ["-src", "test.src", "-lexical_constraints", "-phrase_table", "phrase.txt"],
    "lm03": ["-src", "test.src", "-lm_model", "lm.t7", "-lm_weight", "0.3"],
    "prefilter3": ["-src", "test.src", "-pre_filter_factor", "3"],
    "empty_n3": ["-src", "empty.src", "-n_best", "3"],
    "save_beam": ["-src", "test.src", "-save_beam_to", "our_beam.json", "-n_best", "2"],
    "beam2": ["-src", "test.src", "-beam_size", "2"],
    "dump_enc": ["-src", "test.src", "-dump_input_encoding"],
}


@pytest.fixture(scope="module")
def golden(tmp_path_factory) -> Path:
    folder = GOLDEN / "decode_options"
    if not folder.is_dir():
        pytest.skip("no golden numbers here")
    work = tmp_path_factory.mktemp("golden")
    for name in ("test.src", "test.tgt", "unk.src", "empty.src", "phrase.txt"):
        (work / name).symlink_to(folder / name)
    (work / "words.txt").write_text(SUBDICTIONARY)
    for model, name in (("brnn_lstm_sum", "model.t7"), ("lm_lstm", "lm.t7")):
        (work / name).write_bytes(gzip.decompress((GOLDEN / model / "model_release.t7.gz").read_bytes()))
    return work


QUICK = ("base", "lexical", "lm03", "save_beam", "subdict")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in DECODING]
)
def test_what_the_original_wrote(name, golden, monkeypatch, capsys):
    monkeypatch.chdir(golden)
    argv = ["-model", "model.t7", *DECODING[name], "-output", "out", "-save_attention", "attn"]
    assert translate(argv) == 0
    expected = GOLDEN / "decode_options"
    log = log_of(capsys.readouterr().out)
    wanted = log_of((expected / f"{name}.log").read_text(encoding="utf-8"))
    assert_close(*("\n".join(filter(not_about_paths, lines)) for lines in (log, wanted)), 0.011)
    for ours, theirs in (("attn", f"{name}.attn"), ("out", f"{name}.txt")):
        written, wanted = (path.read_text(encoding="utf-8") for path in (golden / ours, expected / theirs))
        if name == "empty_n3" and ours == "out":
            wanted = with_three_empty_lines(wanted)
        assert_close(written, wanted, 1e-5)
    if name == "save_beam":
        found, beams = (json.loads(p.read_text()) for p in (golden / "our_beam.json", expected / "beam.json"))
        assert found["predicted_ids"] == beams["predicted_ids"]
        assert found["beam_parent_ids"] == beams["beam_parent_ids"]
        for ours, theirs in zip(found["scores"], beams["scores"], strict=True):
            for row, reference in zip(ours, theirs, strict=True):
                assert row == pytest.approx(reference, abs=1e-5)


def with_three_empty_lines(text: str) -> str:
    """Triple the empty lines: the original wrote only one for an empty sentence, even with -n_best 3."""
    return "".join("\n\n\n" if line == "\n" else line for line in text.splitlines(keepends=True))


def not_about_paths(line: str) -> bool:
    return "Loading" not in line and "Using target vocabulary" not in line


def assert_close(ours: str, theirs: str, tolerance: float) -> None:
    """Assert that two texts are equal, except that numbers may differ by up to `tolerance`."""
    for line, other in zip(ours.split("\n"), theirs.split("\n"), strict=True):
        for found, expected in zip(line.split(" "), other.split(" "), strict=True):
            if found != expected:
                assert float(found.strip("[],")) == pytest.approx(float(expected.strip("[],")), abs=tolerance)
