import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.decoding.inputs import _read_inputs, _text_lines, read_windows
from onmt.decoding.output import ResultFile
from onmt.errors import DataError


def write(tmp_path, name: str, content: bytes) -> str:
    (tmp_path / name).write_bytes(content)
    return str(tmp_path / name)


@given(lines=st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))))
def test_as_many_lines_as_line_ends(lines):
    content = "".join(f"{line}\n" for line in lines).encode()
    expected = [line.removeprefix("\ufeff") if place == 0 else line for place, line in enumerate(lines)]
    assert list(_text_lines(io.BytesIO(content), "x")) == expected


def test_odd_lines(tmp_path):
    path = write(tmp_path, "src", b"\xef\xbb\xbfa b\r\n\n\xe2\x80\xa8\x00 c\nlast")
    inputs = list(_read_inputs(path, "", False, False))
    assert [one.text for one in inputs] == ["a b ", "", "\u2028\x00 c", "last"]
    assert inputs[3].where == f"{path}, line 4"


def test_a_bad_byte_is_named(tmp_path):
    path = write(tmp_path, "src", b"a\nbc\xff\n")
    with pytest.raises(DataError, match="line 2, byte offset 2"):
        list(_read_inputs(path, "", False, False))


@pytest.mark.parametrize(("src", "tgt"), [(b"a\nb\nc\n", b"x\n"), (b"a\n", b"x\ny\n")])
def test_files_of_different_length_are_refused(src, tgt, tmp_path):
    paths = write(tmp_path, "src", src), write(tmp_path, "tgt", tgt)
    with pytest.raises(DataError, match="lines"):
        list(_read_inputs(*paths, False, False))


def test_references_are_found_by_key(tmp_path):
    src = write(tmp_path, "src", b"k1 a b\nk2 c\n")
    tgt = write(tmp_path, "tgt", b"k2 z\nk1 x y\n")
    found = [(one.key, one.text, one.gold, one.gold_where) for one in _read_inputs(src, tgt, True, False)]
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
        list(_read_inputs(*paths, True, False))


def test_vectors(tmp_path):
    path = write(tmp_path, "ark", b"u1 [\n 1 2\n 3 4 ]\nu2 [ ]\n")
    first, second = _read_inputs(path, "", False, True)
    assert (first.key, first.vectors.tolist()) == ("u1", [[1, 2], [3, 4]])
    assert len(second.vectors) == 0


def test_standard_input_and_output(monkeypatch):
    class Stream:
        def __init__(self, content: bytes = b"") -> None:
            self.buffer = io.BytesIO(content)

    monkeypatch.setattr(sys, "stdin", Stream(b"a\nb\n"))
    monkeypatch.setattr(sys, "stdout", Stream())
    with ResultFile("-") as output:
        for one in _read_inputs("-", "", False, False):
            output.write(f"{one.text}!\n")
            assert one.where.startswith("standard input, line")
    assert sys.stdout.buffer.getvalue() == b"a!\nb!\n"


def test_windows(tmp_path):
    path = write(tmp_path, "src", b"line\n" * 41)
    assert [len(window) for window in read_windows(path, "", 2)] == [40, 1]
    assert [len(window) for window in read_windows(path, "", 2, ahead=False)] == [2] * 20 + [1]


def test_windows_of_standard_input_are_batches(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\nc\n")))
    found = [[one.text for one in window] for window in read_windows("-", "", 2)]
    assert found == [["a", "b"], ["c"]]


def test_files_of_different_length_are_refused_before_any_is_read(tmp_path):
    paths = write(tmp_path, "src", b"a\nb\n"), write(tmp_path, "tgt", b"x\n")
    with pytest.raises(DataError, match=r"1 lines but .* has 2"):
        read_windows(*paths, 2)
