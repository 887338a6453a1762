"""The translator on small random models: its results do not depend on the batch."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding import lexicon
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.translator import Translator, _has_case_labels
from onmt.errors import DataError, OptionError
from onmt.models.loading import LoadedModel
from onmt.models.networks import build_model
from onmt.spec.model import PolicySpec

LINES = ["a b c d a b", "", "c", "unknown b", "d d d", "a"]


def translator(make_model, vocabularies, model_flags=None, **options) -> Translator:
    model = make_model(vocabularies, **(model_flags or {}))
    return Translator(model, vocabularies, TranslatorOptions(max_sent_length=8, **options))


def translate(user: Translator, lines=LINES, batch_size=30, golds=None):
    references = None if golds is None else [user.reference(gold.split()) for gold in golds]
    return user.translate([user.source(line.split()) for line in lines], batch_size, references)


def test_results_come_in_order_and_an_empty_line_has_none(make_model, plain_vocabularies):
    user = translator(make_model, plain_vocabularies, n_best=2)
    together = translate(user)
    assert [len(one.hypotheses) for one in together] == [2, 0, 2, 2, 2, 2]
    for batch_size in (1, 2, 4):
        for one, other in zip(translate(user, batch_size=batch_size), together, strict=True):
            for found, expected in zip(one.hypotheses, other.hypotheses, strict=True):
                assert found.words == expected.words
                assert found.score == pytest.approx(expected.score, abs=1e-5)
                np.testing.assert_allclose(found.attention, expected.attention, atol=1e-5)


def test_nothing_in_nothing_out(make_model, plain_vocabularies):
    user = translator(make_model, plain_vocabularies)
    assert user.translate([], 5) == []
    assert [one.hypotheses for one in translate(user, ["", ""])] == [[], []]


def test_attention_has_a_row_per_word_over_the_true_source(make_model, plain_vocabularies):
    for line, one in zip(LINES, translate(translator(make_model, plain_vocabularies)), strict=True):
        for hypothesis in one.hypotheses:
            assert hypothesis.attention.shape == (len(hypothesis.words), len(line.split()))
            np.testing.assert_allclose(hypothesis.attention.sum(axis=1), 1, atol=1e-5)


def test_the_score_of_a_translation_is_its_gold_score(make_model, plain_vocabularies):
    user = translator(make_model, plain_vocabularies)
    found = translate(user)
    golds = [" ".join(one.hypotheses[0].words) if one.hypotheses else "w" for one in found]
    scored = translate(user, golds=golds, batch_size=3)
    for one, again in zip(found, scored, strict=True):
        if one.hypotheses and len(one.hypotheses[0].words) < 8:
            assert again.gold_score == pytest.approx(one.hypotheses[0].score, abs=1e-5)


def test_an_empty_reference_is_scored(make_model, feature_vocabularies):
    user = translator(make_model, feature_vocabularies)
    score = translate(user, ["a￨F"], golds=[""])[0].gold_score
    assert -math.inf < score < 0


@pytest.mark.parametrize("shifted", [True, False])
def test_features_belong_to_the_words_they_were_predicted_for(shifted, make_model, feature_vocabularies):
    """The labels are those that the model predicts when it reads the translation as a reference."""
    user = translator(make_model, feature_vocabularies, {"shifted": shifted})
    model = make_model(feature_vocabularies, shifted=shifted)
    source = user.source(["a￨F", "b￨G", "c￨F"])
    hypothesis = user.translate([source], 1)[0].hypotheses[0]
    assert len(hypothesis.features[0]) == len(hypothesis.words) > 0
    words, labels = feature_vocabularies.tgt
    src = torch.tensor([[[4, 4], [5, 5], [6, 4]]])
    state = model.start(model.encode(src, torch.tensor([3])))
    token, predicted = torch.tensor([[2, 3 if shifted else 2]]), []
    for word in [*hypothesis.words, "</s>"]:
        step = model.step(token, state)
        state, label = step.state, int(step.log_probs[1].argmax())
        predicted.append(labels.word(label))
        token = torch.tensor([[words.id(word), label]])
    assert hypothesis.features[0] == (predicted[1:] if shifted else predicted[:-1])


def test_features_that_the_model_does_not_have_are_refused(
    make_model, plain_vocabularies, feature_vocabularies
):
    with pytest.raises(DataError, match="1 features per word, but the model's source has 0"):
        translator(make_model, plain_vocabularies).source(["a￨F"])
    user = translator(make_model, feature_vocabularies)
    with pytest.raises(DataError, match="0 features per word, but the model's source has 1"):
        user.source(["a"])
    with pytest.raises(DataError, match="an empty feature"):
        user.source(["a￨"])
    with pytest.raises(DataError, match="0 features per word, but the model's target has 1"):
        user.reference(["w"])


def test_only_words_of_the_subdictionary_come(make_model, plain_vocabularies, tmp_path):
    (tmp_path / "words").write_text("x\n")
    user = translator(make_model, plain_vocabularies, target_subdict=str(tmp_path / "words"))
    used = {word for one in translate(user) for found in one.hypotheses for word in found.words}
    assert used <= {"<unk>", "<s>", "x"}


def test_constraints_come_from_table_and_placeholders(make_model, tmp_path):
    (tmp_path / "table").write_text("a ||| x\nb ||| nowhere\n")
    src, tgt = ("a", "b", "｟n｠"), ("w", "x", "｟n｠", "｟m｠")
    vocabularies = Vocabularies(src=(_vocabulary(src),), tgt=(_vocabulary(tgt),))
    user = translator(
        make_model,
        vocabularies,
        lexical_constraints=True,
        placeholder_constraints=True,
        phrase_table=str(tmp_path / "table"),
    )
    both, neither = translate(user, ["a ｟n：Ann％0020Lee｠ b", "b"])
    assert {"x", "Ann Lee"} <= set(both.hypotheses[0].words)
    assert "｟m｠" not in both.hypotheses[0].words
    assert not {"｟n｠", "｟m｠"} & set(neither.hypotheses[0].words)


def test_nothing_is_done_about_words_unless_an_option_asks_for_it(make_model, plain_vocabularies):
    called = []

    def note(frame, event, _argument) -> None:
        if event == "call" and frame.f_code.co_filename == lexicon.__file__:
            called.append(frame.f_code.co_name)

    def calls(**options: object) -> list[str]:
        called.clear()
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            translate(translator(make_model, plain_vocabularies, **options))
        finally:
            sys.setprofile(before)
        return called

    assert calls() == []
    assert "replace_unknown" in calls(replace_unk=True)


def test_labels_of_case() -> None:
    assert _has_case_labels(_vocabulary(["C", "L", "N"]))
    assert not _has_case_labels(_vocabulary(["C", "NOUN"]))


def test_unknown_words_are_replaced(make_model, plain_vocabularies, tmp_path):
    plain = translate(translator(make_model, plain_vocabularies, target_subdict=_only_unknown(tmp_path)))
    found = translate(
        translator(make_model, plain_vocabularies, target_subdict=_only_unknown(tmp_path), replace_unk=True)
    )
    for line, before, after in zip(LINES, plain, found, strict=True):
        if before.hypotheses:
            attended = before.hypotheses[0].attention.argmax(axis=1)
            expected = [
                line.split()[place] if word == "<unk>" else word
                for word, place in zip(before.hypotheses[0].words, attended, strict=True)
            ]
            assert after.hypotheses[0].words == expected
    assert any(
        set(line.split()) & set(one.hypotheses[0].words)
        for line, one in zip(LINES, found, strict=True)
        if line
    )


def test_replacing_needs_attention(make_model, plain_vocabularies):
    with pytest.raises(OptionError, match="needs a model with attention"):
        translator(make_model, plain_vocabularies, {"attention": "none"}, replace_unk=True)


@pytest.mark.parametrize("options", [{"replace_unk": True}, {"placeholder_constraints": True}])
def test_what_needs_source_words_is_refused_for_vectors(options, make_model):
    vocabularies = Vocabularies(src=(), tgt=(_vocabulary(("w", "x")),), src_vector_size=3)
    with pytest.raises(OptionError, match="does not read words"):
        translator(make_model, vocabularies, **options)


def test_a_language_model_must_be_one_and_know_the_words(make_model, plain_vocabularies):
    model = make_model(plain_vocabularies)
    other = LoadedModel("lm.pt", model, plain_vocabularies, {}, "monotext")
    with pytest.raises(OptionError, match=r"-lm_model lm\.pt: this is a seq2seq model"):
        Translator(model, plain_vocabularies, TranslatorOptions(), other)


def test_vectors(make_model):
    vocabularies = Vocabularies(src=(), tgt=(_vocabulary(("w", "x")),), src_vector_size=3)
    user = translator(make_model, vocabularies)
    assert user.reads_vectors
    generator = np.random.default_rng(1)
    matrices = [generator.normal(size=(n, 3)).astype(np.float32) for n in (4, 1)]
    sources = [user.source_vectors(matrix) for matrix in [*matrices, np.zeros((0, 0), dtype=np.float32)]]
    together, alone = user.translate(sources, 5), user.translate(sources[:1], 5)
    assert together[0].hypotheses[0].words == alone[0].hypotheses[0].words
    assert together[0].hypotheses[0].score == pytest.approx(alone[0].hypotheses[0].score, abs=1e-5)
    assert together[2].hypotheses == []
    with pytest.raises(DataError, match="vectors of 2 numbers, but the model reads 3"):
        user.source_vectors(np.zeros((4, 2), dtype=np.float32))


def test_a_source_read_backwards_cut_and_with_an_end_is_attended_as_it_was_given(
    make_model, plain_vocabularies
):
    policies = PolicySpec(
        finished="stay",
        length_penalty="words",
        source_end_symbol=True,
        source_reverse=True,
        source_limit=5,
    )
    model = build_model(replace(make_model(plain_vocabularies).spec, policies=policies))
    model.initialise(1.0, torch.Generator().manual_seed(7))
    user = Translator(
        model,
        plain_vocabularies,
        TranslatorOptions(max_sent_length=6, coverage_norm=0.1, length_norm=0.5, n_best=2),
    )
    together, alone = translate(user), translate(user, batch_size=1)
    for line, one, other in zip(LINES, together, alone, strict=True):
        for found, expected in zip(one.hypotheses, other.hypotheses, strict=True):
            assert found.words == expected.words
            assert found.score == pytest.approx(expected.score, abs=1e-5)
            assert found.attention.shape == (len(found.words), min(len(line.split()), 5))
            np.testing.assert_allclose(found.attention, expected.attention, atol=1e-5)
            # What is missing to 1 went to the end symbol.
            assert (found.attention.sum(axis=1) < 1 + 1e-6).all()


def test_encodings_are_the_last_state_of_each_sentence(make_model, plain_vocabularies):
    user = translator(make_model, plain_vocabularies)
    sources = [user.source(line.split()) for line in LINES]
    together, alone = user.encode(sources, 30), user.encode(sources, 1)
    assert together[1] is None
    for one, other in zip(together, alone, strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, atol=1e-6)


def _vocabulary(words):
    return Vocabulary([*SPECIAL_WORDS, *words])


def _only_unknown(tmp_path) -> str:
    (tmp_path / "none").write_text("")
    return str(tmp_path / "none")
