"""Minimum length, repeated n-grams, `<unk>`: against a list of all sentences that a toy model can make."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.constants import BOS, EOS, UNK
from onmt.decoding.beam_search import Constraints, SearchBatch, beam_search
from onmt.decoding.scoring import ModelScorer
from onmt.decoding.step import Beam, Expansion, SearchSettings, _repeated_ngrams
from onmt.modules.encoding import padding_mask

LENGTHS = [3, 1]
LONGEST = 4
WORDS = 7  # PAD, <unk>, <s>, </s> and three more; the toy model produces all of them


def every_sentence(model, length: int) -> dict[tuple[int, ...], float]:
    """All sequences of ids that a search can visit, with their scores.

    They end with `</s>` or with the word at which the longest length cuts them.
    """
    found: dict[tuple[int, ...], float] = {}
    level = {(): (0.0, model.start(model.encode([length])))}
    for step in range(LONGEST + 1):
        grown = {}
        for words, (score, state) in level.items():
            output = model.step(torch.tensor([[words[-1] if words else BOS]]), state)
            for word, value in enumerate(output.log_probs[0][0].tolist()):
                if word == EOS or step == LONGEST:
                    found[*words, word] = score + value
                else:
                    grown[*words, word] = (score + value, output.state)
        level = grown
    return found


def repeats(words: tuple[int, ...], size: int, repeatable: tuple[int, ...]) -> bool:
    ngrams = [words[place : place + size] for place in range(len(words) - size + 1)]
    counted = [ngram for ngram in ngrams if not set(ngram) & set(repeatable)]
    return len(set(counted)) < len(counted)


def search(model, how: SearchSettings, constraints: Constraints | None = None):
    counts = torch.tensor(LENGTHS)
    slots = how.slots(1 if constraints is None else constraints.levels)
    scorer = ModelScorer(model, model.start(model.encode(LENGTHS)), slots)
    return beam_search(
        scorer, SearchBatch(counts, padding_mask(counts, max(LENGTHS))), how, constraints
    ).paths


CASES = {
    "bigrams": {"block_ngrams": 2},
    "trigrams": {"block_ngrams": 3},
    "each word once": {"block_ngrams": 1},
    "each word once, but two": {"block_ngrams": 1, "repeatable": (0, 5)},
    "bigrams with exceptions": {"block_ngrams": 2, "repeatable": (4, 6)},
    "minimum": {"min_length": 3},
    "no unknowns": {"ban_unknown": True},
    "all": {"block_ngrams": 2, "repeatable": (4,), "min_length": 2, "ban_unknown": True},
}


@pytest.mark.parametrize("finished", ["retire", "stay"])
@pytest.mark.parametrize("name", CASES)
def test_the_best_of_all_sentences_that_are_allowed(name, finished, toy_model) -> None:
    model = toy_model(4, words=WORDS)
    how = SearchSettings(beam_size=4000, n_best=30, max_length=LONGEST, finished=finished, **CASES[name])
    for length, paths in zip(LENGTHS, search(model, how), strict=True):
        allowed = {
            words: score
            for words, score in every_sentence(model, length).items()
            if not (words[-1] == EOS and len(words) - 1 < how.min_length)
            and (words != (EOS,) or finished == "stay")
            and not (how.ban_unknown and UNK in words)
            and not (how.block_ngrams and repeats(words, how.block_ngrams, how.repeatable))
        }
        best = sorted(allowed, key=lambda words: -allowed[words])[: len(paths)]
        assert [tuple(path.tokens) for path in paths] == [words[:-1] for words in best]
        assert [path.score for path in paths] == pytest.approx([allowed[words] for words in best], abs=1e-9)


def test_blocking_that_leaves_no_word_ends_the_hypothesis(toy_model) -> None:
    how = SearchSettings(beam_size=3, block_ngrams=1, max_length=50)
    for [path] in search(toy_model(1, words=WORDS), how):
        assert len(set(path.tokens)) == len(path.tokens) < WORDS


def test_words_that_constraints_ask_for_may_repeat(toy_model) -> None:
    wanted = Constraints(torch.tensor([[5, 5, 6], [6, 0, 0]]), False, torch.zeros(0, dtype=torch.int64))
    how = SearchSettings(beam_size=4, block_ngrams=1, max_length=8, repeatable=(), min_length=2)
    [first], [second] = search(toy_model(2, words=WORDS), how, wanted)
    assert (first.tokens.count(5), first.tokens.count(6)) == (2, 1)
    others = [word for word in first.tokens if word not in (5, 6)]
    assert len(set(others)) == len(others)
    assert 6 in second.tokens
    assert len(second.tokens) >= 2


@given(
    sentences=st.integers(1, 9).flatmap(
        lambda length: st.lists(
            st.lists(st.integers(0, 3), min_size=length, max_size=length), min_size=1, max_size=4
        )
    ),
    size=st.integers(1, 4),
    repeatable=st.sets(st.integers(0, 3), max_size=2),
)
@settings(max_examples=200, deadline=None)
def test_what_would_repeat_is_what_comparing_lists_finds(sentences, size, repeatable) -> None:
    words = torch.tensor(sentences)
    log_probs = torch.zeros(len(words), 6)
    beam = Beam(*(torch.zeros(len(words), 1) for _ in range(4)), None, words=words[:, None] if size else None)
    how = SearchSettings(block_ngrams=size, repeatable=tuple(repeatable))
    ids = torch.tensor(sorted(repeatable)) if repeatable else None
    Expansion(beam, how, step=9).restrict(log_probs, ids)
    for row, sentence in enumerate(sentences):
        before = {tuple(sentence[place : place + size]) for place in range(len(sentence) - size + 1)}
        for word in range(6):
            ngram = (*sentence[len(sentence) - size + 1 :], word)
            blocked = ngram in before and not repeatable & set(ngram)
            assert torch.isneginf(log_probs[row, word]) == blocked


def test_a_word_is_blocked_though_another_ngram_that_it_ends_may_repeat() -> None:
    last, blocked = _repeated_ngrams(torch.tensor([[1, 2, 3, 2, 1]]), 2, None)
    assert list(zip(last[0].tolist(), blocked[0].tolist(), strict=True)) == [
        (2, True),
        (3, False),
        (2, False),
        (1, False),
    ]


def test_nothing_is_done_that_nobody_asks_for() -> None:
    beam = Beam(*(torch.zeros(1, 2) for _ in range(4)), None)
    log_probs = torch.randn(2, 6)
    before = log_probs.clone()
    Expansion(beam, SearchSettings(), 1).restrict(log_probs, None)
    assert torch.equal(log_probs, before)
