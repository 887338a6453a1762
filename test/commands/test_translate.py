"""translate.py, tools/tag.py and tools/lm.py through their command lines, on small random models."""

import io
import json
import math
import re
import sys

import pytest
from translating import TRANSLATE, log_of

from onmt.commands.pipeline import lm, tag, translate


def test_translations_scores_and_summary(work, capsys):
    assert translate([*TRANSLATE, "-tgt", "tgt", "-output", "out", "-time"]) == 0
    lines = (work / "out").read_text().split("\n")
    assert (len(lines), lines[1], lines[3]) == (4, "", "")
    log = log_of(capsys.readouterr().out)
    assert log[:4] == [
        "INFO] Loading 'words.pt'...",
        "INFO] Model seq2seq trained on bitext",
        "INFO] Using on-the-fly 'space' tokenization for input 1",
        "INFO] Using on-the-fly 'space' tokenization for input 2",
    ]
    assert log[4:6] == ["INFO] SENT 1: a b c", "INFO] GOLD 1: x"]
    assert log[7] == f"INFO] PRED 1: {lines[0]}"
    assert re.fullmatch(r"INFO\] PRED SCORE: -\d+\.\d\d", log[8])
    assert log[9:12] == ["INFO] ", "WARNING] Line 2 is empty.", "INFO] "]
    summary = next(line for line in log if "Translated" in line)
    words = len(f"{lines[0]} {lines[2]}".split())
    assert summary.startswith("INFO] Translated 5 words, src unk count: 1, coverage: 20%, ")
    assert f"tgt words: {words} words" in summary
    assert [line.split(":")[0] for line in log[-2:]] == ["INFO] PRED AVG SCORE", "INFO] GOLD AVG SCORE"]
    assert sum(line.startswith("INFO] avg ") for line in log) == 3


def test_n_best_lists(work, capsys):
    assert translate([*TRANSLATE, "-n_best", "3", "-output", "out"]) == 0
    lines = (work / "out").read_text().split("\n")[:-1]
    assert len(lines) == 9
    assert lines[3:6] == ["", "", ""]  # the empty line
    log = log_of(capsys.readouterr().out)
    start = log.index("INFO] BEST HYP:")
    assert log[start - 1] == "INFO] "
    assert [line.split("] ")[-1] for line in log[start + 1 : start + 4]] == lines[:3]


def test_attention_encoding_and_beams(work, capsys):
    argv = [*TRANSLATE, "-output", "out", "-save_attention", "attn", "-save_beam_to", "beam.json"]
    assert translate(argv) == 0
    blocks = (work / "attn").read_text().removesuffix("\n\n").split("\n\n")
    headers = [block.split("\n")[0].split(" ||| ") for block in blocks]
    assert [header[0] for header in headers] == ["1", "3"]
    assert [header[3] for header in headers] == ["a b c", "c q"]
    for header, block in zip(headers, blocks, strict=True):
        rows = [list(map(float, row.split())) for row in block.split("\n")[1:]]
        assert header[4] == f"{len(header[3].split())} {len(rows)}"
        assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in rows)
    beams = json.loads((work / "beam.json").read_text())
    assert [len(steps) for steps in beams["scores"]] == [len(steps) for steps in beams["predicted_ids"]]
    assert [bool(steps) for steps in beams["beam_parent_ids"]] == [True, False, True]
    assert translate([*TRANSLATE, "-output", "enc", "-dump_input_encoding"]) == 0
    rows = [row.split() for row in (work / "enc").read_text().split("\n")]
    assert [row[:1] for row in rows] == [["1"], [], ["3"], []]
    assert [len(row) for row in rows] == [7, 0, 7, 0]
    assert "AVG SCORE" not in capsys.readouterr().out.split("Translated")[-1]


def test_a_pipeline(work, capfdbinary, monkeypatch):
    class Input:
        buffer = io.BytesIO("a b\nb \u2028 é\n".encode())

    monkeypatch.setattr(sys, "stdin", Input())
    assert translate([*TRANSLATE[:2], "-src", "-", "-output", "-", "-max_sent_length", "3"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out.count(b"\n") == 2
    assert b"INFO]" not in captured.out
    assert b"SENT 2: b \xe2\x80\xa8 \xc3\xa9" in captured.err


def test_vectors_with_keys(work, capsys):
    (work / "ark").write_text("u1 [\n 1 2\n 3 4 ]\nu2 [\n 0.5 1 ]\n")
    (work / "ref").write_text("u2 x\nu1 y z\n")
    argv = ["-model", "vectors.pt", "-src", "ark", "-tgt", "ref", "-output", "out", "-save_attention", "attn"]
    assert translate([*argv, "-idx_files", "-max_sent_length", "4"]) == 0
    assert (work / "out").read_text().count("\n") == 2
    log = log_of(capsys.readouterr().out)
    assert "INFO] FEATS 1: IDX - u1 - SIZE 2" in log
    assert any("Translated 3 words, src unk count: 0, coverage: 0%, " in line for line in log)  # 3 frames
    assert "INFO] GOLD 1: y z" in log
    header = (work / "attn").read_text().split("\n")[0].split(" ||| ")
    assert len(header) == 4


def test_hooks_take_over_text_processing(work, capsys):
    (work / "hook.py").write_text(
        "def mpreprocess(options, lines):\n    return [line.upper() for line in lines]\n"
        "def tokenize(options, line):\n    return list(line.lower().replace(' ', ''))\n"
        "def detokenize(options, words, features):\n    return '+'.join(words)\n"
    )
    argv = [*TRANSLATE, "-hook_file", "hook.py", "-detokenize_output", "-output", "out"]
    (work / "src").write_text("ab c\n")
    assert translate(argv) == 0
    assert "INFO] SENT 1: a b c" in log_of(capsys.readouterr().out)
    assert " " not in (work / "out").read_text()


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ([*TRANSLATE, "-tgt", "short"], 1, "short has 1 lines but src has 3"),
        (["-model", "lm.pt", "-src", "src"], 1, "lm.pt: this is a lm model; only seq2seq models translate"),
        (["-model", "src", "-src", "src"], 1, "'src' is not a model of this program"),
        (["-model", "none.pt", "-src", "src"], 2, "there is no 'none.pt'"),
        ([*TRANSLATE, "-lm_model", "tagger.pt"], 2, "this is a seqtagger model, not a language model"),
        ([*TRANSLATE, "-output", "no/where"], 1, "no/where: cannot write"),
        ([*TRANSLATE, "-save_beam_to", "no/where"], 1, "no/where: cannot write"),
        ([*TRANSLATE, "-save_beam_to", "no/where.npz"], 1, "no/where.npz: cannot write"),
        ([*TRANSLATE, "-save_attention", "folder.npz"], 1, "folder.npz: cannot write: it is a folder"),
        (["-model", "words.pt", "-src", "bad"], 1, "bad, line 2, byte offset 2: not valid UTF-8"),
        (["-model", "words.pt", "-src", "labels"], 1, "labels, line 1: 1 features per word"),
        ([*TRANSLATE, "-gpuid", "99"], 2, "-gpuid 99"),
    ],
)
def test_failures_take_one_line(argv, code, message, work, capsys):
    (work / "short").write_text("x\n")
    (work / "bad").write_bytes(b"a\nb \xff\n")
    (work / "labels").write_text("a￨F\n")
    (work / "folder.npz").mkdir()
    given = argv if "-output" in argv else [*argv, "-output", "out"]
    assert translate(given) == code
    assert not (work / "out").exists()
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_tags(work, capsys):
    assert tag(["-model", "tagger.pt", "-src", "src", "-output", "out"]) == 0
    assert [len(line.split()) for line in (work / "out").read_text().split("\n")] == [3, 0, 2, 0]
    log = log_of(capsys.readouterr().out)
    assert log[1].startswith("INFO] SENT 1: a b c")
    assert "WARNING] Line 2 is empty." in log
    (work / "gold").write_text("x y x\n\nz z\n")
    assert tag(["-model", "tagger.pt", "-src", "src", "-tgt", "gold", "-output", "out"]) == 0
    log = log_of(capsys.readouterr().out)
    assert log[2:4] == ["INFO] GOLD 1: x y x", log[3]]
    assert re.fullmatch(r"INFO\] GOLD SCORE: \d+\.\d\d", log[3])
    assert tag(["-model", "tagger.pt", "-src", "src", "-tgt", "tgt", "-output", "out"]) == 1
    assert "tgt, line 1: 1 tags for the 3 positions of src, line 1" in capsys.readouterr().err
    assert tag(["-model", "words.pt", "-src", "src", "-output", "out"]) == 1
    assert "not a sequence tagger" in capsys.readouterr().err


def test_language_model(work, capsys):
    assert lm(["score", "-model", "lm.pt", "-src", "tgt", "-output", "out"]) == 0
    scores = [float(line) for line in (work / "out").read_text().split()]
    assert len(scores) == 3
    assert all(0 < score < math.inf for score in scores)
    log = log_of(capsys.readouterr().out)
    assert log[1] == f"INFO] SENT 1: {(work / 'out').read_text().split()[0]}"
    argv = ["sample", "-model", "lm.pt", "-src", "tgt", "-max_length", "6", "-temperature", "0.5"]
    assert lm([*argv, "-output", "-", "-batch_size", "1"]) == 0
    first = capsys.readouterr().out
    assert [line.split()[0] for line in first.splitlines()] == ["x", "y", "z"]
    assert lm([*argv, "-output", "-"]) == 0
    assert capsys.readouterr().out == first
    assert lm(["score", "-model", "words.pt", "-src", "tgt", "-output", "out"]) == 1
    assert "not a language model" in capsys.readouterr().err
