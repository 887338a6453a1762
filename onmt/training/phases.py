"""`-profiler`: how the time of an epoch divides into phases."""

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, TypeVar

import torch

Item = TypeVar("Item")

_TRAINING: Final = ("data", "forward", "backward", "update")
"""Phases of which training consists; the others are beside it."""

_CPU: Final = torch.device("cpu")


class Phases:
    """Adds up the seconds spent in named phases; does nothing unless enabled, for it waits for the device."""

    def __init__(self, enabled: bool, device: torch.device = _CPU) -> None:
        self._enabled = enabled
        self._device = device
        self._seconds: dict[str, float] = {}

    def during(self, name: str) -> AbstractContextManager[None]:
        """The time of this block belongs to phase `name`."""
        return self._measured(name) if self._enabled else nullcontext()

    def waiting(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items; the time they take to come belongs to phase `name`."""
        iterator = iter(items)
        while True:
            with self.during(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def summary(self) -> str | None:
        """One line on the seconds since the last summary, in OpenNMT Lua's form, longest phase first; None if
        nothing was measured.
        """
        longest_first = sorted(self._seconds.items(), key=lambda phase: -phase[1])
        self._seconds = {}
        if not longest_first:
            return None
        steps = [(name, seconds) for name, seconds in longest_first if name in _TRAINING]
        parts = [f"total:{sum(seconds for _, seconds in steps):g}", *_shown(steps)]
        others = [(name, seconds) for name, seconds in longest_first if name not in _TRAINING]
        return "profile: " + ",".join(
            [*(["train:{" + ",".join(parts) + "}"] if steps else []), *_shown(others)]
        )

    @contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        start = _now(self._device)
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + _now(self._device) - start


def _shown(phases: Iterable[tuple[str, float]]) -> list[str]:
    return [f"{name}:{seconds:g}" for name, seconds in phases]


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
