"""Translations with copied words against a search through all sentences; results as files show them."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from onmt.constants import BOS, EOS, PAD, SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.array_files import AttentionTable, BeamTree
from onmt.decoding.inputs import Source
from onmt.decoding.lexicon import ExtendedVocabulary, with_copies
from onmt.decoding.options import TranslateOptions, TranslatorOptions
from onmt.decoding.output import Results
from onmt.decoding.pictures import page
from onmt.decoding.translator import Translation, Translator
from onmt.errors import DataError, OptionError
from onmt.models.lua import DataSizes, spec_from_options, with_copying, with_coverage
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.decoder import DecoderState


def vocabulary(*words: str) -> Vocabulary:
    return Vocabulary([*SPECIAL_WORDS, *words])


VOCABULARIES = Vocabularies((vocabulary("a", "b", "c"),), (vocabulary("b", "x"),))
LENGTH = 3


def model_of(vocabularies: Vocabularies = VOCABULARIES) -> Seq2Seq:
    sizes = DataSizes(tuple(map(len, vocabularies.src)), tuple(map(len, vocabularies.tgt)))
    options = Seq2SeqModelOptions(layers=1, rnn_size=6, word_vec_size=5)
    model = build_model(with_copying(with_coverage(spec_from_options(options, sizes))))
    assert isinstance(model, Seq2Seq)
    model.use_vocabularies(vocabularies)
    model.initialise(1.0, torch.Generator().manual_seed(7))
    return model


def translate(
    lines: list[str], vocabularies: Vocabularies = VOCABULARIES, **options: object
) -> list[Translation]:
    chosen = TranslatorOptions(**({"max_sent_length": LENGTH} | options))  # type: ignore[arg-type]
    translator = Translator(model_of(vocabularies), vocabularies, chosen)
    sources = [translator.source(line.split()) for line in lines]
    return translator.translate(sources, len(lines))


def all_sentences(line: str) -> list[tuple[tuple[str, ...], float]]:
    """Every output of at most LENGTH words with its log-probability, from the model's steps.

    Where the limit cuts a sentence, any next token stands for its end, as in the search.
    """
    model = model_of()
    translator = Translator(model, VOCABULARIES, TranslatorOptions())
    source = translator.source(line.split())
    extended = ExtendedVocabulary.of(VOCABULARIES.tgt[0], source.words)
    batch = translator._ensemble.first.batch([source], None)
    start = model.start(model.encode(batch.src, batch.src_lengths, copies=batch.copies))
    found: list[tuple[tuple[str, ...], float]] = []

    def follow(words: tuple[str, ...], token: int, score: float, state: DecoderState) -> None:
        step = model.step(torch.tensor([[token]]), state)
        for index, value in enumerate(step.log_probs[0][0].double().tolist()):
            if len(words) == LENGTH or (words and index == EOS):
                found.append((words, score + value))
            elif index != EOS:
                follow((*words, extended.word(index)), index, score + value, step.state)

    with torch.no_grad():
        follow((), BOS, 0.0, start)
    return sorted(found, key=lambda pair: -pair[1])


@pytest.mark.parametrize("line", ["a b q", "r a a", "c"])
def test_the_best_of_all_sentences_are_found(line: str) -> None:
    best = all_sentences(line)
    (found,) = translate([line], beam_size=400, n_best=5)
    for hypothesis, (words, score) in zip(found.hypotheses, best, strict=False):
        assert tuple(hypothesis.words) == words
        assert hypothesis.score == pytest.approx(score, rel=1e-5)
        assert hypothesis.copying is not None
        assert len(hypothesis.copying) == len(words)
        assert ((hypothesis.copying > 0) & (hypothesis.copying < 1)).all()
    assert {word for words, _ in best for word in words} >= set(line.split())


def test_every_translation_scores_as_a_reference_does() -> None:
    lines = ["a b q", "r a a s t", "c b"]
    translator = Translator(model_of(), VOCABULARIES, TranslatorOptions(max_sent_length=LENGTH, n_best=5))
    sources = [translator.source(line.split()) for line in lines]
    for source, translation in zip(sources, translator.translate(sources, 3), strict=True):
        for hypothesis in translation.hypotheses:
            if len(hypothesis.words) < LENGTH:
                reference = translator.reference(hypothesis.words)
                gold = translator.translate([source], 1, [reference])[0].gold_score
                assert gold == pytest.approx(hypothesis.score, rel=1e-5)
    assert translator.score(sources[:1], [translator.reference(["unheard-of", "q"])], 1)[0] != -math.inf


def test_ids_of_words_that_the_vocabulary_lacks() -> None:
    target = VOCABULARIES.tgt[0]
    sources = [Source(("a", "b", "<unk>", "q", "a")), Source(("b",))]
    assert ExtendedVocabulary.of(target, sources[0].words).extra == ("a", "q")
    translator = Translator(model_of(), VOCABULARIES, TranslatorOptions())
    gold = [translator.reference(["q", "b", "r"]), translator.reference([])]
    batch = translator._ensemble.first.batch(sources, gold)
    assert with_copies(batch, sources, gold, target).copies is not None
    assert batch.copies is not None
    assert batch.copies.target is not None
    assert batch.copies.size == 8
    assert batch.copies.source.tolist() == [[6, 4, 1, 7, 6], [4, PAD, PAD, PAD, PAD]]
    assert batch.copies.target.tolist() == [[7, 4, 1, EOS], [EOS, PAD, PAD, PAD]]
    assert [ExtendedVocabulary(target, ("a", "q")).word(index) for index in (5, 6, 7)] == ["x", "a", "q"]


@pytest.mark.parametrize("suffix", ["txt", "npz"])
def test_files_of_results(suffix: str, tmp_path: Path) -> None:
    attention, beams = tmp_path / f"attention.{suffix}", tmp_path / f"beams.{suffix}"
    options = TranslateOptions(
        model="m",
        src="s",
        output=str(tmp_path / "out"),
        save_attention=str(attention),
        save_beam_to=str(beams),
        max_sent_length=LENGTH,
        beam_size=30,
        n_best=2,
    )
    translator = Translator(model_of(), VOCABULARIES, options)
    sources = [translator.source(line.split()) for line in ("q a", "", "r q b")]
    translations = translator.translate(sources, 2)
    with Results(options, translator) as results:
        for number, (source, translation) in enumerate(zip(sources, translations, strict=True), start=1):
            if translation.hypotheses:
                texts = [" ".join(hypothesis.words) for hypothesis in translation.hypotheses]
                results.translation(number, source, translation, texts)
            else:
                results.empty()
        results.finish()
    tables = [table for table in AttentionTable.read(str(attention)) if table.weights]
    hypotheses = [hypothesis for translation in translations for hypothesis in translation.hypotheses]
    for table, hypothesis in zip(tables, hypotheses, strict=True):
        assert hypothesis.copying is not None
        np.testing.assert_allclose(table.copying, hypothesis.copying, rtol=1e-6)
    assert page(tables, []).count("probability of copying") == 4
    if suffix == "txt":
        certain = "1 ||| x y ||| -0.5000 ||| a b ||| 2 2 ||| 1.000000 0.000000\n0 1\n1 0\n\n"
        nothing = "2 |||  ||| -0.5000 ||| a ||| 1 0 ||| \n\n"
        (tmp_path / "by_hand").write_text(certain + nothing, encoding="utf-8")
        first, second = AttentionTable.read(str(tmp_path / "by_hand"))
        assert (first.source, first.copying) == (["a", "b"], [1, 0])
        assert (second.source, second.weights, second.copying) == (["a"], [], [])
    trees = BeamTree.read(str(beams))
    shown = {word for words in trees[0].words for word in words}
    assert {"q", "a"} <= shown
    assert "r" not in shown
    assert "r" in {word for words in trees[2].words for word in words}
    if suffix == "txt":
        json.loads(beams.read_text(encoding="utf-8"))
        damaged = attention.read_text(encoding="utf-8").replace("\n", " 0.5\n", 1)
        attention.write_text(damaged, encoding="utf-8")
        with pytest.raises(DataError, match=r"line 1: .* probabilities of copying for"):
            AttentionTable.read(str(attention))


def test_what_knows_no_other_words_is_refused(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("b\n", encoding="utf-8")
    with pytest.raises(OptionError, match=r"^-target_subdict is limited to the target vocabulary"):
        translate(["a"], target_subdict=str(words))


def test_constraints_and_limits_go_with_copying() -> None:
    table: Vocabulary = VOCABULARIES.tgt[0]
    found = translate(["q b", "r"], beam_size=5, max_num_unks=0, coverage_norm=0.2, length_norm=0.2)
    assert all("<unk>" not in one.hypotheses[0].words for one in found)
    assert any(word not in table for one in found for word in one.hypotheses[0].words)


def test_one_sentence_or_several_are_the_same() -> None:
    lines = [" ".join(words) for words in itertools.product("ab", "qr", "c")]
    together = translate(lines, n_best=3)
    for line, one in zip(lines, together, strict=True):
        (alone,) = translate([line], n_best=3)
        assert [h.words for h in alone.hypotheses] == [h.words for h in one.hypotheses]
