"""Words with features."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import DataError
from onmt.text.lines import join_features, split_features

values = st.text(st.characters(exclude_characters="￨ \n", exclude_categories=["Cs"]), max_size=5)
words = values.filter(bool)


@given(st.integers(0, 3), st.data())
def test_split_undoes_join(count: int, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(words, *[values] * count), min_size=1, max_size=6))
    sentence = [row[0] for row in rows]
    features = [[row[i] for row in rows] for i in range(1, count + 1)]
    tokens = join_features(sentence, features)
    assert split_features(tokens) == (sentence, features)


def test_tokens_without_a_word_are_left_out() -> None:
    assert split_features(["a￨1", "￨2", "b￨3"]) == (["a", "b"], [["1", "3"]])
    assert split_features(["", "a"]) == (["a"], [])
    assert split_features(["￨1"]) == ([], [])
    assert split_features([]) == ([], [])


@pytest.mark.parametrize("tokens", [["a￨1", "b"], ["a", "b￨1"], ["a￨1￨2", "b￨1"]])
def test_words_must_agree_in_number_of_features(tokens: list[str]) -> None:
    with pytest.raises(DataError, match="same number of features, but 'a' has"):
        split_features(tokens)
