"""Tokenizing streams of lines in one or several processes: order, counts, odd characters, errors."""

import io
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import DataError, OnmtError
from onmt.text.lines import process_lines


def upper_case(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line == "refuse":
            raise DataError("it is refused")
        if line == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        yield line.upper()


def run(content: bytes, processes: int = 1, batch_size: int = 3) -> bytes:
    target = io.BytesIO()
    lines = process_lines(
        io.BytesIO(content),
        target,
        upper_case,
        name="input",
        processes=processes,
        batch_size=batch_size,
    )
    assert lines == target.getvalue().count(b"\n")
    return target.getvalue()


ODD = "a\x00b\n\u2028\n\u0085x\n\rlone\r\n\ufeffbom\n\n\n ￭｟x ￨\nno end"


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_as_many_lines_out_as_in_and_in_order(processes: int, batch_size: int) -> None:
    content = "".join(f"line {i}\n" for i in range(20)) + ODD
    expected = content.upper().encode() + b"\n"
    assert run(content.encode(), processes, batch_size) == expected


@pytest.mark.parametrize("processes", [1, 2])
def test_nothing_gives_nothing(processes: int) -> None:
    assert run(b"", processes) == b""


def test_a_megabyte_on_a_line() -> None:
    line = b"x" * (1 << 20)
    assert run(line + b"\n" + line, batch_size=1000) == (line.upper() + b"\n") * 2


@given(st.binary(max_size=40))
def test_any_bytes_are_lines_or_an_error_that_says_where(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        offset = error.start - (content.rfind(b"\n", 0, error.start) + 1)
        with pytest.raises(
            DataError, match=rf"^input, line {number}, byte offset {offset}: not valid UTF-8$"
        ):
            run(content)
    else:
        assert run(content).count(b"\n") == content.count(b"\n") + (
            not content.endswith(b"\n") and content != b""
        )


@pytest.mark.parametrize("processes", [1, 2])
def test_errors_name_the_line(processes: int) -> None:
    with pytest.raises(DataError, match=r"^input, line 8: it is refused$"):
        run(b"a\n" * 7 + b"refuse\nb\n", processes)
    with pytest.raises(DataError, match=r"^input, line 8, byte offset 1: not valid UTF-8$"):
        run(b"a\n" * 7 + b"x\xffy\nb\n", processes)


def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(OnmtError, match="a worker process ended early"):
        run(b"a\n" * 7 + b"die\n" + b"a\n" * 20, processes=2)
