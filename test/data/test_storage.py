"""Shards on disk, and the order of their sentences (onmt/data/shards.py, onmt/data/preparation.py)."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.data import preparation, shards
from onmt.data.preparation import _sentence_order
from onmt.data.shards import HashingFile, SideArrays, read_shard, write_shard
from onmt.errors import DataError


def side(lengths: list[int], width: int, dtype: type) -> SideArrays:
    sizes = np.array(lengths, dtype=np.int32)
    values = np.arange(int(sizes.sum()) * width).reshape(-1, width).astype(dtype)
    return SideArrays(np.cumsum(sizes, dtype=np.int64) - sizes, sizes, values)


def rows(arrays: SideArrays) -> list[list[list[float]]]:
    return [arrays.gather(np.array([row])).tolist() for row in range(len(arrays.lengths))]


def save(path: Path, sides: list[SideArrays], order: np.ndarray) -> HashingFile:
    with path.open("wb") as file:
        hashing = HashingFile(file)
        write_shard(hashing, sides, order)
    return hashing


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_sentences_come_back_in_the_order_asked_for(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, 12))
    lengths = st.lists(st.integers(1, 5), min_size=number, max_size=number)
    sides = [
        side(
            data.draw(lengths),
            data.draw(st.integers(1, 3)),
            data.draw(st.sampled_from([np.int32, np.float32])),
        )
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    order = np.array(data.draw(st.permutations(range(number))), dtype=np.int32)
    path = tmp_path_factory.mktemp("shard") / "x.bin"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "_SENTENCES_AT_A_TIME", 3)
        patch.setattr(shards, "_POSITIONS_AT_A_TIME", 4)
        written = save(path, sides, order)
    for before, after in zip(sides, read_shard(path, written.size, written.sha256), strict=True):
        assert rows(after) == [rows(before)[index] for index in order]
        assert after.values.dtype == before.values.dtype
        several = np.array(data.draw(st.lists(st.integers(0, number - 1), min_size=1)))
        together = [position for row in several for position in rows(after)[row]]
        assert after.gather(several).tolist() == together


def test_a_file_that_is_cut_while_it_is_open_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    written = save(path, [side([2000] * 9, 1, np.int32)], np.arange(9, dtype=np.int32))
    (stored,) = read_shard(path, written.size, written.sha256)
    os.truncate(path, written.size // 2)
    assert len(stored.gather(np.array([0, 1]))) == 4000
    with pytest.raises(DataError, match=r"x\.bin: was cut while it was being read"):
        stored.gather(np.array([3, 4]))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    written = save(path, [side([2, 3], 1, np.int32)], np.arange(2, dtype=np.int32))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"x\.bin: damaged, \d+ bytes instead of \d+"):
        read_shard(path, written.size, written.sha256)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=r"x\.bin: damaged, its SHA-256"):
        read_shard(path, written.size, written.sha256)
    path.unlink()
    with pytest.raises(DataError, match=r"x\.bin: cannot read"):
        read_shard(path, written.size, written.sha256)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=120), keep=st.integers(0, 60))
def test_a_file_that_claims_to_be_right_is_still_parsed_with_care(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, keep: int
) -> None:
    buffer = io.BytesIO()
    write_shard(HashingFile(buffer), [side([2, 3], 1, np.int32)], np.arange(2, dtype=np.int32))
    path = tmp_path_factory.mktemp("shard") / "x.bin"
    path.write_bytes(buffer.getvalue()[:keep] + content)
    forged = HashingFile(io.BytesIO())
    forged.write(path.read_bytes())
    with pytest.raises(DataError, match=r"x\.bin"):
        read_shard(path, forged.size, forged.sha256)


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), max_size=40), shuffled=st.booleans(), sort=st.booleans())
def test_order_is_a_stable_sort_of_a_shuffle(lengths: list[int], shuffled: bool, sort: bool) -> None:
    sizes = np.array(lengths, dtype=np.int32)
    expected = np.arange(len(sizes), dtype=np.int32)
    if shuffled:
        np.random.default_rng(5).shuffle(expected)
    if sort:
        expected = np.array(sorted(expected, key=lambda index: sizes[index]), dtype=np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "_SENTENCES_AT_A_TIME", 7)
        order = _sentence_order(sizes, np.random.default_rng(5) if shuffled else None, sort)
    assert order.tolist() == expected.tolist()
