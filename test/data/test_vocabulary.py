"""onmt/data/vocabulary.py"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.constants import PAD_WORD, SPECIAL_WORDS, UNK
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import DataError

SPECIAL_LINES = "".join(f"{word} {i}\n" for i, word in enumerate(SPECIAL_WORDS, start=1))


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "v.dict"
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def test_ids_and_words() -> None:
    vocabulary = Vocabulary([*SPECIAL_WORDS, "a", "b"])
    assert len(vocabulary) == 6
    assert vocabulary.id("b") == 5
    assert vocabulary.word(5) == "b"
    assert vocabulary.id("c") == UNK
    assert "a" in vocabulary
    assert "c" not in vocabulary
    assert vocabulary.ids(["b", "zz", "</s>", PAD_WORD]) == [5, UNK, 3, UNK]


def test_index_in_the_file_is_authoritative_and_further_fields_are_ignored(tmp_path: Path) -> None:
    path = write(tmp_path, "b 6 7 extra\na 5 9 more fields\n\n" + SPECIAL_LINES.replace("\n", " 1\n"))
    vocabulary = Vocabulary.read(path)
    assert vocabulary.words == (*SPECIAL_WORDS, "a", "b")
    assert vocabulary.frequencies == (1, 1, 1, 1, 9, 7)


def test_frequencies_that_some_lines_lack_are_dropped(tmp_path: Path) -> None:
    assert Vocabulary.read(write(tmp_path, SPECIAL_LINES + "a 5 9\n")).frequencies is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no line has index 1 (<blank>)"),
        ("a 1\n", "line 1: index 1 is for <blank>, not for 'a'"),
        (SPECIAL_LINES.replace("<unk> 2\n", ""), "no line has index 2 (<unk>)"),
        (SPECIAL_LINES + "<s> 5\n", "line 5: the word '<s>' is already on line 3"),
        ("<s> 9\n", "line 1: <s> must have index 3, not 9"),
        (SPECIAL_LINES + "a 5\na 6\n", "line 6: the word 'a' is already on line 5"),
        (SPECIAL_LINES + "a 5\nb 5\n", "line 6: index 5 already belongs to 'a'"),
        (SPECIAL_LINES + "a 7\n", "no line has index 5; the indices must be 1..5, the largest is 7"),
        (SPECIAL_LINES + "a 900000000000000000\n", "must be 1..5, the largest is 900000000000000000"),
        (SPECIAL_LINES + "a\n", "line 5: expected 'word index [frequency]'"),
        (SPECIAL_LINES + "a 0\n", "line 5: expected 'word index [frequency]'"),
        (SPECIAL_LINES + "a -1\n", "line 5: expected 'word index [frequency]'"),
        (SPECIAL_LINES + "a x\n", "line 5: expected 'word index [frequency]'"),
        (SPECIAL_LINES.encode() + b"a\xff 5\n", "line 5, byte offset 1: not valid UTF-8"),
    ],
)
def test_malformed_files_are_refused_by_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError) as error:
        Vocabulary.read(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        Vocabulary.read(tmp_path / "none.dict")


def test_a_vocabulary_needs_its_special_words_and_no_word_twice() -> None:
    with pytest.raises(DataError, match="starts with"):
        Vocabulary(["a", "b"])
    with pytest.raises(DataError, match="'a' appears twice"):
        Vocabulary([*SPECIAL_WORDS, "a", "b", "a"])


# Words as they come from lines split on blanks: no blank, no line end, no surrogate.
WORDS = st.text(
    st.characters(blacklist_characters=" \n\r", blacklist_categories=["Cs"]), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(WORDS.filter(lambda word: word not in SPECIAL_WORDS), unique=True), counted=st.booleans()
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], counted: bool
) -> None:
    everything = [*SPECIAL_WORDS, *words]
    vocabulary = Vocabulary(everything, range(len(everything)) if counted else None)
    path = tmp_path_factory.mktemp("vocabulary") / "v.dict"
    vocabulary.write(path)
    assert Vocabulary.read(path) == vocabulary
    assert [file.name for file in path.parent.iterdir()] == ["v.dict"]
    sides = Vocabularies(src=(vocabulary, vocabulary), tgt=(), src_vector_size=3)
    assert Vocabularies.from_state(sides.to_state()) == sides


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = write(tmp_path_factory.mktemp("vocabulary"), SPECIAL_LINES.encode() + content)
    try:
        vocabulary = Vocabulary.read(path)
    except DataError:
        return
    assert vocabulary.words[:4] == SPECIAL_WORDS


@pytest.mark.parametrize(
    "state",
    [{}, {"words": "ab"}, {"words": [1, 2]}, {"words": [*SPECIAL_WORDS], "frequencies": ["x"]}],
)
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(DataError):
        Vocabulary.from_state(state)
    with pytest.raises(DataError):
        Vocabularies.from_state(state)


def test_ids_of_utf8() -> None:
    vocabulary = Vocabulary([*SPECIAL_WORDS, "é", "\ud800"])
    ids = vocabulary.utf8_ids()
    words = [*SPECIAL_WORDS, "é", "x"]
    assert [ids[word.encode()] for word in words] == vocabulary.ids(words)
