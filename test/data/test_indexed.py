"""Corpora whose lines have keys (onmt/data/indexed.py)."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.data import indexed
from onmt.data.corpus import LineBlock, VectorBlock
from onmt.data.indexed import read_by_key
from onmt.errors import DataError


def write(folder: Path, src: bytes, tgt: bytes | None) -> tuple[str, str | None]:
    (folder / "src").write_bytes(src)
    if tgt is not None:
        (folder / "tgt").write_bytes(tgt)
    return str(folder / "src"), None if tgt is None else str(folder / "tgt")


def read_text(folder: Path, src: bytes, tgt: bytes | None) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for blocks in read_by_key(*write(folder, src, tgt), vectors=False, progress=lambda _: None):
        lines = [block.lines() for block in blocks if isinstance(block, LineBlock)]
        rows += zip(*lines, strict=True)
    return rows


def test_sides_match_by_key_in_the_order_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexed, "_ENTRIES_AT_A_TIME", 2)
    src = b"k3 three\nk1 one one\nk9 nine\n k2   two \r\nk4\n"
    tgt = b"\xef\xbb\xbfk1 1\nk2 2\nk3 3\nk4"
    rows = [tuple(side.split() for side in row) for row in read_text(tmp_path, src, tgt)]
    assert rows == [(["three"], ["3"]), (["one", "one"], ["1"]), (["two"], ["2"]), ([], [])]


def test_a_single_text_has_keys_too(tmp_path: Path) -> None:
    assert read_text(tmp_path, b"a x y\nb\n", None) == [("x y",), ("",)]


def test_places_are_those_of_the_files(tmp_path: Path) -> None:
    paths = write(tmp_path, b"k2 x\nk1 y\n", b"k1 1\nk2 2\n")
    [(src, tgt)] = read_by_key(*paths, vectors=False, progress=lambda _: None)
    assert (src.where(0), tgt.where(0)) == (f"{paths[0]}, line 1", f"{paths[1]}, line 2")


def test_vectors_match_by_key(tmp_path: Path) -> None:
    paths = write(tmp_path, b"k2 [\n1 2\n3 4 ]\nk1 [ ]\n", b"k1 a\nk2 b c\n")
    [(src, tgt)] = read_by_key(*paths, vectors=True, progress=lambda _: None)
    assert isinstance(src, VectorBlock)
    assert isinstance(tgt, LineBlock)
    assert [matrix.tolist() for matrix in src.matrices] == [[[1, 2], [3, 4]], []]
    assert tgt.lines() == ["b c", "a"]


@pytest.mark.parametrize(
    ("src", "tgt", "message"),
    [
        (b"a x\na y\n", b"a 1\n", "src, line 2: the key 'a' is already that of line 1"),
        (b"a x\n", b"a 1\na 2\n", "tgt, line 2: the key 'a' is already that of line 1"),
        (b"a x\n", b"a 1\nb 2\n", "tgt, line 2: the key 'b' is not in"),
        (b"a x\n\n", b"a 1\n", "src, line 2: expected a key"),
        (b"a x\n", b"  \n", "tgt, line 1: expected a key"),
        (b"\xff x\n", b"a 1\n", "src, line 1, byte offset 0: not valid UTF-8"),
    ],
)
def test_keys_that_do_not_fit_are_refused(tmp_path: Path, src: bytes, tgt: bytes, message: str) -> None:
    with pytest.raises(DataError, match="line") as error:
        read_text(tmp_path, src, tgt)
    assert message in str(error.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_order_of_keys(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=8))
    with_target = data.draw(st.permutations([key for key in keys if data.draw(st.booleans())]))
    src = "".join(f"{key} s{key}\n" for key in keys).encode()
    tgt = "".join(f"{key} t{key}\n" for key in with_target).encode()
    rows = read_text(tmp_path_factory.mktemp("indexed"), src, tgt)
    assert rows == [(f"s{key}", f"t{key}") for key in keys if key in with_target]
