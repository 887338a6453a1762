"""CUDA graphs of the pretended GPU.

During a capture every operation is recorded with the tensors that it reads and writes. Synchronisations and
uploads, which a capture forbids, are refused. Afterwards all results are filled with NaN, since a capture
computes nothing. A replay runs the recorded operations again into the same memory, so inputs that were not
copied into the graph's tensors are stale.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten


class CaptureError(RuntimeError):
    """CUDA's error for an operation that is not permitted during a capture."""


@dataclass(frozen=True)
class Recorded:
    """A recorded operation with its operands on the host and its result."""

    function: Any
    args: Any
    kwargs: Any
    result: Any
    stand_in: Any = None

    def run(self) -> None:
        """Compute the result again, into the same memory; views stay as they are."""
        aliases = [entry.alias_info for entry in self.function._schema.returns]
        if any(alias is not None and not alias.is_write for alias in aliases):
            return
        again = (self.stand_in or self.function)(*self.args, **self.kwargs)
        for old, new in zip(tree_flatten(self.result)[0], tree_flatten(again)[0], strict=True):
            if isinstance(old, Tensor) and old is not new:
                old.copy_(new)


@dataclass
class PretendedGraph:
    """A stand-in for torch.cuda.CUDAGraph."""

    session: Any
    records: list[Recorded] = field(default_factory=list)
    generators: list[torch.Generator] = field(default_factory=list)

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.generators.append(generator)

    def replay(self) -> None:
        self.session.ledger.add("launch", "a graph")
        with torch.no_grad(), torch.utils._python_dispatch._disable_current_modes():
            for record in self.records:
                record.run()


@contextlib.contextmanager
def capturing(session: Any, graph: PretendedGraph) -> Iterator[None]:
    """A stand-in for torch.cuda.graph; raises CaptureError for forbidden operations."""
    ledger = session.ledger
    before = ledger.count("sync") + ledger.count("upload")
    session.recording = graph.records
    try:
        yield
    finally:
        session.recording = None
    if ledger.count("sync") + ledger.count("upload") > before:
        raise CaptureError("operation not permitted when stream is capturing")
    known = [generator._cdata for generator in graph.generators]
    for record in graph.records:
        generator = record.kwargs.get("generator")
        if generator is not None and generator._cdata not in known:
            raise CaptureError("a generator that is not registered with the graph")
        for leaf in tree_flatten(record.result)[0]:
            fresh = isinstance(leaf, Tensor) and all(leaf is not arg for arg in tree_flatten(record.args)[0])
            if fresh and leaf.is_floating_point() and record.function._schema.name != "aten::detach":
                with torch.no_grad(), torch.utils._python_dispatch._disable_current_modes():
                    _spoil(leaf, record)


def _spoil(result: Tensor, record: Recorded) -> None:
    """Fill a result with NaN unless it shares an operand's memory, which may exist outside the graph."""
    operands = [leaf for leaf in tree_flatten((record.args, record.kwargs))[0] if isinstance(leaf, Tensor)]
    storages = {operand.untyped_storage().data_ptr() for operand in operands}
    if result.untyped_storage().data_ptr() not in storages:
        result.fill_(float("nan"))
