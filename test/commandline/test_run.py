import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from onmt.commandline.run import run
from onmt.commandline.script import Script
from onmt.errors import CheckpointError, DataError, OptionError
from onmt.logger import LoggerOptions

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def quiet_script():
    return Script(name="tools/toy.py", summary="Logs.", choose=lambda _: LoggerOptions)


def failing_with(error):
    def execute(parsed, logger):
        raise error

    return execute


def test_a_signal_counts_even_if_the_cleanup_after_it_fails(quiet_script, capsys):
    def execute(parsed, logger):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            raise RuntimeError("cannot release un-acquired lock")

    assert run(quiet_script, execute, []) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "toy.py: interrupted by SIGTERM\n"


def test_success(quiet_script, capsys):
    def execute(parsed, logger):
        logger.info("done")
        print("☺")

    assert run(quiet_script, execute, []) == 0
    output = capsys.readouterr()
    assert "INFO] done" in output.out
    assert "☺" in output.out
    assert output.err == ""
    assert run(quiet_script, lambda parsed, logger: 3, []) == 3


def test_help_and_version(quiet_script, capsys):
    assert run(quiet_script, failing_with(AssertionError()), ["-h"]) == 0
    assert capsys.readouterr().out.startswith("Usage: tools/toy.py [options]")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (OptionError("odd"), 2, "toy.py: odd"),
        (DataError("a.txt:3: odd"), 1, "toy.py: a.txt:3: odd"),
        (CheckpointError("two\nlines\r"), 1, "toy.py: two\\nlines\\r"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out.txt"),
            1,
            "toy.py: out.txt: No space left on device",
        ),
        (OSError(errno.EIO, "Input/output error"), 1, "toy.py: Input/output error"),
        (OSError("strange"), 1, "toy.py: strange"),
        (KeyboardInterrupt(), 130, "toy.py: interrupted"),
    ],
)
def test_failures_are_one_line(quiet_script, capsys, error, code, line):
    assert run(quiet_script, failing_with(error), []) == code
    output = capsys.readouterr()
    assert output.err == f"{line}\n"
    assert output.out == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 3"),
        RuntimeError("Storage size calculation overflowed with sizes=[9]"),
        TypeError("empty(): argument 'size' failed: Overflow when unpacking long long"),
    ],
)
def test_out_of_memory(quiet_script, capsys, error):
    assert run(quiet_script, failing_with(error), []) == 1
    assert capsys.readouterr().err.startswith("toy.py: out of memory: smaller batches")


def test_a_closed_pipe_is_no_failure_to_talk_about(quiet_script, capsys):
    assert run(quiet_script, failing_with(BrokenPipeError()), []) == 141
    assert capsys.readouterr().err == ""


def test_bugs_keep_their_traceback(quiet_script):
    with pytest.raises(ZeroDivisionError):
        run(quiet_script, failing_with(ZeroDivisionError()), [])


def test_the_log_file_tells_why_a_run_ended(quiet_script, tmp_path, capsys):
    log = tmp_path / "run.log"
    assert run(quiet_script, failing_with(DataError("odd")), ["-log_file", str(log)]) == 1
    assert log.read_text().endswith("ERROR] odd\n")
    assert capsys.readouterr().err == "toy.py: odd\n"


def test_notices_and_warnings(script, tmp_path, capsys):
    config = tmp_path / "my.conf"
    config.write_text("layers = 3\n")
    argv = ["-save_data", "x", "-config", str(config), "-layers", "4", "-brnn"]
    assert run(script, lambda parsed, logger: None, argv) == 0
    output = capsys.readouterr()
    assert output.out.endswith(f"INFO] {config}:1: layers is overridden by -layers on the command line\n")
    assert output.err == "toy.py: option -brnn is deprecated, use -encoder brnn\n"


def test_the_log_leaves_standard_output_to_data(capsys):
    script = Script(name="toy.py", summary="", choose=lambda _: LoggerOptions, data_on_stdout=lambda _: True)
    assert run(script, lambda parsed, logger: logger.info("done"), []) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert "INFO] done" in output.err


class TestProcess:
    """Behaviour that only a separate process can show."""

    PROGRAM = textwrap.dedent(
        """
        import sys, time
        from onmt.commandline.run import run
        from onmt.commandline.script import Script
        from onmt.logger import LoggerOptions

        def execute(parsed, logger):
            logger.info("ﬁrst ☺")
            if parsed.options.log_tag == "wait":
                time.sleep(60)
            for _ in range(20000):
                print("a line")

        sys.exit(run(Script(name="toy.py", summary="", choose=lambda _: LoggerOptions), execute))
        """
    )

    @pytest.fixture(autouse=True)
    def program(self, tmp_path):
        self.path = tmp_path / "toy.py"
        self.path.write_text(self.PROGRAM, encoding="utf-8")

    def start(self, *argv, stdout=subprocess.PIPE, **environment):
        return subprocess.Popen(
            [sys.executable, str(self.path), *argv],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        )

    @pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
    def test_text_is_utf8_in_every_locale(self, locale):
        process = self.start(LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        out, err = process.communicate()
        assert (process.returncode, err) == (0, b"")
        assert "ﬁrst ☺".encode() in out

    def test_head_closes_the_pipe(self):
        process = self.start()
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
        process.stderr.close()

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_a_full_disk(self):
        with open("/dev/full", "wb") as full:
            process = self.start(stdout=full)
        _, err = process.communicate()
        assert (process.returncode, err) == (1, b"toy.py: No space left on device\n")

    def test_interrupt(self):
        process = self.start("-log_tag", "wait")
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        assert (process.returncode, err) == (130, b"toy.py: interrupted\n")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_sleep_unless_the_user_wants_otherwise(
    environment, expected, quiet_script, monkeypatch
):
    monkeypatch.setattr(os, "environ", environment)
    seen = []
    run(quiet_script, lambda parsed, logger: seen.append(os.environ.get("GOMP_SPINCOUNT")), [])
    assert seen == [expected]


@pytest.mark.parametrize(("given", "expected"), [(None, "32"), ("7", "7")])
def test_the_cache_of_compiled_products_is_bounded(given, expected, quiet_script, monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    if given is not None:
        monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", given)
    seen = []
    run(quiet_script, lambda parsed, logger: seen.append(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]), [])
    assert seen == [expected]
