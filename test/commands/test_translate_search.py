"""Ensembles, sampling and restrictions of the search through the command line of translate.py."""

import itertools
from pathlib import Path

import pytest
from translating import TRANSLATE, log_of

from onmt.commands.pipeline import translate
from onmt.constants import PAD_WORD

ENSEMBLE = ["-model", "words.pt", "others.pt", "last.pt", *TRANSLATE[2:]]
SAMPLES = ["-beam_size", "1", "-random_sampling_topk", "-1", "-random_sampling_temp", "1.5"]


@pytest.fixture
def lines(work: Path) -> Path:
    """The working folder, with a longer source."""
    sentences = ["a b c", "", "c q", "q", "b a a c", "c", "a", "c c b"]
    (work / "src").write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")
    (work / "tgt").write_text("x\n" * len(sentences), encoding="utf-8")
    return work


def run(*argv: str) -> list[str]:
    """Run translate.py; return the lines that it writes."""
    assert translate([*argv, "-output", "out"]) == 0
    return Path("out").read_text(encoding="utf-8").split("\n")[:-1]


def test_an_ensemble_translates_scores_and_has_attention(lines, capsys) -> None:
    found = {}
    for average in ("mean", "log_mean"):
        argv = [*ENSEMBLE, "-ensemble", average, "-tgt", "tgt", "-save_attention", "attn", "-replace_unk"]
        found[average] = run(*argv)
        log = log_of(capsys.readouterr().out)
        assert log[:4:2] == ["INFO] Loading 'words.pt'...", "INFO] Loading 'others.pt'..."]
        assert sum(line.startswith("INFO] GOLD SCORE") for line in log) == 7
        first = Path("attn").read_text(encoding="utf-8").split("\n")[0]
        assert first.split(" ||| ")[4].startswith("3 ")  # one position per source word
    assert len(found["mean"]) == 8
    golds = [line for line in log if line.startswith("INFO] GOLD SCORE")]
    run(*TRANSLATE, "-tgt", "tgt")
    alone = log_of(capsys.readouterr().out)
    assert golds != [line for line in alone if line.startswith("INFO] GOLD SCORE")]


def test_an_ensemble_beside_a_language_model_and_constraints(lines) -> None:
    Path("table").write_text("c ||| z\n", encoding="utf-8")
    argv = [*ENSEMBLE, "-lm_model", "lm.pt", "-lexical_constraints", "-phrase_table", "table"]
    found = run(*argv)
    assert "z" in found[0].split()
    assert run(*argv, "-batch_size", "1") == found


def test_samples_do_not_depend_on_the_batch(lines) -> None:
    for models in (TRANSLATE, ENSEMBLE):
        once = run(*models, *SAMPLES, "-n_best", "3")
        assert len(once) == 24
        assert run(*models, *SAMPLES, "-n_best", "3", "-batch_size", "1") == once
        assert run(*models, *SAMPLES, "-n_best", "3", "-seed", "4") != once
        single = run(*models, *SAMPLES)
        assert all(one in once[3 * place : 3 * place + 3] for place, one in enumerate(single))


def test_what_is_drawn_for_a_line_stays_when_others_leave(lines) -> None:
    once = run(*TRANSLATE, *SAMPLES)
    source = Path("src").read_text(encoding="utf-8").split("\n")
    Path("src").write_text("\n" * 4 + f"{source[4]}\n", encoding="utf-8")
    assert run(*TRANSLATE, *SAMPLES)[4] == once[4]


def test_the_score_of_a_sample_is_the_models(lines, capsys) -> None:
    found = run(*TRANSLATE, *SAMPLES)
    scores = scores_of(capsys, "PRED")
    Path("tgt").write_text("".join(f"{line}\n" for line in found), encoding="utf-8")
    run(*TRANSLATE, "-tgt", "tgt")
    golds = scores_of(capsys, "GOLD")
    drawn = [line for place, line in enumerate(found) if place != 1]  # without the empty line's
    compared = 0
    for line, score, gold in zip(drawn, scores, golds, strict=True):
        # Skip what the length limit may have cut, and padding, which a reference cannot contain.
        if len(line.split()) < 5 and PAD_WORD not in line.split():
            assert score == pytest.approx(gold, abs=0.011)
            compared += 1
    assert compared > 1


def scores_of(capsys, kind: str) -> list[float]:
    log = log_of(capsys.readouterr().out)
    return [float(line.split()[-1]) for line in log if line.startswith(f"INFO] {kind} SCORE")]


def test_restrictions(lines) -> None:
    for line in run(*TRANSLATE, "-min_length", "3", "-block_ngram_repeat", "1", "-ban_unk"):
        words = line.split()
        assert len(set(words)) == len(words)
        assert "<unk>" not in words
    long = run(*TRANSLATE, "-min_length", "5")
    assert [len(line.split()) for line in long] == [5, 0, *[5] * 6]
    for line in run(*TRANSLATE, "-min_length", "5", "-block_ngram_repeat", "2", "-n_best", "2"):
        pairs = list(itertools.pairwise(line.split()))
        assert len(set(pairs)) == len(pairs)
    free = run(*TRANSLATE, "-min_length", "5", "-block_ngram_repeat", "1", "-ignore_when_blocking", "x")
    for line in free:
        others = [word for word in line.split() if word != "x"]
        assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["-model", "words.pt", "german.pt"], 2, "german.pt: its target vocabulary is not that of the first"),
        (["-model", "words.pt", "vectors.pt"], 2, "vectors.pt: it reads vectors of 2 numbers, but the first"),
        (["-model", "words.pt", "lm.pt"], 1, "lm.pt: this is a lm model; only seq2seq models translate"),
        (["-model", "words.pt", "none.pt"], 2, "there is no 'none.pt'"),
        (
            ["-model", "words.pt", "-block_ngram_repeat", "2", "-ignore_when_blocking", "x", ","],
            2,
            "-ignore_when_blocking ,: the target vocabulary has no such word",
        ),
        (["-model", "words.pt", "-top_p", "0.5"], 2, "need -beam_size 1, not 5"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(argv, code, message, lines, capsys) -> None:
    assert translate([*argv, "-src", "src", "-output", "out"]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("out").exists()
