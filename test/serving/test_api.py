"""The Python API: translate, score, tag; errors; threads."""

import threading
from pathlib import Path
from typing import get_origin, get_type_hints

import numpy as np
import pytest

import onmt
from onmt import (
    CheckpointError,
    DataError,
    OnmtError,
    OptionError,
    TokenizerOptions,
    load_language_model,
    load_tagger,
    load_translator,
)
from onmt.commandline.schema import declared_options
from onmt.commands.pipeline import lm, tag, translate
from onmt.decoding.options import TranslatorOptions
from onmt.serving.options import TranslatorKeywords

LINES = ["a b c", "", "c q", "b", "a a a b b b c c c a"]


def written(main, *argv: str) -> list[str]:
    """Run a script on LINES; return the lines that it writes."""
    Path("src").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    assert main([*argv, "-src", "src", "-output", "out", "-disable_logs"]) == 0
    return Path("out").read_text(encoding="utf-8").split("\n")[:-1]


def test_every_flag_of_the_search_is_a_keyword() -> None:
    useless = {"dump_input_encoding", "save_beam_to"}
    declared = {option.flag: option for option in declared_options(TranslatorOptions)}
    assert set(get_type_hints(TranslatorKeywords)) == declared.keys() - useless
    for name, kind in get_type_hints(TranslatorKeywords).items():
        default = declared[name].default
        assert type(default) is kind or isinstance(default, get_origin(kind))


def test_everything_public_can_be_imported() -> None:
    assert all(vars(onmt).get(name) or getattr(onmt, name) for name in onmt.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        onmt.no_such_name  # noqa: B018


def test_lines_are_translated_as_by_the_script(folder: Path, capsys) -> None:
    translator = load_translator("model.pt", max_sent_length=9)
    capsys.readouterr()
    translated = translator.translate(LINES)
    assert capsys.readouterr() == ("", "")
    assert [line.text for line in translated] == written(
        translate, "-model", "model.pt", "-max_sent_length", "9"
    )
    assert translator.translate([]) == []
    assert translated[1].hypotheses == []


@pytest.mark.parametrize("ensemble", ["mean", "log_mean"])
def test_an_ensemble_translates_and_scores_as_by_the_script(folder: Path, ensemble) -> None:
    paths = ["model.pt", Path("other.pt")]
    translator = load_translator(paths, ensemble=ensemble, max_sent_length=9)
    translated = translator.translate(LINES)
    argv = ["-model", "model.pt", "other.pt", "-ensemble", ensemble, "-max_sent_length", "9"]
    assert [line.text for line in translated] == written(translate, *argv)
    scores = translator.score(LINES, [line.text for line in translated])
    for line, score in zip(translated, scores, strict=True):
        if line.hypotheses and len(line.hypotheses[0].tokens) < 9:
            assert score == pytest.approx(line.hypotheses[0].score, abs=1e-4)


def test_samples_and_restrictions_are_those_of_the_script(folder: Path) -> None:
    flags = {"beam_size": 1, "top_p": 0.9, "random_sampling_temp": 1.2, "seed": 7, "min_length": 3}
    more = {"max_sent_length": 9, "block_ngram_repeat": 2, "ignore_when_blocking": ["x", "y"], "n_best": 2}
    translated = load_translator("model.pt", ban_unk=True, **flags, **more).translate(LINES)
    argv = [word for flag, value in {**flags, **more}.items() for word in words_of(flag, value)]
    found = written(translate, "-model", "model.pt", "-ban_unk", *argv)
    texts = [[one.text for one in line.hypotheses] or ["", ""] for line in translated]
    assert [text for pair in texts for text in pair] == found
    assert all(len(one.tokens) >= 3 for line in translated for one in line.hypotheses)


def words_of(flag: str, value: object) -> list[str]:
    return [f"-{flag}", *(value if isinstance(value, list) else [str(value)])]


def test_what_comes_back(folder: Path) -> None:
    [line] = load_translator("model.pt", n_best=3, max_sent_length=4).translate(["a b  q\n"])
    assert (line.source_tokens, line.source_features, line.source) == (["a", "b", "q"], [], "a b q")
    scores = [hypothesis.score for hypothesis in line.hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3
    for hypothesis in line.hypotheses:
        assert hypothesis.text == hypothesis.tokenized == " ".join(hypothesis.tokens)
        assert hypothesis.attention is not None
        assert hypothesis.attention.shape == (len(hypothesis.tokens), 3)
        assert np.allclose(hypothesis.attention.sum(axis=1), 1)


def test_text_is_tokenized_and_put_together_again(folder: Path) -> None:
    Path("hooks.py").write_text(
        "def mpreprocess(options, lines):\n    return [line.lower() for line in lines]\n", encoding="utf-8"
    )
    options = TokenizerOptions(mode="aggressive", joiner_annotate=True)
    translator = load_translator("model.pt", tokenizer=options, max_sent_length=3, hook_file="hooks.py")
    [line] = translator.translate(["A,b"])
    assert line.source_tokens == ["a", "￭,￭", "b"]


def test_given_translations_are_scored(folder: Path) -> None:
    translator = load_translator("model.pt", max_sent_length=60)
    translated = translator.translate(LINES)
    scores = translator.score(LINES, [line.text for line in translated])
    assert scores[1] is None
    for score, line in zip(scores, translated, strict=True):
        if line.hypotheses and "<blank>" not in line.text:  # padding is never scored
            assert score == pytest.approx(line.hypotheses[0].score, abs=1e-4)
    with pytest.raises(DataError, match="5 lines, but 1 translations"):
        translator.score(LINES, ["x"])
    with pytest.raises(DataError, match=r"^translation 1: "):
        translator.score(["a"], ["x￨L"])


def test_tags_and_language_model_scores(folder: Path) -> None:
    tags = [" ".join(tags) for tags in load_tagger("tagger.pt").tag(LINES)]
    assert tags == written(tag, "-model", "tagger.pt")
    scores = [f"{score:.14g}" for score in load_language_model("lm.pt").score(LINES)]
    assert scores == written(lm, "score", "-model", "lm.pt")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: load_translator("none.pt"), CheckpointError, "none.pt: there is no such model"),
        (lambda: load_translator([]), OptionError, "option model: it must name at least one file"),
        (lambda: load_translator(["model.pt", "lm.pt"]), CheckpointError, "not a translation model"),
        (lambda: load_translator(["model.pt", "featured.pt"]), OptionError, "features"),
        (lambda: load_translator("model.pt", ensemble="median"), OptionError, "median"),
        (lambda: load_translator("model.pt", top_p=0.5), OptionError, "need -beam_size 1"),
        (lambda: load_translator("src"), CheckpointError, "src"),
        (lambda: load_translator("tagger.pt"), CheckpointError, "seqtagger model, not a translation model"),
        (lambda: load_translator("vectors.pt"), CheckpointError, "reads no text"),
        (lambda: load_tagger("model.pt"), CheckpointError, "not a sequence tagger"),
        (lambda: load_language_model("model.pt"), CheckpointError, "not a language model"),
        (lambda: load_translator("model.pt", beam=2), OptionError, "unknown option 'beam'"),
        (lambda: load_translator("model.pt", beam_size="x"), OptionError, "should be an integer"),
        (lambda: load_translator("model.pt", precision="fp8"), OptionError, "fp8"),
        (lambda: load_translator("model.pt", gpuid=99), OptionError, "-gpuid 99"),
        (lambda: load_translator("model.pt", batch_size=0), OptionError, "batch_size"),
        (lambda: load_translator("model.pt", lm_model="tagger.pt"), OptionError, "not a language model"),
        (lambda: load_translator("model.pt", hook_file="none.py"), OptionError, "none.py"),
        (lambda: load_translator("model.pt").translate("a b"), DataError, "a list of lines"),
        (lambda: load_translator("model.pt").translate(["a", "b￨L"]), DataError, "^line 2: "),
        (lambda: load_translator("model.pt").translate(["a\ud800"]), DataError, "Unicode at character 2"),
    ],
)
def test_errors(folder: Path, call, error: type[OnmtError], message: str) -> None:
    Path("src").write_text("no model", encoding="utf-8")
    with pytest.raises(error, match=message):
        call()


def test_threads_get_what_one_would_get(folder: Path) -> None:
    translator = load_translator("model.pt", n_best=2, max_sent_length=9, batch_size=2)
    expected = [translator.translate([line])[0] for line in LINES]
    found: list[object] = [None] * 8

    def work(place: int) -> None:
        lines = LINES[place % 5 :] + LINES[: place % 5]
        texts = translator.translate(lines)
        found[place] = texts[5 - place % 5 :] + texts[: 5 - place % 5]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lines in found:
        assert [
            [(hypothesis.text, hypothesis.score) for hypothesis in line.hypotheses] for line in lines
        ] == [[(hypothesis.text, hypothesis.score) for hypothesis in line.hypotheses] for line in expected]
