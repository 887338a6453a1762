"""Ensembles: averages against numpy, searches against a plain one, models that do not fit together."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.beam_search import SearchBatch, beam_search
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.scoring import Average, EnsembleScorer, Fillers, ModelScorer
from onmt.decoding.step import SearchSettings
from onmt.decoding.translator import Translator
from onmt.errors import OptionError
from onmt.models.base import Step
from onmt.models.loading import LoadedModel
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import build_model
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions
from onmt.modules.decoder import DecoderState
from onmt.modules.encoding import padding_mask
from onmt.spec.model import PolicySpec

LENGTHS = [3, 1, 5, 2]
LINES = ["a b c d a b", "", "c", "unknown b", "d d d", "a"]
AVERAGES: tuple[Average, ...] = ("mean", "log_mean")


def combined(log_probs: list[np.ndarray], average: Average) -> np.ndarray:
    """The average of M models by its definition."""
    if average == "mean":
        return np.log(np.mean([np.exp(one) for one in log_probs], axis=0))
    return np.mean(log_probs, axis=0)


class AveragingModel:
    """Toy models as one model whose step is averaged by numpy; its state holds all of theirs."""

    def __init__(self, models, average: Average) -> None:
        self.models, self.average = models, average
        self.encode = models[0].encode

    def start(self, encoding) -> DecoderState:
        states = [model.start(encoding) for model in self.models]
        return replace(states[0], hidden=tuple(state.hidden[0] for state in states))

    def step(self, tokens, state) -> Step:
        steps = [
            model.step(tokens, replace(state, hidden=(hidden,)))
            for model, hidden in zip(self.models, state.hidden, strict=True)
        ]
        outputs = zip(*(step.log_probs for step in steps), strict=True)
        return Step(
            tuple(torch.from_numpy(combined([one.numpy() for one in of], self.average)) for of in outputs),
            torch.from_numpy(np.mean([step.attention.numpy() for step in steps], axis=0)),
            replace(state, hidden=tuple(step.state.hidden[0] for step in steps)),
        )


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("beam_size", [1, 4])
def test_the_search_of_one_model_that_averages(average, beam_size, toy_model, plain_search) -> None:
    models = [toy_model(seed, labels=(5,)) for seed in range(3)]
    how = SearchSettings(
        beam_size=beam_size, n_best=min(2, beam_size), max_length=8, coverage_norm=0.2, length_norm=0.4
    )
    scorers = [ModelScorer(model, model.start(models[0].encode(LENGTHS)), how.beam_size) for model in models]
    counts = torch.tensor(LENGTHS)
    found = beam_search(
        EnsembleScorer(scorers, average, (0, 1, 2)),
        SearchBatch(counts, padding_mask(counts, max(LENGTHS)), (2,)),
        how,
    ).paths
    for length, paths in zip(LENGTHS, found, strict=True):
        expected = plain_search(AveragingModel(models, average), length, how, (2,))
        for path, wanted in zip(paths, expected, strict=True):
            assert path.score == pytest.approx(wanted.rank, abs=1e-9)
            if wanted.rank > -np.inf:
                assert path.tokens == wanted.tokens[1:-1]
                assert path.features == wanted.labels[1:]
                np.testing.assert_allclose(path.attention, wanted.attention[:-1], atol=1e-12)


def vocabulary(*words: str) -> Vocabulary:
    return Vocabulary([*SPECIAL_WORDS, *words])


TARGET = vocabulary("w", "x", "y", "z")
SOURCES = (vocabulary("a", "b", "c", "d"), vocabulary("d", "c", "q"), vocabulary("a", "b", "c"))
FLAGS = ({"encoder_type": "brnn"}, {"encoder_type": "pdbrnn", "layers": 2}, {"attention": "none"})


@pytest.fixture
def loaded() -> Callable[..., LoadedModel]:
    """A model file of our own source vocabulary, encoder and weights."""

    def load(number: int, target: Vocabulary = TARGET, **flags) -> LoadedModel:
        vocabularies = Vocabularies(src=(SOURCES[number],), tgt=(target,))
        model = build_model(spec_of(vocabularies, {**FLAGS[number], **flags}))
        model.initialise(1.0, torch.Generator().manual_seed(20 + number))
        return LoadedModel(f"{number}.pt", model, vocabularies, {}, "bitext")

    return load


def spec_of(vocabularies, flags):
    options = Seq2SeqModelOptions(**{"layers": 1, "rnn_size": 8, "word_vec_size": 4, **flags})
    return spec_from_options(options, DataSizes(src=(len(vocabularies.src[0]),), tgt=(len(TARGET),)))


def ensemble_of(models, average: Average = "mean", language_model=None, invariant=False, **options):
    first, *others = models
    how = TranslatorOptions(**{"max_sent_length": 8, **options})
    return Translator(
        first.model, first.vocabularies, how, language_model, invariant, others=others, average=average
    )


def translate(user: Translator, batch_size: int = 30, golds=None):
    references = None if golds is None else [user.reference(gold.split()) for gold in golds]
    sources = [
        replace(user.source(line.split()), number=number) for number, line in enumerate(LINES, start=1)
    ]
    return user.translate(sources, batch_size, references)


@pytest.mark.parametrize("average", AVERAGES)
def test_gold_scores_are_sums_of_averages(average, loaded) -> None:
    models = [loaded(number) for number in range(3)]
    golds = ["x y", "w", "", "z z z unknown", "w", "y"]
    found = translate(ensemble_of(models, average), golds=golds)
    users = [ensemble_of([model]) for model in models]
    for line, gold, one in zip(LINES, golds, found, strict=True):
        if not line:
            continue
        words = []
        for user, model in zip(users, models, strict=True):
            batch = user._ensemble.batches(
                [user.source(line.split())], [user.reference(gold.split())]
            )  # one sentence
            with torch.no_grad():
                words.append(model.model.word_scores(batch[0])[0].numpy())
        assert one.gold_score == pytest.approx(combined(words, average).sum(), abs=1e-6)


@pytest.mark.parametrize("average", AVERAGES)
def test_the_score_of_a_translation_is_its_gold_score(average, loaded) -> None:
    user = ensemble_of([loaded(number) for number in range(3)], average, n_best=2)
    found = translate(user)
    golds = [" ".join(one.hypotheses[0].words) if one.hypotheses else "w" for one in found]
    for one, again in zip(found, translate(user, golds=golds), strict=True):
        if one.hypotheses and 0 < len(one.hypotheses[0].words) < 8:
            assert again.gold_score == pytest.approx(one.hypotheses[0].score, abs=1e-5)


def test_two_equal_models_are_one(loaded) -> None:
    for average in AVERAGES:
        alone = translate(ensemble_of([loaded(0)], n_best=3))
        twice = translate(ensemble_of([loaded(0), loaded(0)], average, n_best=3))
        for one, other in zip(alone, twice, strict=True):
            for mine, yours in zip(one.hypotheses, other.hypotheses, strict=True):
                assert mine.words == yours.words
                assert mine.score == pytest.approx(yours.score, abs=1e-5)
                np.testing.assert_allclose(mine.attention, yours.attention, atol=1e-6)


def test_attention_is_that_of_models_over_the_same_positions(loaded) -> None:
    brnn, pyramid, without = (loaded(number) for number in range(3))
    for models in ([brnn, pyramid, without], [pyramid, brnn], [without, brnn]):
        user = ensemble_of(models)
        assert user.attends
        for line, one in zip(LINES, translate(user), strict=True):
            for found in one.hypotheses:
                assert found.attention.shape == (len(found.words), len(line.split()))
    assert not ensemble_of([without]).attends
    assert ensemble_of([pyramid, without]).attends


@pytest.mark.parametrize("place", [0, 1])
def test_a_model_that_reads_backwards_beside_one_that_reads_forwards(place, loaded) -> None:
    """google/seq2seq's dialect beside OpenNMT's: the first model determines how to search."""
    policies = PolicySpec(
        finished="stay",
        length_penalty="words",
        source_end_symbol=True,
        source_reverse=True,
        source_limit=5,
    )
    model = build_model(replace(loaded(1, encoder_type="brnn").spec, policies=policies))
    model.initialise(1.0, torch.Generator().manual_seed(4))
    backwards = replace(loaded(1), model=model)
    models = [loaded(0), backwards]
    user = ensemble_of([models[place], models[1 - place]], n_best=2, coverage_norm=0.1)
    for batch_size in (1, 2):
        for line, one, other in zip(LINES, translate(user), translate(user, batch_size), strict=True):
            for mine, yours in zip(one.hypotheses, other.hypotheses, strict=True):
                assert mine.words == yours.words
                assert mine.score == pytest.approx(yours.score, abs=1e-5)
                assert mine.attention.shape == (len(mine.words), len(line.split()))
                np.testing.assert_allclose(mine.attention, yours.attention, atol=1e-5)
                assert (mine.attention[:, 5:] > 0).all()  # where only the forward one looks


HOW = {
    "greedy": {"beam_size": 1},
    "beam": {"beam_size": 4, "n_best": 4},
    "samples": {"beam_size": 1, "n_best": 3, "random_sampling_topk": -1, "random_sampling_temp": 1.3},
    "nucleus": {"beam_size": 1, "top_p": 0.9},
    "restricted": {"block_ngram_repeat": 1, "min_length": 2, "ban_unk": True},
    "repeatable": {"block_ngram_repeat": 1, "ignore_when_blocking": ("x", "y")},
    "constraints": {"lexical_constraints": True, "phrase_table": "table", "block_ngram_repeat": 1},
    "subset": {"target_subdict": "subset", "replace_unk": True},
}


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table").write_text("a ||| x\nd ||| z\n")
    (tmp_path / "subset").write_text("x\ny\n")
    return


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("how", HOW)
def test_the_batch_changes_nothing(how, count, loaded) -> None:
    models = [loaded(number) for number in range(count)]
    user = ensemble_of(models, "mean", language_model(), invariant=True, **HOW[how])
    together = translate(user)
    for batch_size in (1, 2):
        for one, other in zip(together, translate(user, batch_size), strict=True):
            for mine, yours in zip(one.hypotheses, other.hypotheses, strict=True):
                assert (mine.words, mine.score) == (yours.words, yours.score)
                assert np.array_equal(mine.attention, yours.attention)


def test_a_language_model_may_be_smaller_than_the_models(loaded) -> None:
    """The size of its products determines how many fillers the batch needs."""
    model = loaded(0, rnn_size=128, word_vec_size=128, encoder_type="rnn")
    user = ensemble_of([model], "mean", language_model(), invariant=True, beam_size=1)
    wanted = Fillers.of([language_model().model])
    assert user._ensemble._fillers == wanted
    assert wanted.count > Fillers.of([model.model]).count
    for one, other in zip(translate(user), translate(user, 1), strict=True):
        assert [found.score for found in one.hypotheses] == [found.score for found in other.hypotheses]


def language_model() -> LoadedModel:
    options = LanguageModelOptions(layers=1, rnn_size=8, word_vec_size=(4,))
    model = build_model(spec_from_options(options, DataSizes(src=(len(TARGET),), tgt=())))
    model.initialise(1.0, torch.Generator().manual_seed(2))
    return LoadedModel("lm.pt", model, Vocabularies((TARGET,), ()), {}, "monotext")


def test_constraints_and_restrictions_hold(loaded) -> None:
    models = [loaded(number) for number in range(3)]
    for one in translate(ensemble_of(models, **HOW["constraints"]))[:1]:
        words = one.hypotheses[0].words
        assert words.count("x") == 2  # a comes twice
        assert "z" in words
    for one in translate(ensemble_of(models, **HOW["subset"])):
        for found in one.hypotheses:
            assert {"w", "z"} & set(found.words) == set()


def test_samples_depend_on_seed_and_number_only(loaded) -> None:
    models = [loaded(0), loaded(1)]
    sampling = {"beam_size": 1, "random_sampling_topk": -1}
    first, again, other = (translate(ensemble_of(models, seed=seed, **sampling)) for seed in (1, 1, 2))
    texts = [[one.hypotheses[0].words for one in found if one.hypotheses] for found in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    user = ensemble_of(models, seed=1, **sampling)
    alone = user.translate([replace(user.source(["d", "d", "d"]), number=5)], 1)
    assert alone[0].hypotheses[0].words == first[4].hypotheses[0].words


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": vocabulary("w", "x", "z", "y")}, "its target vocabulary is not that of the first model"),
        ({"target": "features"}, "its target has 1 features, but the first model's 0"),
        ({"source": "features"}, "it reads words with 1 features, but the first model words with 0 features"),
        ({"source": "vectors"}, "it reads vectors of 3 numbers, but the first model words with 0 features"),
        ({"kind": "lm"}, "this is a lm model"),
    ],
)
def test_models_that_do_not_fit_are_refused(change, message, loaded) -> None:
    other = loaded(1, change["target"]) if isinstance(change.get("target"), Vocabulary) else loaded(1)
    featured = (TARGET, vocabulary("F"))
    if change.get("target") == "features":
        other = replace(other, vocabularies=Vocabularies(SOURCES[:1], featured))
    if change.get("source") == "features":
        other = replace(other, vocabularies=Vocabularies(featured, (TARGET,)))
    if change.get("source") == "vectors":
        other = replace(other, vocabularies=Vocabularies((), (TARGET,), 3))
    if change.get("kind") == "lm":
        other = replace(language_model(), path="1.pt")
    with pytest.raises(OptionError, match=f"-model 1.pt: {message}"):
        ensemble_of([loaded(0), other])


def test_exceptions_to_blocking_are_words_of_the_model(loaded) -> None:
    with pytest.raises(OptionError, match="-ignore_when_blocking q: the target vocabulary has no such word"):
        ensemble_of([loaded(0)], block_ngram_repeat=2, ignore_when_blocking=("x", "q"))
