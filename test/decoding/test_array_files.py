"""Files of arrays: numpy reads them, they appear whole or not at all, damage is reported in one line."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.decoding.array_files import ArrayFile, _reading_arrays
from onmt.errors import DataError

NUMBERS = np.arange(12, dtype=np.float32).reshape(2, 3, 2)


def write(path: Path) -> None:
    with ArrayFile(str(path)) as file:
        file.add("first", NUMBERS)
        file.add_rows("second", NUMBERS.shape, np.int64, iter(NUMBERS))
        file.add("words", np.array(["é", "漢字"]))


def test_numpy_reads_what_was_written(tmp_path: Path) -> None:
    write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert list(arrays) == ["first", "second", "words"]
        np.testing.assert_array_equal(arrays["first"], NUMBERS)
        np.testing.assert_array_equal(arrays["second"], NUMBERS)
        assert (arrays["first"].dtype, arrays["second"].dtype) == (np.float32, np.int64)
        assert arrays["words"].tolist() == ["é", "漢字"]
    with _reading_arrays(str(tmp_path / "a.npz"), "x") as arrays:
        np.testing.assert_array_equal(arrays.read("first", "f", 3), NUMBERS)
        assert arrays.names == ["first", "second", "words"]


def test_equal_arrays_make_equal_files(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}  # not when they were written
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_DEFLATED}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BrokenPipeError(), DataError("elsewhere")])
def test_a_failure_leaves_what_was_there_and_stays_what_it_is(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")

    def fail() -> None:
        with ArrayFile(str(path)) as file:
            file.add("first", NUMBERS)
            assert path.read_bytes() == b"before"
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [".", "no/where.npz"])
def test_what_cannot_be_written_is_told_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(DataError, match="cannot write"), ArrayFile(str(path)):
        raise AssertionError


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    noise = np.random.default_rng(1).random(100000)
    with pytest.raises(DataError, match="/dev/full: cannot write: No space"), ArrayFile("/dev/full") as file:
        file.add("noise", noise)


def content() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, first=NUMBERS)
    return file.getvalue()


CONTENT = content()


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damage_is_told_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The numbers of a damaged file are right (no reader needs the changed byte) or refused."""
    path = tmp_path_factory.mktemp("damaged") / "a.npz"
    damaged = bytearray(CONTENT)
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.sampled_from([place, len(damaged)]))])
    try:
        with _reading_arrays(str(path), "numbers") as arrays:
            np.testing.assert_array_equal(arrays.read("first", "f", 3), NUMBERS)
    except DataError as error:
        assert str(error) == f"{path}: damaged, or not a file of numbers"  # noqa: PT017


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9])
def test_another_compression_than_the_bytes_have_is_damage(method: int, tmp_path: Path) -> None:
    damaged = bytearray(CONTENT)
    for place in (8, CONTENT.rfind(b"PK\x01\x02") + 10):  # in the entry and in the list of entries
        damaged[place] = method
    (tmp_path / "a.npz").write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"), _reading_arrays(str(tmp_path / "a.npz"), "x") as arrays:
        arrays.read("first", "f", 3)


@pytest.mark.parametrize(
    "shape", ["(9999999999999,)", f"(1{30 * '0'},)", "(True,)", "(1,)", "(3,)", "(-1,)", "(1,"]
)
def test_a_size_that_is_a_lie_is_refused_before_room_is_made(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_array(*arguments: object, **without_values: object) -> None:
        raise AssertionError("too late")

    monkeypatch.setattr("onmt.decoding.array_files.npy.read_array", read_array)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        archive.writestr("first.npy", start + header + bytes(8))
    with pytest.raises(DataError, match="damaged"), _reading_arrays(str(tmp_path / "a.npz"), "x") as arrays:
        arrays.read("first", "f", 1)


def test_missing_files_and_arrays_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "a.npz")
    with pytest.raises(DataError, match="cannot read: No such file"), _reading_arrays(path, "x"):
        raise AssertionError
    write(Path(path))
    for name, kinds, axes in (("none", "f", 3), ("first", "i", 3), ("first", "f", 2)):
        with pytest.raises(DataError, match="not a file of x"), _reading_arrays(path, "x") as arrays:
            arrays.read(name, kinds, axes)
