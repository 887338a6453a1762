"""Encoded sentences on their way to the shards: kept on disk, put into order there."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from onmt.data.encoding import EncodedBlock, SideRules
from onmt.data.storage import SideArrays

_SENTENCES_AT_A_TIME: Final = 1 << 16


class Spool:
    """Takes encoded blocks and gives back all of them as memory-mapped arrays; use as a context manager.

    The files have no names: nothing of them is left, however the program ends.
    """

    def __init__(self, folder: Path, rules: Sequence[SideRules]) -> None:
        """`folder`: where there is room for the files. `rules`: of each side that will come."""
        self._stack = ExitStack()
        self._sides = [_SpooledSide(self._stack, folder, side) for side in rules]

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def append(self, block: EncodedBlock) -> None:
        """Add the sentences of a block."""
        for side, lengths, values in zip(self._sides, block.lengths, block.values, strict=True):
            side.append(lengths, values)

    def sides(self) -> tuple[SideArrays, ...]:
        """All sentences, in the order in which they came."""
        return tuple(side.arrays() for side in self._sides)


class _SpooledSide:
    def __init__(self, stack: ExitStack, folder: Path, rules: SideRules) -> None:
        self._dtype = rules.dtype
        self._width = rules.width
        self._positions = 0
        self._files = [stack.enter_context(_nameless_file(folder)) for _ in range(3)]

    def append(self, lengths: npt.NDArray[np.int32], values: npt.NDArray[Any]) -> None:
        ends = self._positions + np.cumsum(lengths, dtype=np.int64)
        if len(ends):
            self._positions = int(ends[-1])
        for file, array in zip(
            self._files, (ends - lengths, lengths, values.astype(self._dtype, copy=False)), strict=True
        ):
            file.write(array.tobytes())

    def arrays(self) -> SideArrays:
        offsets, lengths, values = self._files
        return SideArrays(
            offsets=_mapped(offsets, np.int64),
            lengths=_mapped(lengths, np.int32),
            values=_mapped(values, self._dtype).reshape(-1, self._width),
        )


def _nameless_file(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _mapped(file: IO[bytes], dtype: type[np.generic]) -> npt.NDArray[Any]:
    file.flush()
    if file.tell() == 0:
        return np.empty(0, dtype=dtype)
    return np.memmap(file, dtype=dtype, mode="r").view(np.ndarray)


def sentence_order(
    src_lengths: npt.NDArray[np.int32], generator: np.random.Generator | None, sort: bool
) -> npt.NDArray[np.int32]:
    """Random if there is a `generator`, then, with `sort`, by source length; equals stay as they were.

    It takes 8 bytes per sentence.
    """
    order = np.arange(len(src_lengths), dtype=np.int32)
    if generator is not None:
        generator.shuffle(order)
    return _sorted_by_length(order, src_lengths) if sort else order


def _sorted_by_length(order: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """A stable counting sort, a piece at a time: numpy's own would take several times the memory."""
    longest = int(lengths.max(initial=0))
    pieces = [slice(i, i + _SENTENCES_AT_A_TIME) for i in range(0, len(order), _SENTENCES_AT_A_TIME)]
    frequencies = sum(
        (np.bincount(lengths[piece], minlength=longest + 1) for piece in pieces),
        start=np.zeros(longest + 1, dtype=np.int64),
    )
    next_place = np.cumsum(frequencies) - frequencies
    result = np.empty_like(order)
    for piece in pieces:
        by_length = order[piece][np.argsort(lengths[order[piece]], kind="stable")]
        here = lengths[by_length]
        first_of_length = np.searchsorted(here, here)
        result[next_place[here] + np.arange(len(here)) - first_of_length] = by_length
        next_place += np.bincount(here, minlength=longest + 1)
    return result
