"""Signals are remembered, held and raised as Stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onmt.signals import (
    ENDING_SIGNALS,
    SignalHandler,
    Stopped,
    blocked_signals,
    describe_signal,
    handling_signals,
)

ROOT = Path(__file__).parents[1]


def test_the_first_one_is_raised_and_those_after_it_are_ignored() -> None:
    before = [signal.getsignal(number) for number in ENDING_SIGNALS]
    with handling_signals() as handler:
        with pytest.raises(Stopped) as caught:
            signal.raise_signal(signal.SIGUSR1)
        for number in ENDING_SIGNALS:
            signal.raise_signal(number)
        assert handler.received == caught.value.number == signal.SIGUSR1
    assert [signal.getsignal(number) for number in ENDING_SIGNALS] == before


def test_held_signals_are_remembered() -> None:
    with handling_signals() as handler, handler.holding():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        assert handler.received == signal.SIGHUP
        with pytest.raises(Stopped), handler.holding(False):
            pytest.fail("it should have been raised")


def test_the_handler_that_is_there_is_used() -> None:
    with handling_signals() as outer:
        with handling_signals() as inner:
            assert inner is outer
        assert isinstance(signal.getsignal(signal.SIGTERM), SignalHandler)


def test_nohup_stays() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handling_signals() as handler:
            signal.raise_signal(signal.SIGHUP)
            assert handler.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


class Deleted:
    """An object whose destructor raises a signal."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_an_exception_that_would_be_lost_waits(capsys: pytest.CaptureFixture[str]) -> None:
    def delete() -> None:
        Deleted()
        signal.pause()

    with handling_signals() as handler, pytest.raises(Stopped):
        delete()
    assert handler.received == signal.SIGTERM
    assert capsys.readouterr().err == ""


def test_an_import_is_finished_first(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    done = sum(range(10**6))\n"
        "except BaseException as error:\n    raise ImportError('lost') from error\n"
    )
    program = (
        "from onmt.signals import *\nimport signal\nwith handling_signals():\n    try:\n        import slow\n"
        "        signal.pause()\n    except Stopped:\n        print(slow.done)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("499999500000\n", "")


def test_blocked_signals_come_later() -> None:
    received: list[int | None] = []

    def block() -> None:
        with blocked_signals():
            signal.raise_signal(signal.SIGTERM)
            received.append(handler.received)

    with handling_signals() as handler, pytest.raises(Stopped):
        block()
    assert received == [None]


def test_names() -> None:
    assert describe_signal(signal.SIGINT) == "interrupted"
    assert describe_signal(signal.SIGUSR1) == "interrupted by SIGUSR1"
