"""A record of the work that a pretended GPU was asked to do, by phase."""

import contextlib
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Literal

Kind = Literal["launch", "sync", "upload", "pinned upload", "loose weights"]
"""Kinds of events.

launch: a kernel is launched (counts are lower bounds); sync: the host waits for the device; upload: a
blocking copy to the device; pinned upload: an asynchronous copy from pinned memory; loose weights: cuDNN had
to copy the weights of a recurrent layer because they do not lie in one chunk.
"""


class Ledger:
    """Counts of events by kind, phase and operation, with source lines for all kinds but launches."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Kind, str], Counter[str]] = defaultdict(Counter)
        self._places: dict[tuple[Kind, str], Counter[str]] = defaultdict(Counter)
        self._local = threading.local()

    @property
    def phase(self) -> str:
        """The current phase of this thread."""
        return getattr(self._local, "phase", "other")

    @contextlib.contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Count events of this thread under `phase` within the context."""
        before, self._local.phase = self.phase, phase
        try:
            yield
        finally:
            self._local.phase = before

    def add(self, kind: Kind, operation: str, count: int = 1) -> None:
        """Record `count` events under this thread's phase."""
        self._counts[kind, self.phase][operation] += count
        if kind != "launch":
            self._places[kind, self.phase][f"{operation} at {caller()}"] += count

    def count(self, kind: Kind, *phases: str) -> int:
        """Return the number of events in these phases, or in all phases if none is named."""
        return sum(
            counts.total()
            for (k, phase), counts in self._counts.items()
            if k == kind and phase in (phases or (phase,))
        )

    def operations(self, kind: Kind, *phases: str) -> Counter[str]:
        """Return the number of events by operation, in these phases or in all."""
        total: Counter[str] = Counter()
        for (k, phase), counts in self._counts.items():
            if k == kind and phase in (phases or (phase,)):
                total += counts
        return total

    def places(self, kind: Kind) -> list[str]:
        """Return the source lines of these events, with phase, operation and count."""
        return [
            f"{phase}: {place} ({count}x)"
            for (k, phase), counts in self._places.items()
            if k == kind
            for place, count in counts.items()
        ]

    def clear(self) -> None:
        """Forget all events."""
        self._counts.clear()
        self._places.clear()


def caller() -> str:
    """Return the innermost source line of the project on the call stack."""
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
