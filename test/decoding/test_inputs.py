import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.decoding.inputs import ResultFile, read_inputs, text_lines, windows
from onmt.errors import DataError


def write(tmp_path, name: str, content: bytes) -> str:
    (tmp_path / name).write_bytes(content)
    return str(tmp_path / name)


@given(lines=st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))))
def test_as_many_lines_as_line_ends(lines):
    content = "".join(f"{line}\n" for line in lines).encode()
    expected = [line.removeprefix("\ufeff") if place == 0 else line for place, line in enumerate(lines)]
    assert list(text_lines(io.BytesIO(content), "x")) == expected


def test_odd_lines(tmp_path):
    path = write(tmp_path, "src", b"\xef\xbb\xbfa b\r\n\n\xe2\x80\xa8\x00 c\nlast")
    inputs = list(read_inputs(path, "", False, False))
    assert [one.text for one in inputs] == ["a b ", "", "\u2028\x00 c", "last"]
    assert inputs[3].where == f"{path}, line 4"


def test_a_bad_byte_is_named(tmp_path):
    path = write(tmp_path, "src", b"a\nbc\xff\n")
    with pytest.raises(DataError, match="line 2, byte offset 2"):
        list(read_inputs(path, "", False, False))


@pytest.mark.parametrize(("src", "tgt"), [(b"a\nb\nc\n", b"x\n"), (b"a\n", b"x\ny\n")])
def test_files_of_different_length_are_refused(src, tgt, tmp_path):
    paths = write(tmp_path, "src", src), write(tmp_path, "tgt", tgt)
    with pytest.raises(DataError, match="lines"):
        list(read_inputs(*paths, False, False))


def test_references_are_found_by_key(tmp_path):
    src = write(tmp_path, "src", b"k1 a b\nk2 c\n")
    tgt = write(tmp_path, "tgt", b"k2 z\nk1 x y\n")
    found = [(one.key, one.text, one.gold, one.gold_where) for one in read_inputs(src, tgt, True, False)]
    assert found == [("k1", "a b", "x y", f"{tgt}, line 2"), ("k2", "c", "z", f"{tgt}, line 1")]


@pytest.mark.parametrize(
    ("src", "tgt", "message"),
    [
        (b"k1 a\nk1 b\n", b"k1 x\n", "src, line 2: the key 'k1'"),
        (b"k1 a\n\n", b"k1 x\n", "src, line 2: expected a key"),
        (b"k1 a\nk2 b\n", b"k1 x\n", "src, line 2: the key 'k2' is not in"),
        (b"k1 a\n", b"k1 x\nk9 y\n", "tgt, line 2: the key 'k9' is not among"),
    ],
)
def test_keys_that_do_not_fit_are_refused(src, tgt, message, tmp_path):
    paths = write(tmp_path, "src", src), write(tmp_path, "tgt", tgt)
    with pytest.raises(DataError, match=message):
        list(read_inputs(*paths, True, False))


def test_vectors(tmp_path):
    path = write(tmp_path, "ark", b"u1 [\n 1 2\n 3 4 ]\nu2 [ ]\n")
    first, second = read_inputs(path, "", False, True)
    assert (first.key, first.vectors.tolist()) == ("u1", [[1, 2], [3, 4]])
    assert len(second.vectors) == 0


def test_standard_input_and_output(monkeypatch):
    class Stream:
        def __init__(self, content: bytes = b"") -> None:
            self.buffer = io.BytesIO(content)

    monkeypatch.setattr(sys, "stdin", Stream(b"a\nb\n"))
    monkeypatch.setattr(sys, "stdout", Stream())
    with ResultFile("-") as output:
        for one in read_inputs("-", "", False, False):
            output.write(f"{one.text}!\n")
            assert one.where.startswith("standard input, line")
    assert sys.stdout.buffer.getvalue() == b"a!\nb!\n"


def test_results_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot write"), ResultFile(str(tmp_path / "no" / "out")):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_reported():
    def fill() -> None:
        with ResultFile("/dev/full") as output:
            output.write("x")

    with pytest.raises(DataError, match="/dev/full: cannot write"):
        fill()


def test_windows():
    assert list(windows(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]


def test_a_run_that_fails_before_its_first_result_leaves_files_alone(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("of another run\n")
    for path in (old, new):
        with pytest.raises(DataError), ResultFile(str(path)):
            raise DataError("line 1")
    assert old.read_text() == "of another run\n"
    assert not new.exists()


def test_results_replace_what_was_there_and_stay_after_a_failure(tmp_path: Path) -> None:
    path, empty = tmp_path / "out", tmp_path / "empty"
    path.write_text("a longer line of another run\n")
    empty.write_text("something")
    with pytest.raises(DataError), ResultFile(str(path)) as output:
        _write_and_fail(output)
    with ResultFile(str(empty)):
        pass
    assert path.read_text() == "first\n"
    assert empty.read_text() == ""


def _write_and_fail(output: ResultFile) -> None:
    output.write("first\n")
    raise DataError("line 2")
