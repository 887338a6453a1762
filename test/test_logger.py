import errno
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import OptionError
from onmt.logger import Logger, LoggerOptions

REPOSITORY = Path(__file__).parents[1]
LINE = r"\[\d\d/\d\d/\d\d \d\d:\d\d:\d\d INFO\] "


def logged(options, *messages):
    stream = io.StringIO()
    with Logger(options, stream) as logger:
        for message in messages:
            logger.info(message)
    return stream.getvalue()


def test_a_line():
    assert re.fullmatch(LINE + "Tokens: 3\n", logged(LoggerOptions(), "Tokens: 3"))


def test_a_message_stays_on_its_line():
    assert logged(LoggerOptions(), "two\nlines").endswith("two\\nlines\n")


def test_a_tag_comes_first():
    assert re.fullmatch(f"run1 {LINE}x\n", logged(LoggerOptions(log_tag="run1"), "x"))


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("DEBUG", "DEBUG INFO WARNING ERROR"),
        ("INFO", "INFO WARNING ERROR"),
        ("WARNING", "WARNING ERROR"),
        ("ERROR", "ERROR"),
        ("NONE", ""),
    ],
)
def test_levels(level, shown):
    stream = io.StringIO()
    with Logger(LoggerOptions(log_level=level), stream) as logger:
        logger.debug("")
        logger.info("")
        logger.warning("")
        logger.error("")
    assert re.findall("[A-Z]+", stream.getvalue()) == shown.split()


def test_nothing_at_all(tmp_path):
    log = tmp_path / "run.log"
    assert logged(LoggerOptions(disable_logs=True, log_file=str(log)), "x") == ""
    assert not log.exists()


def test_a_closed_standard_output_is_no_reason_to_fail():
    with Logger(LoggerOptions(), None) as logger:
        logger.info("x")


def test_a_file_is_appended_to(tmp_path):
    log = tmp_path / "run.log"
    log.write_bytes("vorher ä\n".encode())
    assert logged(LoggerOptions(log_file=str(log)), "ﬁrst", "odd \udcff") == ""
    lines = log.read_bytes().decode("utf-8").splitlines()
    assert lines[0] == "vorher ä"
    assert re.fullmatch(LINE + "ﬁrst", lines[1])
    assert lines[2].endswith("odd \\udcff")


class TestJson:
    def test_a_complete_array_after_every_entry(self, tmp_path):
        log = tmp_path / "run.json"
        options = LoggerOptions(log_file=str(log), log_level="ERROR")
        for run in range(2):
            with Logger(options, None) as logger:
                assert len(json.loads(log.read_bytes())) == 2 * run
                logger.debug("ä")
                logger.warning('"\n')
                assert len(json.loads(log.read_bytes())) == 2 * run + 2
        entries = json.loads(log.read_bytes())
        assert [entry[0] for entry in entries] == ["DEBUG", "WARNING"] * 2
        assert [entry[2] for entry in entries] == ["ä", '"\\n'] * 2
        assert re.fullmatch(r"\d\d/\d\d/\d\d \d\d:\d\d:\d\d", entries[0][1])

    @pytest.mark.parametrize("content", ["{}", "not json", "[" * 100000, '[["INFO", "", ""'])
    def test_another_file_is_left_alone(self, tmp_path, content):
        log = tmp_path / "data.json"
        log.write_text(content)
        with pytest.raises(OptionError, match="not a log of this toolkit"):
            Logger(LoggerOptions(log_file=str(log)), None)
        assert log.read_text() == content


def test_a_progress_bar_steps_aside():
    tqdm = pytest.importorskip("tqdm")
    stream = io.StringIO()
    with tqdm.tqdm(total=3, file=stream), Logger(LoggerOptions(), stream) as logger:
        logger.info("x")
    assert re.search(LINE + "x\n", stream.getvalue())


class Full(io.StringIO):
    """A stream whose flush raises the error while `full` is set."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.full = False

    def flush(self):
        if self.full:
            raise self.error


class TestLogThatCannotBeWritten:
    @pytest.mark.parametrize(
        "error", [OSError(errno.ENOSPC, "No space left"), BrokenPipeError(32, "Broken pipe")]
    )
    def test_a_stream_is_outlived_by_who_says_so(self, error, capsys):
        stream = Full(error)
        with Logger(LoggerOptions(), stream) as logger:
            stream.full = True
            with pytest.raises(OSError, match=error.strerror):
                logger.info("1")
            logger.outlives_stream()
            logger.info("2")
            logger.info("3")
            stream.full = False
            logger.info("4")
        assert capsys.readouterr().err == f"warning: cannot write the log ({error.strerror}); going on\n"
        assert stream.getvalue().endswith("4\n")

    # A limit on file sizes acts like a full disk, partial writes included.
    PROGRAM = """
import resource, sys
from onmt.logger import Logger, LoggerOptions
path, limit = sys.argv[1], int(sys.argv[2])
with Logger(LoggerOptions(log_file=path), None) as logger:
    logger.info("first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    logger.info("x" * 100)
    logger.info("y" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    logger.info("last")
"""

    @pytest.mark.parametrize("name", ["run.log", "run.json"])
    @pytest.mark.parametrize("limit", [45, 60, 200])
    def test_a_full_disk(self, tmp_path, name, limit):
        path = tmp_path / name
        command = [sys.executable, "-c", self.PROGRAM, str(path), str(limit)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0
        assert done.stderr == f"warning: cannot write the log to '{path}' (File too large); going on\n"
        if name == "run.json":
            messages = [entry[2] for entry in json.loads(path.read_bytes())]
            assert messages == ["first", *["x" * 100] * (limit == 200), "last"]
            with Logger(LoggerOptions(log_file=str(path)), None) as logger:
                logger.info("next")
            assert json.loads(path.read_bytes())[-1][2] == "next"
        else:
            assert path.read_text().startswith("[")
            assert path.read_text().endswith("last\n")

    @given(cut=st.integers(0, 140), entries=st.integers(1, 3))
    def test_a_torn_log_is_taken_up_again(self, tmp_path_factory, cut, entries):
        log = tmp_path_factory.mktemp("log") / "run.json"
        options = LoggerOptions(log_file=str(log))
        with Logger(options, None) as logger:
            for number in range(entries):
                logger.info(f"{number} ä")
        content = log.read_bytes()
        log.write_bytes(content[: max(1, len(content) - cut)])
        with Logger(options, None) as logger:
            logger.info("next")
        found = [entry[2] for entry in json.loads(log.read_bytes())]
        whole = [f"{number} ä" for number in range(entries)]
        assert found == [*whole[: len(found) - 1], "next"]
        assert len(found) - 1 >= entries - 1 - cut // 30
