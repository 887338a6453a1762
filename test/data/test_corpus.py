"""onmt/data/corpus.py"""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.data import corpus
from onmt.data.corpus import count_lines, grouped, has_byte_order_mark, read_parallel
from onmt.errors import DataError
from onmt.text.lines import split_words


def write(folder: Path, *contents: bytes) -> list[str]:
    paths = [folder / f"{number}.txt" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return [str(path) for path in paths]


def read(paths: list[str]) -> list[list[str]]:
    """Return all lines of each side."""
    sides: list[list[str]] = [[] for _ in paths]
    for blocks in read_parallel(paths, lambda _: None):
        for side, block in zip(sides, blocks, strict=True):
            side += block.lines()
    return sides


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    text = "a\u2028b\nc\u0085d\x0be\n\n f\x00g \x1c\nlast"
    assert read(write(tmp_path, text.encode())) == [["a\u2028b", "c\u0085d\x0be", "", " f\x00g \x1c", "last"]]


def test_carriage_returns_are_blanks(tmp_path: Path) -> None:
    [lines] = read(write(tmp_path, b"a b\r\nc\rd\n"))
    assert [split_words(line) for line in lines] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("line", "tokens"),
    [("", []), ("  ", []), (" a  b ", ["a", "b"]), ("a\tb\u00a0c\u3000d e", ["a\tb\u00a0c\u3000d", "e"])],
)
def test_only_blanks_separate_tokens(line: str, tokens: list[str]) -> None:
    assert split_words(line) == tokens


def test_a_byte_order_mark_is_left_out_at_the_beginning_only(tmp_path: Path) -> None:
    paths = write(tmp_path, "\ufeffa\n\ufeffb\n".encode())
    assert read(paths) == [["a", "\ufeffb"]]
    assert has_byte_order_mark(paths[0])
    assert not has_byte_order_mark(write(tmp_path, b"ab")[0])


def test_blocks_know_their_line_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_BLOCK_BYTES", 4)
    paths = write(tmp_path, b"a\nb\nc\nd\ne\n", b"1\n2\n3\n4\n5")
    blocks = list(read_parallel(paths, lambda _: None))
    assert len(blocks) > 1
    assert [number for block, _ in blocks for number in block.numbers] == [1, 2, 3, 4, 5]
    assert blocks[-1][1].where(len(blocks[-1][1]) - 1) == f"{paths[1]}, line 5"


@pytest.mark.parametrize("size", [4, 1 << 20])
@pytest.mark.parametrize(("first", "second"), [(3, 2), (2, 3), (0, 1), (1, 0), (2, 9)])
def test_files_of_different_length_are_refused_with_both_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, first: int, second: int
) -> None:
    monkeypatch.setattr(corpus, "_BLOCK_BYTES", size)
    paths = write(tmp_path, b"a\n" * first, b"b\n" * second)
    with pytest.raises(DataError) as error:
        read(paths)
    assert f"{paths[0]} has {first} lines" in str(error.value) or f"{paths[0]} has {first}:" in str(
        error.value
    )
    assert str(second) in str(error.value)


def test_bad_bytes_are_named_by_file_line_and_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_BLOCK_BYTES", 8)
    paths = write(tmp_path, b"fine\nfine\nnot \xe4 fine\nfine\n")
    with pytest.raises(DataError) as error:
        read(paths)
    assert str(error.value) == f"{paths[0]}, line 3, byte offset 4: not valid UTF-8"


def test_what_cannot_be_read_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read([str(tmp_path / "none")])
    with pytest.raises(DataError, match="directory"):
        read([str(tmp_path)])
    with pytest.raises(DataError, match="file on disk"):
        read([os.devnull])


@settings(max_examples=150, deadline=None)
@given(
    content=st.binary(max_size=60)
    | st.text(st.sampled_from("ab \n\r\u2028\x00\ufeff"), max_size=30).map(str.encode)
)
def test_any_bytes_are_as_many_lines_as_they_have_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    paths = write(tmp_path_factory.mktemp("corpus"), content)
    expected = content.removeprefix(b"\xef\xbb\xbf")
    number = expected.count(b"\n") + (not expected.endswith(b"\n") and expected != b"")
    assert count_lines(paths[0]) == number
    try:
        [lines] = read(paths)
    except DataError:
        with pytest.raises(UnicodeDecodeError):
            content.decode()
        return
    assert len(lines) == number
    assert "\n".join(lines) == expected.decode().removesuffix("\n").replace("\r", " ")
    assert not any("\r" in token for line in lines for token in split_words(line))


@given(sizes=st.lists(st.integers(0, 5)), enough=st.integers(1, 9))
def test_groups_keep_the_order_and_end_when_they_are_large_enough(sizes: list[int], enough: int) -> None:
    groups = list(grouped(sizes, enough, int))
    assert [size for group in groups for size in group] == sizes
    assert all(sum(group) >= enough > sum(group[:-1]) for group in groups[:-1])
    assert all(sum(group[:-1]) < enough for group in groups)
