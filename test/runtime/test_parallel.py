"""Parallel work in several processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onmt.errors import DataError, OnmtError
from onmt.runtime.processes import map_in_order

ROOT = Path(__file__).parents[2]


def square(number: int) -> int:
    if number < 0:
        raise DataError(f"{number} is negative")
    if number > 1000:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order(workers: int) -> None:
    assert list(map_in_order(square, range(50), workers)) == [number * number for number in range(50)]
    assert list(map_in_order(square, [], workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_through(workers: int) -> None:
    with pytest.raises(DataError, match="-1 is negative"):
        list(map_in_order(square, [1, 2, -1, 3], workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_only_a_few_items_are_taken_ahead(workers: int) -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = map_in_order(square, numbers(), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert taken <= 3 + 2 * workers + 1


def test_a_process_that_dies_is_an_error() -> None:
    with pytest.raises(OnmtError, match="a worker process ended early"):
        list(map_in_order(square, [1, 2000, 3], 2))


ENDLESS = """
import sys, time
from onmt.commandline.run import run
from onmt.commandline.script import Script
from onmt.logger import LoggerOptions
from onmt.runtime.processes import map_in_order

def sleep(seconds):
    time.sleep(seconds)

def execute(parsed, logger):
    logger.info("begun")
    list(map_in_order(sleep, [0.2] * 1000, 2))

sys.exit(run(Script(name="toy.py", summary="", choose=lambda _: LoggerOptions), execute))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    """Workers end when their parent gets a signal, alone or, as with Ctrl-C, together with them."""
    script = tmp_path / "toy.py"
    script.write_text(ENDLESS)
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"begun" in process.stdout.readline()
        time.sleep(0.1)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        # Workers inherit the pipes, so this returns only when all processes have ended.
        _, errors = process.communicate(timeout=20)
    if number == signal.SIGKILL:
        assert (process.returncode, errors) == (-signal.SIGKILL, b"")
    else:
        name = "" if number == signal.SIGINT else f" by {number.name}"
        assert (process.returncode, errors.decode()) == (128 + number, f"toy.py: interrupted{name}\n")


def test_nothing_is_forked_once_cuda_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    assert set(map_in_order(lambda _: os.getpid(), range(9), 2)) == {os.getpid()}
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: False)
    assert os.getpid() not in set(map_in_order(lambda _: os.getpid(), range(9), 2))
