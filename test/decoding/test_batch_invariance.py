"""Scores and attention are the same to the last bit in whatever batch."""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import pytest
import torch

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.decoding.inputs import Source
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.scoring import Fillers, _Scores
from onmt.decoding.translator import Translator
from onmt.kernels.products import Products, library, multiply_with, use_library
from onmt.models.lua import DataSizes, spec_from_options, with_copying, with_coverage
from onmt.models.networks import build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.spec.model import ModelSpec

WORDS = "abcdefghij"
VOCABULARY = Vocabulary([*SPECIAL_WORDS, *WORDS])
SIZES = DataSizes(src=(len(VOCABULARY),), tgt=(len(VOCABULARY),), src_vector_size=0)


@pytest.fixture(params=["MKL", "oneDNN"])
def _library(request: pytest.FixtureRequest) -> Iterator[None]:
    before = library()
    if not use_library(request.param):
        pytest.skip(f"{request.param} would not be exact here")
    yield
    use_library(before)


def translator_of(
    model_options: Seq2SeqModelOptions,
    options: TranslatorOptions,
    extend: Callable[[ModelSpec], ModelSpec] | None = None,
) -> Translator:
    spec = spec_from_options(model_options, SIZES)
    model = build_model(spec if extend is None else extend(spec))
    model.initialise(0.3, torch.Generator().manual_seed(3))
    model.use_vocabularies(Vocabularies((VOCABULARY,), (VOCABULARY,)))
    multiply_with(model, Products(frozen=True))
    return Translator(model, Vocabularies((VOCABULARY,), (VOCABULARY,)), options, batch_invariant=True)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("beam_size", [1, 5])
@pytest.mark.parametrize(
    "model_options",
    [
        Seq2SeqModelOptions(encoder_type=encoder, layers=2, rnn_size=40, word_vec_size=24, rnn_type=cell)
        for encoder, cell in [
            *itertools.product(("rnn", "brnn"), ("LSTM", "GRU")),
            ("dbrnn", "LSTM"),
            ("pdbrnn", "LSTM"),
            ("gnmt", "LSTM"),
        ]
    ]
    + [
        Seq2SeqModelOptions(
            encoder_type="cnn", cnn_size=40, rnn_size=40, word_vec_size=40, layers=1, rnn_type="GRU"
        )
    ],
    ids=lambda options: f"{options.encoder_type}-{options.rnn_type}",
)
def test_neighbours_change_nothing(model_options: Seq2SeqModelOptions, beam_size: int) -> None:
    options = TranslatorOptions(beam_size=beam_size, n_best=beam_size, max_sent_length=12)
    check_invariance(translator_of(model_options, options))


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("extend", [with_coverage, with_copying])
@pytest.mark.parametrize("kind", ["general", "concat"])
def test_neither_with_coverage_or_copying(
    kind: Literal["general", "concat"], extend: Callable[[ModelSpec], ModelSpec]
) -> None:
    options = TranslatorOptions(beam_size=4, n_best=4, max_sent_length=12)
    model_options = Seq2SeqModelOptions(layers=2, rnn_size=40, word_vec_size=24, global_attention=kind)
    check_invariance(translator_of(model_options, options, extend), WORDS + "klm")


def check_invariance(translator: Translator, words: str = WORDS) -> None:
    draw = random.Random(8)
    lines = [draw.choices(words, k=length) for length in (1, 2, 7, 15, 16, 21, 33)]
    sources = [translator.source(line) for line in lines]
    alone = [translator.translate([source], 1)[0] for source in sources]
    for batch_size in (3, 7):
        for one, other in zip(alone, translator.translate(sources, batch_size), strict=True):
            for mine, yours in zip(one.hypotheses, other.hypotheses, strict=True):
                assert (mine.words, mine.score) == (yours.words, yours.score)
                assert mine.attention is not None
                assert yours.attention is not None
                assert np.array_equal(mine.attention, yours.attention)


def test_fillers_are_longer_than_what_they_fill() -> None:
    sources = [Source(("a",)), Source(tuple("abc" * 6), (tuple("xyz" * 6),))]
    filled = Fillers(3).append_to(sources)
    assert filled[:2] == sources
    assert [len(filler) for filler in filled[2:]] == [32] * 3
    assert len(filled[2].features[0]) == 32
    vectors = Fillers(3).append_to([Source(vectors=np.ones((16, 2), dtype=np.float32))])
    assert vectors[1].vectors is not None
    assert vectors[1].vectors.shape == (32, 2)


class Recorder:
    """A scorer of one word whose scores are the tokens that it reads."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.kept: list[int] = []
        self.read = torch.zeros(0)

    def step(self, tokens: torch.Tensor) -> _Scores:
        self.read = tokens
        return _Scores(tokens.double(), tokens[:, 1:], None)

    def reorder(self, rows: torch.Tensor) -> None:
        self.rows = rows.tolist()

    def keep(self, sentences: torch.Tensor) -> None:
        self.kept = sentences.tolist()


def test_the_search_ends_in_copies_of_its_last_sentence() -> None:
    inner = Recorder()
    scorer = Fillers(3).wrap(inner, beam=2)
    tokens = torch.tensor([[1], [2], [3], [4]])
    assert scorer.step(tokens).log_probs.flatten().tolist() == [1, 2, 3, 4]
    assert inner.read.flatten().tolist() == [1, 2, 3, 4, 3, 4, 3, 4, 3, 4]
    scorer.reorder(torch.tensor([1, 0, 3, 3]))
    assert inner.rows == [1, 0, 3, 3, 4, 5, 6, 7, 8, 9]
    scorer.keep(torch.tensor([1]))
    assert inner.kept == [1, 1, 1, 1]
    assert len(scorer.step(tokens[2:]).log_probs) == 2
    assert Fillers(3).repeat_last(torch.arange(2)).tolist() == [0, 1, 1, 1, 1]
