"""Options about words: what their files say, constraints, replacements of unknown words."""

import numpy as np
import pytest
import torch

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabulary
from onmt.decoding.lexicon import Lexicon, _read_phrase_table, _read_subdictionary
from onmt.decoding.options import TranslatorOptions
from onmt.errors import DataError

VOCABULARY = Vocabulary([*SPECIAL_WORDS, "eins", "zwei", "｟name｠", "｟url｠"])


def lexicon(folder, table: dict[str, str], target: Vocabulary = VOCABULARY, **options: bool) -> Lexicon:
    """A lexicon with this phrase table."""
    path = folder / "table"
    path.write_text("".join(f"{source} ||| {word}\n" for source, word in table.items()), encoding="utf-8")
    chosen = TranslatorOptions(phrase_table=str(path), **options)
    return Lexicon(chosen, target, torch.device("cpu"))


def test_phrase_table(tmp_path):
    path = tmp_path / "table"
    path.write_text("one|||eins\n two ||| zwei \r\none ||| uno\n", encoding="utf-8")
    assert _read_phrase_table(str(path)) == {"one": "uno", "two": "zwei"}


def test_a_mapping_of_google_seq2seq(tmp_path):
    path = tmp_path / "mapping"
    path.write_text("one\teins\ntwo\tzwei\t0.5\n", encoding="utf-8")
    assert _read_phrase_table(str(path)) == {"one": "eins", "two": "zwei"}


@pytest.mark.parametrize("line", ["one", "one ||| two ||| three", ""])
def test_a_malformed_phrase_table_is_refused_by_line(line, tmp_path):
    path = tmp_path / "table"
    path.write_text(f"a ||| b\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match="table, line 2: expected"):
        _read_phrase_table(str(path))


def test_bad_bytes_are_named(tmp_path):
    path = tmp_path / "table"
    path.write_bytes(b"a ||| b\nx\xff ||| c\n")
    with pytest.raises(DataError, match="line 2, byte offset 1"):
        _read_phrase_table(str(path))


def test_a_subdictionary_holds_its_known_words_and_the_special_ones(tmp_path):
    path = tmp_path / "words"
    path.write_text("zwei\nunknown\n<blank>\nzwei\n", encoding="utf-8")
    assert _read_subdictionary(str(path), VOCABULARY) == [1, 2, 3, 5]


def test_required_words(tmp_path):
    table = {"one": "eins", "three": "drei", "two": "zwei"}
    words = ["two", "｟url｠", "one", "three", "one", "｟url｠", "｟other｠"]

    def required(**options: bool) -> list[int]:
        return lexicon(tmp_path, table, **options).required_words(words)

    assert required(placeholder_constraints=True) == [7]
    assert required(lexical_constraints=True) == [5, 4, 4]
    assert required(placeholder_constraints=True, lexical_constraints=True) == [7, 5, 4, 4]
    assert lexicon(tmp_path, table).placeholders() == [6, 7]


@pytest.mark.parametrize(
    ("table", "tagged", "expected"),
    [
        ({}, False, ["a", "two", "one"]),
        ({}, True, ["a", "｟unk:two｠", "｟unk:one｠"]),
        ({"two": "zwei"}, True, ["a", "zwei", "｟unk:one｠"]),
        ({"a": "b"}, False, ["a", "two", "one"]),
    ],
)
def test_unknown_words_are_replaced_after_the_source_word_attended_to(table, tagged, expected, tmp_path):
    attention = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    replacing = lexicon(tmp_path, table, replace_unk=not tagged, replace_unk_tagged=tagged)
    assert replacing.replace_unknown(["a", "<unk>", "<unk>"], ["one", "two"], attention) == expected


def test_a_placeholder_is_required_whatever_joiners_the_target_has(tmp_path) -> None:
    target = Vocabulary([*SPECIAL_WORDS, "x", "｟num｠￭", "￭｟num｠", "｟date｠"])
    wanted = ["￭｟num｠", "x", "￭｟num｠￭", "｟date｠￭", "｟url｠"]
    constraints = lexicon(tmp_path, {}, target, placeholder_constraints=True)
    required = constraints.required_words(wanted)
    assert [target.word(index) for index in required] == ["￭｟num｠", "｟num｠￭", "｟date｠"]
    assert constraints.placeholders() == [5, 6, 7]
