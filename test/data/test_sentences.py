"""onmt/data/sentences.py and onmt/data/block_encoder.py"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.constants import BOS, EOS, SPECIAL_WORDS, UNK
from onmt.data.block_encoder import BlockEncoder, EncodedBlock, SideRules
from onmt.data.corpus import Block, LineBlock, VectorBlock
from onmt.data.reading import make_tokenizer
from onmt.data.sentences import (
    PlainSentences,
    SentenceEncoder,
    Sentences,
    read_sentences,
    split_sentences,
)
from onmt.data.vocabulary import Vocabulary
from onmt.errors import DataError
from onmt.text.options import TokenizerOptions

WORDS = Vocabulary([*SPECIAL_WORDS, "a", "b"])  # a has id 4, b 5
LABELS = Vocabulary([*SPECIAL_WORDS, "X", "Y"])


def block(*lines: str) -> LineBlock:
    return LineBlock("f", "".join(line + "\n" for line in lines).encode(), range(1, len(lines) + 1))


def test_words_features_and_placeholders() -> None:
    found = read_sentences(block("a b", "", "a￨X￨1  b￨Y￨2", "￨X b￨Y", "a ｟year：2026｠ ｟x｠"), None)
    assert list(zip(found.words, found.features, strict=True)) == [
        (["a", "b"], []),
        ([], []),
        (["a", "b"], [["X", "Y"], ["1", "2"]]),
        (["b"], [["Y"]]),
        (["a", "｟year｠", "｟x｠"], []),
    ]
    assert found.lengths().tolist() == [2, 0, 2, 1, 3]


@pytest.mark.parametrize(
    ("line", "message"), [("a￨X b", "same number of features"), ("a￨X b￨", "empty feature")]
)
def test_features_that_do_not_fit_are_refused(line: str, message: str) -> None:
    with pytest.raises(DataError, match=f"f, line 2: .*{message}"):
        read_sentences(block("a", line), None)


def test_lines_are_tokenized_on_the_fly() -> None:
    tokenizer = make_tokenizer(TokenizerOptions(mode="aggressive", joiner_annotate=True, case_feature=True))
    found = read_sentences(block("Hello, World"), tokenizer)
    assert found == Sentences([["hello", "￭,", "world"]], [[["C", "N", "C"]]])
    assert make_tokenizer(TokenizerOptions(mode="space")) is None


@pytest.mark.parametrize(
    ("marked", "shifted", "words", "labels"),
    [
        (False, True, [4, UNK, 5, 5], [5, 4, 5, 4]),
        (True, True, [BOS, 4, UNK, 5, EOS, BOS, 5, EOS], [EOS, BOS, 5, 4, 5, EOS, BOS, 4]),
        (True, False, [BOS, 4, UNK, 5, EOS, BOS, 5, EOS], [BOS, 5, 4, 5, EOS, BOS, 4, EOS]),
    ],
)
def test_encoding(marked: bool, shifted: bool, words: list[int], labels: list[int]) -> None:
    sentences = Sentences([["a", "zz", "b"], ["b"]], [[["Y", "X", "Y"]], [["X"]]])
    encoder = SentenceEncoder((WORDS, LABELS), marked, shifted)
    assert encoder.encode(sentences).T.tolist() == [words, labels]
    assert encoder.stored_lengths(sentences.lengths()).sum() == len(words)


def encode(*blocks: Block, same_length: bool = False, **rules: int) -> EncodedBlock:
    target = SideRules("target", 2, SentenceEncoder((WORDS,), marked=True, shifted=True))
    source = SideRules("source", 3, SentenceEncoder((WORDS, LABELS), marked=False, shifted=True))
    if isinstance(blocks[0], VectorBlock):
        source = SideRules("source", 3, None, vector_size=2)
    return BlockEncoder((source, target), same_length).encode(blocks)


def test_filtering_and_counting() -> None:
    src = block("a￨X b￨Y zz￨Y", "a￨X", "", "a￨X a￨X a￨X a￨X", "a￨X", "b￨Q")
    tgt = block("a zz", "a b a", "a", "a", "", "b")
    encoded = encode(src, tgt)
    assert encoded.lengths[0].tolist() == [3, 1]
    assert encoded.values[0].tolist() == [[4, 4], [5, 5], [UNK, 5], [5, UNK]]
    assert encoded.lengths[1].tolist() == [4, 3]
    assert encoded.values[1].tolist() == [[BOS], [4], [UNK], [EOS], [BOS], [5], [EOS]]
    tally = encoded.tally
    assert (tally.read, tally.kept) == (6, 2)
    assert tally.dropped == {
        "target longer than 2": 1,
        "source empty": 1,
        "source longer than 3": 1,
        "target empty": 1,
    }
    assert [side.length_sum for side in tally.sides] == [4, 3]
    assert [side.unknown_sum for side in tally.sides] == pytest.approx([1 / 3, 1 / 4])


def test_pairs_of_unequal_length_are_dropped_on_request() -> None:
    encoded = encode(block("a￨X b￨Y", "a￨X", ""), block("a", "b", ""), same_length=True)
    assert encoded.warnings == ["SENT 1: source/target not aligned (2/1)"]
    assert encoded.tally.dropped == {"source and target of different lengths": 1, "source empty": 1}
    assert encoded.lengths[0].tolist() == [1]


def test_vectors_are_kept_as_they_are() -> None:
    matrices = [np.ones((2, 2), np.float32), np.zeros((0, 0), np.float32), np.ones((4, 2), np.float32)]
    encoded = encode(VectorBlock("v", matrices, [1, 4, 6]), block("a", "a", "a"))
    assert encoded.lengths[0].tolist() == [2]
    assert encoded.values[0].tolist() == [[1, 1], [1, 1]]
    assert encoded.tally.dropped == {"source empty": 1, "source longer than 3": 1}
    with pytest.raises(
        DataError, match="v, line 9: vectors of 3 numbers, but those of the training data have 2"
    ):
        encode(VectorBlock("v", [np.ones((1, 3), np.float32)], [9]), block("a"))


def test_nothing_kept_is_an_empty_block() -> None:
    encoded = encode(block("", ""), block("", ""))
    assert [values.shape for values in encoded.values] == [(0, 2), (0, 1)]


def test_other_numbers_of_features_than_the_vocabularies_are_refused() -> None:
    with pytest.raises(DataError, match="f, line 2: 0 word features, but the vocabularies are for 1"):
        encode(block("a￨X", "a"), block("a", "a"))


@given(
    lines=st.lists(st.text("abzé \r\t\u2028\u00a0", max_size=9), max_size=9),
    kept=st.sets(st.integers(0, 8)),
    marked=st.booleans(),
)
def test_plain_sentences_are_what_reading_them_one_by_one_gives(
    lines: list[str], kept: set[int], marked: bool
) -> None:
    indices = np.array(sorted(index for index in kept if index < len(lines)), dtype=np.int64)
    plain, general = split_sentences(block(*lines), None), read_sentences(block(*lines), None)
    assert isinstance(plain, PlainSentences)
    assert plain.lengths().tolist() == general.lengths().tolist()
    assert plain.feature_counts() == general.feature_counts()
    encoder = SentenceEncoder((WORDS,), marked, shifted=True)
    chosen = encoder.encode(plain.select(indices))
    assert chosen.tolist() == encoder.encode(general.select(indices)).tolist()


@pytest.mark.parametrize("line", ["a￨X", "｟x：1｠"])
def test_features_and_placeholders_are_not_plain(line: str) -> None:
    assert split_sentences(block("a", line), None) == read_sentences(block("a", line), None)


def test_bad_bytes_of_plain_sentences_are_named() -> None:
    with pytest.raises(DataError, match="f, line 2, byte offset 3: not valid UTF-8"):
        split_sentences(LineBlock("f", b"a\na b\xff\n", range(1, 3)), None)
