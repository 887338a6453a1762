"""A file of word vectors is refused unless its contents match its first line."""

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.errors import DataError
from onmt.text.word_vectors import WordVectorFile

WORDS = st.lists(st.sampled_from(["a", "the", "日本", "x-1", "é"]), min_size=1, max_size=5)


def content(kind: str, words: list[str], dimension: int, announced: tuple[int, int]) -> bytes:
    header = "{} {}\n".format(*announced).encode()
    if kind == "word2vec-txt":
        return header + b"".join(f"{word}{' 0.5' * dimension}\n".encode() for word in words)
    return header + b"".join(
        word.encode() + b" " + struct.pack(f"<{dimension}f", *[0.5] * dimension) + b"\n" for word in words
    )


def read(path: Path, kind: str) -> list[tuple[str, int]]:
    """Return each word with the length of its vector, or with -1 if it was read without one."""
    found = WordVectorFile(str(path), kind).read(lambda word: True)
    return [(word, -1 if vector is None else len(vector)) for word, vector in found]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["word2vec-txt", "word2vec-bin"]),
    words=WORDS,
    dimension=st.integers(1, 4),
    more_words=st.sampled_from([0, 0, -1, 1, 2, 10**6, 10**17]),
    more_numbers=st.sampled_from([0, 0, -1, 1, 10**9]),
)
def test_announced_counts(kind, words, dimension, more_words, more_numbers):
    announced = max(0, len(words) + more_words), max(1, dimension + more_numbers)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vectors"
        path.write_bytes(content(kind, words, dimension, announced))
        if announced == (len(words), dimension):
            assert read(path, kind) == [(word, dimension) for word in words]
            return
        with pytest.raises(DataError) as refused:
            read(path, kind)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert str(announced[0 if announced[1] == dimension else 1]) in message or "breaks off" in message


@pytest.mark.parametrize("kind", ["word2vec-txt", "word2vec-bin"])
@pytest.mark.parametrize("announced", [(10**12, 300), (1, 10**9), (2, 10**17)])
def test_a_file_too_small_for_its_header_is_refused_before_it_is_read(tmp_path, kind, announced):
    path = tmp_path / "vectors"
    path.write_bytes(content(kind, ["a"], 3, announced))
    told = rf"line 1: announces {announced[0]} vectors of {announced[1]} numbers, .* but the file has \d+"
    with pytest.raises(DataError, match=told):
        WordVectorFile(str(path), kind)


@pytest.mark.parametrize(
    ("kind", "lines", "told"),
    [
        ("word2vec-txt", b"1 2\na 1 2\nb 1 2\n", "line 1: announces 1 words, but the file has 2"),
        ("word2vec-txt", b"2 1\na 1\n\n", "line 3: expected a word and 1 numbers, found 0"),
        ("word2vec-txt", b"1 2\na 1 2 3\n", "line 2: expected a word and 2 numbers, found 3"),
        ("word2vec-txt", b"0 2\na 1 2\n", "line 1: announces 0 words, but the file has 1"),
        ("word2vec-bin", b"0 1\na 1234", "line 1: announces 0 words, but the file has 1"),
        ("word2vec-bin", b"1 1\na 1234\nb 1234\n\n", "line 1: announces 1 words, but the file has 2"),
        ("word2vec-bin", b"1 1\na 1234b", "the file breaks off at word 2 of 1"),
        ("glove", b"a 1 2\nb 1\n", "line 2: expected a word and 2 numbers, found 1"),
        ("word2vec-txt", b"9" * 5000 + b" 2\n", "line 1: expected the number of words and the dimension"),
    ],
)
def test_both_numbers_are_told(tmp_path, kind, lines, told):
    path = tmp_path / "vectors"
    path.write_bytes(lines)
    with pytest.raises(DataError, match=told):
        read(path, kind)


def test_words_with_blanks_are_words(tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(b"2 2\nNew York 1 2\n. . 1 2\n")
    assert read(path, "word2vec-txt") == [("New York", 2), (". .", 2)]
