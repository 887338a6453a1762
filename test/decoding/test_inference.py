"""Language models and taggers against the same computed by hand, whatever the batch."""

import itertools

import numpy as np
import pytest
import torch

from onmt.constants import BOS, EOS, SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.inference import LanguageModelRunner, TaggerRunner, _SamplingSettings
from onmt.decoding.inputs import Reference, Source
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import build_model
from onmt.models.options import LanguageModelOptions, TaggerOptions

LABELS = Vocabulary([*SPECIAL_WORDS, "P", "Q"])
WORDS = Vocabulary([*SPECIAL_WORDS, "a", "b", "c"])
LINES = ["a b c a", "", "b", "c nothing a", "a a a a a"]


def language_model(features: bool, shifted: bool = True):
    vocabularies = Vocabularies(src=(WORDS, LABELS) if features else (WORDS,), tgt=())
    sizes = DataSizes(src=tuple(map(len, vocabularies.src)), tgt=(), features_shifted=shifted)
    options = LanguageModelOptions(layers=2, rnn_size=6, word_vec_size=(5,))
    model = build_model(spec_from_options(options, sizes))
    model.initialise(1.0, torch.Generator().manual_seed(3))
    return LanguageModelRunner(model, vocabularies), model, vocabularies


def with_labels(line: str) -> str:
    return " ".join(
        f"{word}￨{label}" for word, label in zip(line.split(), itertools.cycle("PQ"), strict=False)
    )


def read(lines, vocabularies):
    return [Source.of(line.split(), vocabularies.src) for line in lines]


@torch.no_grad()
def score_by_hand(model, words: list[int], labels: list[int] | None, shifted: bool) -> float:
    """Sum over w1..wn and their labels, read one after the other, divided by n + 1."""
    state, total = model.start(1), 0.0
    rows = [[word] for word in [BOS, *words]]
    if labels is not None:
        marks = [EOS, BOS, *labels[:-1]] if shifted else [BOS, *labels]
        rows = [[*row, mark] for row, mark in zip(rows, marks, strict=True)]
    for previous, following in itertools.pairwise(rows):
        step = model.step(torch.tensor([previous]), state)
        state = step.state
        total -= sum(float(step.log_probs[j][0, i]) for j, i in enumerate(following))
    return total / len(rows)


@pytest.mark.parametrize("batch_size", [1, 3, 30])
@pytest.mark.parametrize(("features", "shifted"), [(False, True), (True, True), (True, False)])
def test_scores(features, shifted, batch_size):
    user, model, vocabularies = language_model(features, shifted)
    lines = list(map(with_labels, LINES)) if features else LINES
    scores = user.score(read(lines, vocabularies), batch_size)
    for line, score in zip(LINES, scores, strict=True):
        words = WORDS.ids(line.split())
        labels = LABELS.ids(list("PQPQPQ")[: len(words)]) if features else None
        expected = score_by_hand(model, words, labels, shifted) if words else 0.0
        assert score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("features", [False, True])
def test_samples_do_not_depend_on_the_batch(features):
    user, _, vocabularies = language_model(features)
    sources = read(map(with_labels, LINES) if features else LINES, vocabularies)
    settings = _SamplingSettings(max_length=7, seed=1)
    together = user.sample(sources, 0, 30, settings)
    alone = [user.sample([source], place, 1, settings)[0] for place, source in enumerate(sources)]
    assert together == alone == user.sample(sources, 0, 2, settings)
    assert together != user.sample(sources, 0, 30, _SamplingSettings(max_length=7, seed=2))
    for source, sample in zip(sources, together, strict=True):
        assert sample.words[: len(source)] == source.words
        assert len(source) <= len(sample.words) <= 7
        assert all(len(labels) == len(sample.words) for labels in sample.features)
        assert len(sample.features) == features


def test_what_is_given_is_never_cut():
    user, _, vocabularies = language_model(False)
    long, short = user.sample(read(LINES[:2], vocabularies), 0, 2, _SamplingSettings(max_length=2))
    assert long.words == ("a", "b", "c", "a")
    assert len(short.words) <= 2


def test_a_low_temperature_gives_the_likeliest_words():
    user, model, vocabularies = language_model(False)
    sample = user.sample(read(["b"], vocabularies), 0, 1, _SamplingSettings(max_length=6, temperature=1e-4))[
        0
    ]
    state, expected, token = model.start(1), [], BOS
    for given in (WORDS.id("b"), None, None, None, None, None):
        step = model.step(torch.tensor([[token]]), state)
        state, token = step.state, given or int(step.log_probs[0].argmax())
        if token == EOS:
            break
        expected.append(WORDS.word(token))
    assert list(sample.words) == expected


def test_words_are_drawn_as_often_as_they_are_likely():
    user, model, vocabularies = language_model(False)
    samples = user.sample(read([""] * 2000, vocabularies), 0, 500, _SamplingSettings(max_length=1))
    first = [sample.words[0] if sample.words else "</s>" for sample in samples]
    log_probs = model.step(torch.tensor([[BOS]]), model.start(1)).log_probs[0][0]
    for word, log_prob in zip(WORDS.words, log_probs.tolist(), strict=True):
        assert first.count(word) / 2000 == pytest.approx(np.exp(log_prob), abs=0.04)


def tagger(loglikelihood: str = "word"):
    vocabularies = Vocabularies(src=(WORDS,), tgt=(Vocabulary([*SPECIAL_WORDS, "X", "Y", "Z"]), LABELS))
    if loglikelihood == "sentence":
        vocabularies = Vocabularies(src=(WORDS,), tgt=vocabularies.tgt[:1])
    sizes = DataSizes(src=(len(WORDS),), tgt=tuple(map(len, vocabularies.tgt)))
    options = TaggerOptions(
        layers=1, rnn_size=6, word_vec_size=(5,), encoder_type="brnn", loglikelihood=loglikelihood
    )
    model = build_model(spec_from_options(options, sizes))
    model.initialise(1.0, torch.Generator().manual_seed(3))
    return TaggerRunner(model, vocabularies), model, vocabularies


@pytest.mark.parametrize("loglikelihood", ["word", "sentence"])
def test_tags_and_their_losses_do_not_depend_on_the_batch(loglikelihood):
    user, _, vocabularies = tagger(loglikelihood)
    sources = read(LINES, vocabularies)
    together, alone = user.tag(sources, 30), user.tag(sources, 1)
    assert together == alone
    assert [len(tags.words) for tags in together] == [len(source) for source in sources]
    tokens = [[f"{word}￨P" if loglikelihood == "word" else word for word in tags.words] for tags in together]
    references = [Reference.of(one, vocabularies.tgt) for one in tokens]
    losses = user.losses(sources, references, 30)
    assert losses == pytest.approx(user.losses(sources, references, 1), abs=1e-4)
    assert losses[1] == 0


def test_each_tag_is_the_likeliest():
    user, model, vocabularies = tagger()
    sources = read(["a b c"], vocabularies)
    log_probs = model.log_probs(torch.tensor([[[4], [5], [6]]]), torch.tensor([3]))
    tags = user.tag(sources, 1)[0]
    expected = [[int(row.argmax()) for row in scores[0]] for scores in log_probs]
    assert [vocabularies.tgt[0].id(word) for word in tags.words] == expected[0]
    assert [LABELS.id(label) for label in tags.features[0]] == expected[1]
