"""Accounts of what a pretended GPU was asked to do, by phase."""

import contextlib
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Literal

Kind = Literal["launch", "sync", "upload", "pinned upload", "loose weights"]
"""launch: an operation that starts at least one kernel; sync: the host waits for the device; upload: a copy
from pageable memory, which blocks; pinned upload: an asynchronous one; loose weights: cuDNN had to copy the
weights of a recurrent layer because they do not lie in one chunk.
"""


class Ledger:
    """Counts by kind, phase and operation, and the source lines of syncs and uploads."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Kind, str], Counter[str]] = defaultdict(Counter)
        self._places: dict[tuple[Kind, str], Counter[str]] = defaultdict(Counter)
        self._local = threading.local()

    @property
    def phase(self) -> str:
        """What this thread is doing."""
        return getattr(self._local, "phase", "other")

    @contextlib.contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Count what happens in here under `phase`."""
        before, self._local.phase = self.phase, phase
        try:
            yield
        finally:
            self._local.phase = before

    def add(self, kind: Kind, operation: str, count: int = 1) -> None:
        """Record an event of this thread."""
        self._counts[kind, self.phase][operation] += count
        if kind != "launch":
            self._places[kind, self.phase][f"{operation} at {caller()}"] += count

    def count(self, kind: Kind, *phases: str) -> int:
        """Events in these phases; in all of them if none is named."""
        return sum(
            counts.total()
            for (k, phase), counts in self._counts.items()
            if k == kind and phase in (phases or (phase,))
        )

    def operations(self, kind: Kind, *phases: str) -> Counter[str]:
        """Events by operation."""
        total: Counter[str] = Counter()
        for (k, phase), counts in self._counts.items():
            if k == kind and phase in (phases or (phase,)):
                total += counts
        return total

    def places(self, kind: Kind) -> list[str]:
        """Where these events came from, with the phase and how often."""
        return [
            f"{phase}: {place} ({count}x)"
            for (k, phase), counts in self._places.items()
            if k == kind
            for place, count in counts.items()
        ]

    def clear(self) -> None:
        """Start again."""
        self._counts.clear()
        self._places.clear()


def caller() -> str:
    """The innermost line of the project on the stack."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        for root in ("/onmt/", "/benchmarks/"):
            if root in name:
                return f"{root[1:]}{name.rpartition(root)[2]}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return "outside of the project"
