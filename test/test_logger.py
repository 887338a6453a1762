import io
import json
import re

import pytest

from onmt.errors import OptionError
from onmt.logger import Logger, LoggerOptions

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
