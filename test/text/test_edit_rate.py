"""The translation edit rate of sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.lib_ter import translation_edit_rate

from onmt.text.edit_rate import Edits, edits


def found(hypothesis: str, reference: str) -> Edits:
    return edits(hypothesis.split(), reference.split())


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("a b c", "a b c", (0, 0, 0, 0, 0)),
        ("a b c d", "a b c", (1, 0, 0, 0, 0)),
        ("a c", "a b c", (0, 1, 0, 0, 0)),
        ("a x c", "a b c", (0, 0, 1, 0, 0)),
        ("", "a b", (0, 2, 0, 0, 0)),
        ("a b", "", (2, 0, 0, 0, 0)),
        ("", "", (0, 0, 0, 0, 0)),
        ("c d a b", "a b c d", (0, 0, 0, 1, 2)),
        ("b c d e a", "a b c d e", (0, 0, 0, 1, 1)),
        ("e a b c d", "a b c d e", (0, 0, 0, 1, 1)),
        # a block of two words is moved and a word replaced: shortened from Snover et al. 2006
        ("THIS WEEK THE SAUDIS denied information", "THE SAUDIS denied THIS WEEK news", (0, 0, 1, 1, 2)),
        # tercom moves d to the front of the aligned word and needs 2; the original does not
        ("c a d b", "a b c d", (0, 0, 2, 1, 1)),
    ],
)
def test_by_hand(hypothesis: str, reference: str, expected: tuple[int, ...]) -> None:
    assert found(hypothesis, reference) == Edits(*expected)


def test_a_block_of_more_than_ten_words_does_not_move() -> None:
    ten, eleven = [str(i) for i in range(10)], [str(i) for i in range(11)]
    rest = [f"x{i}" for i in range(15)]
    assert edits([*ten, *rest], [*rest, *ten]).total == 1
    assert edits([*eleven, *rest], [*rest, *eleven]).total == 2


sentences = st.lists(st.sampled_from("abcdef"), max_size=10)


@given(sentences, sentences)
def test_between_no_shifts_at_all_and_what_cannot_be_avoided(
    hypothesis: list[str], reference: list[str]
) -> None:
    total = edits(hypothesis, reference).total
    assert total <= Levenshtein.distance(hypothesis, reference)
    assert total >= abs(len(hypothesis) - len(reference))
    assert (total == 0) == (hypothesis == reference)


@given(st.permutations("abcdefgh"), st.data())
def test_one_moved_block_is_found_as_tercom_finds_it(words: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, 7))
    end = data.draw(st.integers(start + 1, 8))
    rest = words[:start] + words[end:]
    place = data.draw(st.integers(0, len(rest)))
    moved = rest[:place] + words[start:end] + rest[place:]
    assert edits(moved, words).total == translation_edit_rate(moved, words)[0] == (moved != words)
