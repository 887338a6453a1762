import re

import pytest

from onmt.training.progress import Phases


def test_phases_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 10.0, 11.0, 20.0, 20.0])
    monkeypatch.setattr("onmt.training.progress._now", lambda _: next(clock))
    phases = Phases(enabled=True)
    with phases.during("forward"):
        pass
    assert list(phases.waiting("data", ["batch"])) == ["batch"]
    assert phases.summary() == "profile: train:{total:4,forward:3,data:1}"
    assert phases.summary() is None


def test_an_exception_still_counts() -> None:
    phases = Phases(enabled=True)
    with pytest.raises(ValueError, match="oops"), phases.during("forward"):
        raise ValueError("oops")
    assert re.fullmatch(r"profile: train:\{total:([\d.e-]+),forward:\1\}", phases.summary() or "")


def test_disabled_phases_measure_nothing() -> None:
    phases = Phases(enabled=False)
    with phases.during("forward"):
        pass
    assert list(phases.waiting("data", range(3))) == [0, 1, 2]
    assert phases.summary() is None
