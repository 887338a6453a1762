"""Kaldi archives (onmt/data/indexed.py)."""

import contextlib
import importlib.util
import io
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.data.indexed import read_archive
from onmt.errors import DataError

kaldiio_missing = importlib.util.find_spec("kaldiio") is None
needs_kaldiio = pytest.mark.skipif(kaldiio_missing, reason="kaldiio is not installed")


def read(content: str | bytes) -> list[tuple[str, int, list[list[float]]]]:
    data = content.encode() if isinstance(content, str) else content
    return [
        (entry.key, entry.number, entry.matrix.tolist()) for entry in read_archive(io.BytesIO(data), "f.ark")
    ]


def test_entries_in_every_layout() -> None:
    text = "a [\n1 2\n3 4 ]\n\nb  [ ]\nc [\n]\nd [ 5 6\n-7.5 8e0\n]\ne [ 9 10 ]"
    assert read(text) == [
        ("a", 1, [[1, 2], [3, 4]]),
        ("b", 5, []),
        ("c", 6, []),
        ("d", 8, [[5, 6], [-7.5, 8]]),
        ("e", 11, [[9, 10]]),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a [\n1 2\n3 ]\n", "f.ark, line 3: a row of 1 numbers, others have 2"),
        ("a [\n1 2 ]\nb [\n1 2 3 ]\n", "f.ark, line 4: a row of 3 numbers, others have 2"),
        ("a [\n1 x\n", "f.ark, line 2: 'x' is not a number"),
        ("a [\n1 1_0 ]\n", "f.ark, line 2: '1_0' is not a number"),
        ("a [\n1 nan ]\n", "f.ark, line 2: 'nan' is not a finite number of single precision"),
        ("a [\n1e39 1 ]\n", "f.ark, line 2: '1e39' is not a finite number of single precision"),
        ("a [\n1 2\n", "f.ark, line 1: the file ends inside the entry 'a', without a ']'"),
        (
            "a [\n1 2\nb [\n3 4 ]\n",
            "f.ark, line 3: '[' inside the entry 'a' of line 1, which no ']' has closed",
        ),
        ("a\n", "f.ark, line 1: expected 'key [', found 'a'"),
        ("a b [\n1 ]\n", "f.ark, line 1: expected 'key [', found 'a b ['"),
        (b"a [\n\xff ]\n", "f.ark, line 2, byte offset 0: not valid UTF-8"),
    ],
)
def test_malformed_archives_are_refused_by_line(content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as error:
        read(content)
    assert str(error.value) == message


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(dimension=st.integers(1, 3), data=st.data())
def test_what_was_written_is_read(dimension: int, data: st.DataObject) -> None:
    rows = st.lists(NUMBERS, min_size=dimension, max_size=dimension)
    matrices = data.draw(st.lists(st.lists(rows, max_size=3), max_size=4))
    text = "".join(
        f"k{number} [\n" + "\n".join(" ".join(repr(value) for value in row) for row in matrix) + " ]\n"
        for number, matrix in enumerate(matrices)
    )
    assert [matrix for _, _, matrix in read(text)] == [
        np.array(m, dtype=np.float32).tolist() for m in matrices
    ]


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=40) | st.text(st.sampled_from("a[] \n1.x"), max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        entries = read(content)
    except DataError:
        return
    assert len(entries) == content.count(b"]")


def binary_entry(key: bytes, kind: bytes, rows: int, columns: int, values: np.ndarray) -> bytes:
    sizes = b"".join(b"\x04" + size.to_bytes(4, "little") for size in (rows, columns))
    return key + b" \0B" + kind + b" " + sizes + values.tobytes()


ONE = binary_entry(b"k1", b"FM", 2, 3, np.arange(6, dtype=np.float32))
TWO = binary_entry(b"k2", b"DM", 1, 3, np.array([7.0, 8.0, 9.5]))
EMPTY = binary_entry(b"k0", b"FM", 0, 0, np.zeros(0))


@needs_kaldiio
def test_binary_archives() -> None:
    assert read(ONE + EMPTY + TWO) == [
        ("k1", 1, [[0, 1, 2], [3, 4, 5]]),
        ("k0", 2, []),
        ("k2", 3, [[7, 8, 9.5]]),
    ]


@needs_kaldiio
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ONE[:-1], "f.ark, entry 1: the matrix of 'k1' cannot be read"),
        (ONE + b"k2 x", "f.ark, entry 2: expected a key and a binary matrix"),
        (
            ONE + binary_entry(b"k2", b"FM", 1, 2, np.zeros(2, np.float32)),
            "entry 2: rows of 2 numbers, others have 3",
        ),
        (
            binary_entry(b"k", b"FM", 1, 1, np.array([np.nan], np.float32)),
            "entry 1: a value of 'k' is not a finite",
        ),
        (b"k \0BPKL c__builtin__", "entry 1: the matrix of 'k' cannot be read"),
        (b"\xff \0BFM ", "byte offset 0: not valid UTF-8"),
    ],
)
def test_damaged_binary_archives_are_refused_by_entry(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as error:
        read(content)
    assert message in str(error.value)


class Counting(io.BytesIO):
    """A stream that records the largest size asked of `read`, which a real file would allocate."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.most = max(self.most, len(self.getvalue()) if size is None or size < 0 else size)
        return super().read(size)


@needs_kaldiio
@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from([b"FM", b"DM"]),
    rows=st.sampled_from([1, 2, 3, 2**20, 2**31 - 1, 2**32 - 1, 2**32 - 2]),  # the last two are negative
    columns=st.sampled_from([1, 3, 2**31 - 1, 2**32 - 1]),
    on_disk=st.booleans(),
)
def test_sizes_that_the_file_does_not_have_are_told(
    tmp_path_factory: pytest.TempPathFactory, kind: bytes, rows: int, columns: int, on_disk: bool
) -> None:
    """A header that doesn't match the 2 x 3 numbers of the file is refused without large reads."""
    size = 4 if kind == b"FM" else 8
    values = np.zeros(6, dtype=np.float32 if size == 4 else np.float64)
    content = binary_entry(b"k", kind, rows, columns, values)
    signed = [number - 2**32 if number >= 2**31 else number for number in (rows, columns)]
    announced = signed[0] * signed[1] * size
    try:
        if on_disk:
            path = tmp_path_factory.mktemp("archive") / "f.ark"
            path.write_bytes(content)
            with path.open("rb") as file:
                entries = list(read_archive(file, "f.ark"))
        else:
            stream = Counting(content)
            entries = list(read_archive(stream, "f.ark"))
            assert stream.most <= 1 << 20
    except DataError as error:
        told = f"it announces {announced} bytes"
        if announced > 6 * size:
            told += f", but the file has {6 * size}"
        assert announced in range(6 * size + 1) or told in str(error)  # noqa: PT017
        return
    assert announced == 6 * size
    assert entries[0].matrix.shape == (rows, columns)


@needs_kaldiio
@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=40))
def test_any_bytes_in_a_binary_archive_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(DataError):
        read(ONE + b"k2 \0B" + content)


def test_a_binary_archive_without_kaldiio_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaldiio.matio", None)
    with pytest.raises(DataError, match="needs the package kaldiio"):
        read(ONE)
