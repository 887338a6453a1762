import numpy as np
import pytest

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabulary
from onmt.decoding import lexicon
from onmt.errors import DataError

VOCABULARY = Vocabulary([*SPECIAL_WORDS, "eins", "zwei", "｟name｠", "｟url｠"])


def test_phrase_table(tmp_path):
    path = tmp_path / "table"
    path.write_text("one|||eins\n two ||| zwei \r\none ||| uno\n", encoding="utf-8")
    assert lexicon.read_phrase_table(str(path)) == {"one": "uno", "two": "zwei"}


def test_a_mapping_of_google_seq2seq(tmp_path):
    path = tmp_path / "mapping"
    path.write_text("one\teins\ntwo\tzwei\t0.5\n", encoding="utf-8")
    assert lexicon.read_phrase_table(str(path)) == {"one": "eins", "two": "zwei"}


@pytest.mark.parametrize("line", ["one", "one ||| two ||| three", ""])
def test_a_malformed_phrase_table_is_refused_by_line(line, tmp_path):
    path = tmp_path / "table"
    path.write_text(f"a ||| b\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match="table, line 2: expected"):
        lexicon.read_phrase_table(str(path))


def test_bad_bytes_are_named(tmp_path):
    path = tmp_path / "table"
    path.write_bytes(b"a ||| b\nx\xff ||| c\n")
    with pytest.raises(DataError, match="line 2, byte offset 1"):
        lexicon.read_phrase_table(str(path))


def test_a_subdictionary_holds_its_known_words_and_the_special_ones(tmp_path):
    path = tmp_path / "words"
    path.write_text("zwei\nunknown\n<blank>\nzwei\n", encoding="utf-8")
    assert lexicon.read_subdictionary(str(path), VOCABULARY) == [1, 2, 3, 5]


def test_required_words():
    table = {"one": "eins", "three": "drei", "two": "zwei"}
    words = ["two", "｟url｠", "one", "three", "one", "｟url｠", "｟other｠"]
    assert lexicon.required_words(words, VOCABULARY, True, None) == [7]
    assert lexicon.required_words(words, VOCABULARY, False, table) == [5, 4, 4]
    assert lexicon.required_words(words, VOCABULARY, True, table) == [7, 5, 4, 4]
    assert lexicon.placeholder_ids(VOCABULARY) == [6, 7]


@pytest.mark.parametrize(
    ("table", "tagged", "expected"),
    [
        ({}, False, ["a", "two", "one"]),
        ({}, True, ["a", "｟unk:two｠", "｟unk:one｠"]),
        ({"two": "zwei"}, True, ["a", "zwei", "｟unk:one｠"]),
        ({"a": "b"}, False, ["a", "two", "one"]),
    ],
)
def test_unknown_words_are_replaced_after_the_source_word_attended_to(table, tagged, expected):
    attention = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    assert (
        lexicon.replace_unknown(["a", "<unk>", "<unk>"], ["one", "two"], attention, table, tagged) == expected
    )


def test_placeholders_get_their_values_back():
    assert lexicon.restore_placeholders(["x", "｟name｠"], {"｟name｠": "Ann Lee"}) == ["x", "Ann Lee"]


def test_values_come_back_between_joiners() -> None:
    values = {"｟num｠": "4711", "｟url｠": "a b"}
    words = ["￭｟num｠￭", "｟num｠kg", "x", "｟url｠￭", "｟other｠"]
    assert lexicon.restore_placeholders(words, values) == ["￭4711￭", "4711kg", "x", "a b￭", "｟other｠"]


def test_a_placeholder_is_required_whatever_joiners_the_target_has() -> None:
    target = Vocabulary([*SPECIAL_WORDS, "x", "｟num｠￭", "￭｟num｠", "｟date｠"])
    wanted = ["￭｟num｠", "x", "￭｟num｠￭", "｟date｠￭", "｟url｠"]
    required = lexicon.required_words(wanted, target, placeholders=True, table=None)
    assert [target.word(index) for index in required] == ["￭｟num｠", "｟num｠￭", "｟date｠"]
    assert lexicon.placeholder_ids(target) == [5, 6, 7]


def test_labels_of_case() -> None:
    assert lexicon.has_case_labels(Vocabulary([*SPECIAL_WORDS, "C", "L", "N"]))
    assert not lexicon.has_case_labels(Vocabulary([*SPECIAL_WORDS, "C", "NOUN"]))
