from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.constants import SPECIAL_WORDS
from onmt.data.vocabulary import Vocabulary
from onmt.data.vocabulary_building import _read_word_list, read_vocabulary
from onmt.errors import DataError


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_a_word_per_line(tmp_path: Path) -> None:
    path = written(tmp_path / "v", "the\nof\n\n</s>\n\u00e9t\u00e9\r\n")
    vocabulary = read_vocabulary(path)
    assert vocabulary.words == (*SPECIAL_WORDS, "the", "of", "\u00e9t\u00e9")
    assert vocabulary.frequencies is None


def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(written(tmp_path / "v", "\ufeffthe\nof\n"))
    assert vocabulary.words == (*SPECIAL_WORDS, "the", "of")


def test_counts_after_a_tab(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(written(tmp_path / "v", "the\t31\nof\t7\n"))
    assert vocabulary.words == (*SPECIAL_WORDS, "the", "of")
    assert vocabulary.frequencies == (0, 0, 0, 0, 31, 7)
    some = read_vocabulary(written(tmp_path / "v", "the\t31\nof\n"))
    assert some.frequencies is None


def test_lua_s_format_is_told_apart(tmp_path: Path) -> None:
    vocabulary = Vocabulary((*SPECIAL_WORDS, "a"), None)
    vocabulary.write(tmp_path / "v")
    assert read_vocabulary(tmp_path / "v") == vocabulary


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a\nb\na\n", "line 3: the word 'a' appears twice"),
        (b"", "the vocabulary holds no words"),
        (b"a\tmany\n", r"expected a word, or a word, a tab and its count, found 'a\\tmany'"),
        (b"a\t-1\n", "line 1: expected"),
        (b"a\nb\xff\n", "line 2, byte offset 1: not valid UTF-8"),
    ],
)
def test_malformed_lists_name_their_line(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_vocabulary(written(tmp_path / "v", content))


def test_a_missing_file(tmp_path: Path) -> None:
    for read in (read_vocabulary, _read_word_list):
        with pytest.raises(DataError, match="cannot read the vocabulary"):
            read(tmp_path / "nothing")


@given(st.lists(st.text(st.characters(exclude_characters=" \t\n\r", codec="utf-8"), min_size=1), unique=True))
def test_words_come_in_their_order(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    kept = [word for word in words if word not in SPECIAL_WORDS and not word.startswith("\ufeff")]
    path = written(tmp_path_factory.mktemp("words") / "v", "".join(f"{word}\n" for word in kept))
    assert _read_word_list(path).words == (*SPECIAL_WORDS, *kept)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_vocabulary_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = written(tmp_path_factory.mktemp("bytes") / "v", content)
    told = ""
    try:
        assert len(read_vocabulary(path)) >= len(SPECIAL_WORDS)
    except DataError as error:
        told = str(error)
    assert "\n" not in told
