"""Corpus scores agree with values computed by hand and with sacrebleu."""

import math

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import DataError
from onmt.scorers import SCORERS, corpus_bleu, corpus_dlratio, corpus_ter, sentence_score


def words(*lines: str) -> list[list[str]]:
    return [line.split() for line in lines]


def test_bleu_by_hand() -> None:
    """Matches: 5 of 6 unigrams, 3 of 5 bigrams, 2 of 4 trigrams, 1 of 3 4-grams; lengths: 6 against 7."""
    score = corpus_bleu(words("the cat sat on a mat"), [words("the cat sat on the mat now")])
    assert score.precisions == pytest.approx((5 / 6, 3 / 5, 2 / 4, 1 / 3))
    assert score.brevity_penalty == pytest.approx(math.exp(1 - 7 / 6))
    expected = math.exp(1 - 7 / 6) * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert score.value == pytest.approx(expected)
    assert score.detail == (
        f"BLEU = {100 * expected:.2f}, 83.3/60.0/50.0/33.3 (BP=0.846, ratio=0.857, hyp_len=6, ref_len=7)"
    )


def test_bleu_clips_by_the_best_reference() -> None:
    score = corpus_bleu(words("the the the"), [words("the the cat"), words("a the b")], order=1)
    assert score.precisions == pytest.approx((2 / 3,))


def test_bleu_takes_the_closest_length_and_of_two_the_shorter() -> None:
    score = corpus_bleu(words("a b c"), [words("a b c d"), words("a b"), words("a b c d e f")])
    assert score.reference_length == 2


def test_bleu_is_not_smoothed() -> None:
    score = corpus_bleu(words("a b c d"), [words("a b x d")])
    assert score.value == 0
    assert score.detail.startswith("BLEU = 0.00, 75.0/33.3/0.0/0.0 (BP=1.000")


def test_empty_sentences() -> None:
    assert corpus_bleu(words("", ""), [words("a b", "c")]).value == 0
    assert corpus_bleu(words("a"), [words("")]).value == 0
    assert corpus_bleu([], [[]]).value == 0
    assert corpus_ter(words("", "b"), [words("a b", "b")]).value == pytest.approx(2 / 3)
    assert corpus_ter(words("", "a"), [words("", "")]).value == 1
    assert corpus_ter([], [[]]).value == 0
    assert corpus_dlratio(words("", "b"), [words("ab c", "b")]).value == pytest.approx(4 / 5)
    assert corpus_dlratio(words("a"), [words("")]).value == 1


sentence = st.lists(st.sampled_from("abcde"), max_size=9)


@given(st.lists(st.tuples(sentence, sentence, sentence), min_size=1, max_size=5))
def test_bleu_equals_sacrebleu_without_its_tokenizer(
    rows: list[tuple[list[str], list[str], list[str]]],
) -> None:
    hypotheses, *references = ([row[i] for row in rows] for i in range(3))
    streams = [[" ".join(line) for line in side] for side in (hypotheses, *references)]
    # sacrebleu treats an empty reference as missing
    if all(all(line for line in side) for side in streams[1:]):
        metric = sacrebleu.BLEU(tokenize="none", smooth_method="none", force=True)
        expected = metric.corpus_score(streams[0], streams[1:]).score
        assert 100 * corpus_bleu(hypotheses, references).value == pytest.approx(expected)


def test_ter_by_hand() -> None:
    score = corpus_ter(words("c d a b", "a x"), [words("a b c d", "a b c")])
    assert score.value == pytest.approx(3 / 7)
    # Edits of each sentence, weighted by the length of its reference: 1 deletion and 1 substitution with 3/7,
    # 1 shift of 2 words with 4/7.
    assert score.detail == "TER = 42.86 (Ins 0.0, Del 0.4, Sub 0.4, Shft 0.6, WdSh 1.1)"


def test_ter_takes_the_best_reference_and_the_average_length() -> None:
    score = corpus_ter(words("a b c"), [words("a b x y z"), words("a b d")])
    assert score.value == pytest.approx(1 / 4)


def test_dlratio_by_hand() -> None:
    """ab -> ba is one transposition; ca -> abc takes 3 edits, as no place is edited twice; é is two bytes."""
    assert corpus_dlratio(words("a b c"), [words("b a c")]).value == pytest.approx(2 / 5)
    assert corpus_dlratio(words("abcd"), [words("abdc")]).value == pytest.approx(1 / 4)
    assert corpus_dlratio(words("ca"), [words("abc")]).value == pytest.approx(3 / 3)
    score = corpus_dlratio(words("é"), [words("ea")])
    assert score.detail == "DLratio = 1.0000 (distance=2, ref_bytes=2)"


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_numbers_of_sentences_must_agree(name: str) -> None:
    with pytest.raises(DataError, match="there are 1 hypotheses, but reference 1 has 2 lines"):
        SCORERS[name](words("a"), [words("a", "b")])
    with pytest.raises(DataError, match="no reference"):
        SCORERS[name](words("a"), [])


def test_one_sentence() -> None:
    assert sentence_score(corpus_ter, ["a"], [["a", "b"], ["a"]]).value == 0
