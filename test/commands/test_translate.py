"""translate.py, tools/tag.py and tools/lm.py through their command lines, on small random models."""

import gzip
import io
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from onmt.checkpoint import save_checkpoint
from onmt.commands import lm, tag, translate
from onmt.constants import EOS, SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.models.build import build_model
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions, TaggerOptions

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "lua"
STAMP = re.compile(r"^\[\S+ \S+ ")


def vocabulary(*words: str) -> Vocabulary:
    return Vocabulary([*SPECIAL_WORDS, *words])


SOURCE, TARGET = vocabulary("a", "b", "c"), vocabulary("x", "y", "z")


def save(path: str, options, vocabularies: Vocabularies, data_type: str) -> None:
    sizes = DataSizes(
        src=tuple(map(len, vocabularies.src)),
        tgt=tuple(map(len, vocabularies.tgt)),
        src_vector_size=vocabularies.src_vector_size,
    )
    spec = spec_from_options(options, sizes)
    model = build_model(spec)
    model.initialise(1.0, torch.Generator().manual_seed(5))
    content = {
        "format": 1,
        "version": "0",
        "data_type": data_type,
        "spec": spec.to_state(),
        "options": {},
        "vocabularies": vocabularies.to_state(),
        "weights": {name: parameter.detach() for name, parameter in model.named_parameters()},
    }
    save_checkpoint(path, content)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    words = Seq2SeqModelOptions(layers=1, rnn_size=6, word_vec_size=5)
    save(f"{folder}/words.pt", words, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    save(f"{folder}/vectors.pt", words, Vocabularies((), (TARGET,), 2), "feattext")
    without = Seq2SeqModelOptions(layers=1, rnn_size=6, word_vec_size=5, attention="none")
    save(f"{folder}/last.pt", without, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    language_model = LanguageModelOptions(layers=1, rnn_size=6, word_vec_size=(5,))
    save(f"{folder}/lm.pt", language_model, Vocabularies((TARGET,), ()), "monotext")
    tagger = TaggerOptions(layers=1, rnn_size=6, word_vec_size=(5,))
    save(f"{folder}/tagger.pt", tagger, Vocabularies((SOURCE,), (TARGET,)), "bitext")
    return folder


@pytest.fixture
def work(models, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for model in models.iterdir():
        (tmp_path / model.name).symlink_to(model)
    (tmp_path / "src").write_text("a b c\n\nc q\n", encoding="utf-8")
    (tmp_path / "tgt").write_text("x\ny\nz z\n", encoding="utf-8")
    return tmp_path


def log_of(text: str) -> list[str]:
    return [STAMP.sub("", line) for line in text.splitlines()]


TRANSLATE = ["-model", "words.pt", "-src", "src", "-max_sent_length", "5"]


def test_translations_scores_and_summary(work, capsys):
    assert translate.main([*TRANSLATE, "-tgt", "tgt", "-output", "out", "-time"]) == 0
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
    assert translate.main([*TRANSLATE, "-n_best", "3", "-output", "out"]) == 0
    lines = (work / "out").read_text().split("\n")[:-1]
    assert len(lines) == 7  # one for the empty line
    log = log_of(capsys.readouterr().out)
    start = log.index("INFO] BEST HYP:")
    assert log[start - 1] == "INFO] "
    assert [line.split("] ")[-1] for line in log[start + 1 : start + 4]] == lines[:3]


def test_attention_encoding_and_beams(work, capsys):
    argv = [*TRANSLATE, "-output", "out", "-save_attention", "attn", "-save_beam_to", "beam.json"]
    assert translate.main(argv) == 0
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
    assert len(beams["beam_parent_ids"]) == 2
    assert translate.main([*TRANSLATE, "-output", "enc", "-dump_input_encoding"]) == 0
    rows = [row.split() for row in (work / "enc").read_text().split("\n")]
    assert [row[:1] for row in rows] == [["1"], [], ["3"], []]
    assert [len(row) for row in rows] == [7, 0, 7, 0]
    assert "AVG SCORE" not in capsys.readouterr().out.split("Translated")[-1]


def loaded(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def best_path(beams: dict[str, np.ndarray], sentence: int) -> tuple[list[str], float]:
    """The words that the arrays of a search lead to, and their score."""
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
    assert translate.main([*argv, "-save_attention", "attn"]) == 0
    blocks = (work / "attn").read_text().removesuffix("\n\n").split("\n\n")
    tables = [[row.split() for row in block.split("\n")[1:]] for block in blocks]
    tables.insert(len(tables) // 2, [])  # the empty line
    for size in ("1", "30"):
        assert translate.main([*argv, "-save_attention", f"{size}.npz", "-batch_size", size]) == 0
        arrays = loaded(work / f"{size}.npz")
        assert list(arrays) == [f"arr_{line}" for line in range((work / "out").read_text().count("\n"))]
        for array, table in zip(arrays.values(), tables, strict=True):
            assert array.dtype == np.float32
            assert len(array) == len(table)
            np.testing.assert_allclose(
                array, np.array(table, dtype=np.float32).reshape(array.shape), atol=1e-6
            )
        assert arrays[f"arr_{len(tables) // 2}"].shape == (0, 0)


@pytest.mark.parametrize("beam", ["1", "5"])
@pytest.mark.parametrize("constrained", [False, True])
def test_beam_arrays_are_those_of_json_and_lead_to_the_translations(beam, constrained, work, capsys):
    (work / "table").write_text("a ||| x\nb ||| y\n")
    argv = [*TRANSLATE, "-output", "out", "-beam_size", beam, "-length_norm", "0.7"]
    argv += ["-lexical_constraints", "-phrase_table", "table"] if constrained else []
    assert translate.main([*argv, "-save_beam_to", "beam.json"]) == 0
    printed = [float(text) for text in re.findall(r"PRED SCORE: (\S+)", capsys.readouterr().out)]
    assert translate.main([*argv, "-save_beam_to", "1.npz", "-batch_size", "1"]) == 0
    assert translate.main([*argv, "-save_beam_to", "30.npz"]) == 0
    alone, beams = loaded(work / "1.npz"), loaded(work / "30.npz")
    for name, values in beams.items():
        assert values.shape == alone[name].shape
        if not constrained:  # where one text is found in two ways, equal scores stand in any order
            assert same_values(values, alone[name])
    json_beams = json.loads((work / "beam.json").read_text())
    lines = (work / "out").read_text().split("\n")
    for searched, sentence in enumerate((0, 2)):
        words, score = best_path(beams, sentence)
        assert " ".join(words) == " ".join(best_path(alone, sentence)[0]) == lines[sentence]
        assert score == pytest.approx(printed[searched], abs=0.0051)
        assert_same_search(beams, sentence, [json_beams[name][searched] for name in JSON_BEAMS])
    steps = beams["steps"]
    assert steps[1] == 0
    assert beams["predicted_ids"].shape == (3, steps.max(), int(beam) * (3 if constrained else 1))
    lengths = np.arange(steps.max())[:, None] + 2  # Lua counts `</s>`, and after each step one more
    expected = beams["log_probs"] / ((5 + lengths) / 6) ** 0.7
    competing = beams["scores"] > -np.inf  # in the last step, only what holds the constraints
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
    """JSON lacks the last step, and the scores of hypotheses that left the beam."""
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
    assert translate.main(argv) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (work / "attn.npz").exists()
    assert (work / "beam.npz").read_bytes() == b"before"


def test_nothing_to_translate_makes_empty_arrays(work):
    (work / "src").write_text("")
    argv = [*TRANSLATE, "-output", "out", "-save_attention", "attn.npz", "-save_beam_to", "beam.npz"]
    assert translate.main(argv) == 0
    assert loaded(work / "attn.npz") == {}
    assert loaded(work / "beam.npz")["predicted_ids"].shape == (0, 0, 5)


def test_pictures_of_attention(work, capfd):
    pytest.importorskip("matplotlib")
    argv = [*TRANSLATE, "-output", "out", "-n_best", "2", "-plot_attention", "plots"]
    assert translate.main(argv) == 0
    assert sorted(path.name for path in (work / "plots").iterdir()) == ["00000.png", "00002.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (work / "plots").iterdir())
    (work / "ark").write_text("u1 [\n 1 2\n 3 4 ]\n")
    argv = ["-model", "vectors.pt", "-src", "ark", "-output", "out", "-plot_attention", "vectors"]
    assert translate.main(argv) == 0
    assert [path.name for path in (work / "vectors").iterdir()] == ["00000.png"]
    assert capfd.readouterr().err == ""


def test_pictures_need_matplotlib_and_attention(work, monkeypatch, capsys):
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "matplotlib.figure", None)
        argv = ["-model", "src", "-src", "src", "-output", "out", "-plot_attention", "plots"]
        assert translate.main(argv) == 2  # and the model, which is none, was not looked at
    error = capsys.readouterr().err
    assert error == ("translate.py: -plot_attention needs matplotlib: install it with the extra [plot]\n")
    assert not (work / "plots").exists()
    pytest.importorskip("matplotlib")
    argv = ["-model", "last.pt", "-src", "src", "-output", "out", "-save_attention", "attn.npz"]
    assert translate.main([*argv, "-plot_attention", "plots"]) == 2
    assert "needs a model with attention" in capsys.readouterr().err
    assert not (work / "plots").exists()
    assert not (work / "out").exists()
    assert translate.main(argv) == 0
    assert [array.shape for array in loaded(work / "attn.npz").values()] == [(0, 3), (0, 0), (0, 2)]


def test_a_pipeline(work, capfdbinary, monkeypatch):
    class Input:
        buffer = io.BytesIO("a b\nb \u2028 é\n".encode())

    monkeypatch.setattr(sys, "stdin", Input())
    assert translate.main([*TRANSLATE[:2], "-src", "-", "-output", "-", "-max_sent_length", "3"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out.count(b"\n") == 2
    assert b"INFO]" not in captured.out
    assert b"SENT 2: b \xe2\x80\xa8 \xc3\xa9" in captured.err


def test_vectors_with_keys(work, capsys):
    (work / "ark").write_text("u1 [\n 1 2\n 3 4 ]\nu2 [\n 0.5 1 ]\n")
    (work / "ref").write_text("u2 x\nu1 y z\n")
    argv = ["-model", "vectors.pt", "-src", "ark", "-tgt", "ref", "-output", "out", "-save_attention", "attn"]
    assert translate.main([*argv, "-idx_files", "-max_sent_length", "4"]) == 0
    assert (work / "out").read_text().count("\n") == 2
    log = log_of(capsys.readouterr().out)
    assert "INFO] FEATS 1: IDX - u1 - SIZE 2" in log
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
    assert translate.main(argv) == 0
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
        (["-model", "words.pt", "-src", "bad"], 1, "bad, line 2, byte offset 2: not valid UTF-8"),
        (["-model", "words.pt", "-src", "labels"], 1, "labels, line 1: 1 features per word"),
        ([*TRANSLATE, "-gpuid", "99"], 2, "-gpuid 99"),
    ],
)
def test_failures_take_one_line(argv, code, message, work, capsys):
    (work / "short").write_text("x\n")
    (work / "bad").write_bytes(b"a\nb \xff\n")
    (work / "labels").write_text("a￨F\n")
    given = argv if "-output" in argv else [*argv, "-output", "out"]
    assert translate.main(given) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_tags(work, capsys):
    assert tag.main(["-model", "tagger.pt", "-src", "src", "-output", "out"]) == 0
    assert [len(line.split()) for line in (work / "out").read_text().split("\n")] == [3, 0, 2, 0]
    log = log_of(capsys.readouterr().out)
    assert log[1].startswith("INFO] SENT 1: a b c")
    assert "WARNING] Line 2 is empty." in log
    (work / "gold").write_text("x y x\n\nz z\n")
    assert tag.main(["-model", "tagger.pt", "-src", "src", "-tgt", "gold", "-output", "out"]) == 0
    log = log_of(capsys.readouterr().out)
    assert log[2:4] == ["INFO] GOLD 1: x y x", log[3]]
    assert re.fullmatch(r"INFO\] GOLD SCORE: \d+\.\d\d", log[3])
    assert tag.main(["-model", "tagger.pt", "-src", "src", "-tgt", "tgt", "-output", "out"]) == 1
    assert "tgt, line 1: 1 tags for the 3 positions of src, line 1" in capsys.readouterr().err
    assert tag.main(["-model", "words.pt", "-src", "src", "-output", "out"]) == 1
    assert "not a sequence tagger" in capsys.readouterr().err


def test_language_model(work, capsys):
    assert lm.main(["score", "-model", "lm.pt", "-src", "tgt", "-output", "out"]) == 0
    scores = [float(line) for line in (work / "out").read_text().split()]
    assert len(scores) == 3
    assert all(0 < score < math.inf for score in scores)
    log = log_of(capsys.readouterr().out)
    assert log[1] == f"INFO] SENT 1: {(work / 'out').read_text().split()[0]}"
    argv = ["sample", "-model", "lm.pt", "-src", "tgt", "-max_length", "6", "-temperature", "0.5"]
    assert lm.main([*argv, "-output", "-", "-batch_size", "1"]) == 0
    first = capsys.readouterr().out
    assert [line.split()[0] for line in first.splitlines()] == ["x", "y", "z"]
    assert lm.main([*argv, "-output", "-"]) == 0
    assert capsys.readouterr().out == first
    assert lm.main(["score", "-model", "words.pt", "-src", "tgt", "-output", "out"]) == 1
    assert "not a language model" in capsys.readouterr().err


SUBDICTIONARY = "A\nB\nC\nD\nE\nn0\nn1\nn2\nn8\n"
"""The words with which `subdict` was measured, found from its scores: the file itself was overwritten."""

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
    assert translate.main(argv) == 0
    expected = GOLDEN / "decode_options"
    log = log_of(capsys.readouterr().out)
    wanted = log_of((expected / f"{name}.log").read_text(encoding="utf-8"))
    assert_close(*("\n".join(filter(not_about_paths, lines)) for lines in (log, wanted)), 0.011)
    for ours, theirs in (("attn", f"{name}.attn"), ("out", f"{name}.txt")):
        written = (golden / ours).read_text(encoding="utf-8")
        assert_close(written, (expected / theirs).read_text(encoding="utf-8"), 1e-5)
    if name == "save_beam":
        found, beams = (json.loads(p.read_text()) for p in (golden / "our_beam.json", expected / "beam.json"))
        assert found["predicted_ids"] == beams["predicted_ids"]
        assert found["beam_parent_ids"] == beams["beam_parent_ids"]
        for ours, theirs in zip(found["scores"], beams["scores"], strict=True):
            for row, reference in zip(ours, theirs, strict=True):
                assert row == pytest.approx(reference, abs=1e-5)


def not_about_paths(line: str) -> bool:
    return "Loading" not in line and "Using target vocabulary" not in line


def assert_close(ours: str, theirs: str, tolerance: float) -> None:
    """Equal texts, but that numbers may differ by so much."""
    for line, other in zip(ours.split("\n"), theirs.split("\n"), strict=True):
        for found, expected in zip(line.split(" "), other.split(" "), strict=True):
            if found != expected:
                assert float(found.strip("[],")) == pytest.approx(float(expected.strip("[],")), abs=tolerance)
