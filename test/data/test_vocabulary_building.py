"""onmt/data/vocabulary_building.py"""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.constants import SPECIAL_WORDS
from onmt.data.corpus import LineBlock
from onmt.data.vocabulary import Vocabulary
from onmt.data.vocabulary_building import (
    _with_frequencies,
    build_vocabulary,
    count_blocks,
    total_counts,
    with_sentence_marks,
)
from onmt.errors import DataError
from onmt.text.lines import without_values


def block(*lines: str, first: int = 1) -> LineBlock:
    data = "".join(line + "\n" for line in lines).encode()
    return LineBlock("f", data, range(first, first + len(lines)))


COUNTER = Counter({"c": 1, "a": 3, "<unk>": 2, "d": 3, "b": 1})


@pytest.mark.parametrize(
    ("size", "min_frequency", "words", "frequencies"),
    [
        (0, 0, ["c", "a", "d", "b"], [0, 2, 0, 0, 1, 3, 3, 1]),
        (4, 0, ["c", "a", "d", "b"], [0, 2, 0, 0, 1, 3, 3, 1]),
        (9, 1, ["c", "a", "d", "b"], [0, 2, 0, 0, 1, 3, 3, 1]),
        (3, 0, ["a", "d", "c"], [0, 3, 0, 0, 3, 3, 1]),
        (1, 0, ["a"], [0, 7, 0, 0, 3]),
        (1, 2, ["a", "d"], [0, 4, 0, 0, 3, 3]),
        (0, 4, [], [0, 10, 0, 0]),
    ],
)
def test_limits(size: int, min_frequency: int, words: list[str], frequencies: list[int]) -> None:
    vocabulary = build_vocabulary(COUNTER, size, min_frequency)
    assert vocabulary.words == (*SPECIAL_WORDS, *words)
    assert vocabulary.frequencies == tuple(frequencies)


@given(text=st.lists(st.text("abcdef", min_size=1, max_size=1), max_size=60), size=st.integers(1, 8))
def test_the_most_frequent_words_are_kept_and_nothing_is_lost(text: list[str], size: int) -> None:
    counter = Counter(text)
    vocabulary = build_vocabulary(counter, size, 0)
    kept = vocabulary.words[4:]
    assert len(kept) == min(size, len(counter))
    left_out = [count for word, count in counter.items() if word not in kept]
    assert all(counter[word] >= count for word in kept for count in left_out)
    assert vocabulary.frequencies is not None
    assert sum(vocabulary.frequencies) == len(text)


def test_counting_leaves_out_empty_and_long_sentences_but_counts_their_lines() -> None:
    counts = count_blocks([block("b a b", "", "a a a a", "c")], None, max_length=3)
    assert list(counts.words.items()) == [("b", 2), ("a", 1), ("c", 1)]
    assert counts.lines == 4
    marked = with_sentence_marks(build_vocabulary(counts.words, 0, 0), counts.lines)
    assert marked.frequencies == (0, 0, 4, 4, 2, 1, 1)


def test_parts_add_up_to_the_whole() -> None:
    lines = ["a￨X b￨Y", "", "b￨Z", "c￨X a￨X"]
    whole = count_blocks([block(*lines)], None, 9)
    parts = total_counts(
        count_blocks([block(line, first=number)], None, 9) for number, line in enumerate(lines, start=1)
    )
    assert list(parts.words.items()) == list(whole.words.items())
    assert [list(counter.items()) for counter in parts.features] == [[("X", 3), ("Y", 1), ("Z", 1)]]
    assert parts.lines == whole.lines == 4


def test_sentences_with_other_numbers_of_features_are_refused_by_line() -> None:
    message = "f, line 3: 0 word features, but the sentences before it have 1"
    with pytest.raises(DataError, match=message):
        count_blocks([block("a￨X", "", "b")], None, 9)
    with pytest.raises(DataError, match=message):
        count_blocks([block("a￨X", ""), block("b", first=3)], None, 9)
    with pytest.raises(DataError, match=message):
        total_counts([count_blocks([one], None, 9) for one in (block("a￨X", ""), block("b", first=3))])


LINES = st.lists(st.text("abé｟： ￭\u2028\r\t", max_size=8), max_size=12)


@given(lines=LINES, cuts=st.lists(st.integers(0, 12)), max_length=st.integers(1, 4))
def test_counts_and_their_order_do_not_depend_on_blocks(
    lines: list[str], cuts: list[int], max_length: int
) -> None:
    expected: Counter[str] = Counter()
    for line in lines:
        words = [word for word in line.replace("\r", " ").split(" ") if word]
        if 0 < len(words) <= max_length:
            expected.update(without_values(word) for word in words)
    edges = sorted({0, len(lines), *(cut for cut in cuts if cut < len(lines))})
    blocks = [block(*lines[start:end], first=start + 1) for start, end in pairwise(edges)]
    counts = count_blocks(blocks, None, max_length)
    assert list(counts.words.items()) == list(expected.items())
    assert counts.lines == len(lines)


def test_frequencies_of_a_given_vocabulary() -> None:
    given_words = Vocabulary([*SPECIAL_WORDS, "d", "x"])
    assert _with_frequencies(given_words, COUNTER).frequencies == (0, 7, 0, 0, 3, 0)
