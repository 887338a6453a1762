"""Batches that are too large for the memory: found before the first step, and named."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from onmt.data.batch import Batch
from onmt.data.dataset import BatchPlan
from onmt.errors import OnmtError, is_out_of_memory


class BatchTooLargeError(OnmtError):
    """A training step found no memory; the message names its batches and the flags to lower."""


def largest_batch(
    plan: BatchPlan, src_lengths: npt.NDArray[np.integer], tgt_lengths: npt.NDArray[np.integer] | None
) -> int:
    """The index of the batch with the most positions, padding and both sides counted; the first of several.

    src_lengths, tgt_lengths: of all sentences in stored order.
    """
    starts = plan.bounds[:-1]
    longest = np.maximum.reduceat(src_lengths, starts).astype(np.int64)
    if tgt_lengths is not None:
        longest = longest + np.maximum.reduceat(tgt_lengths, starts)
    return int(np.argmax(longest * np.diff(plan.bounds)))


@contextmanager
def naming_batches(batches: Sequence[Batch], when: str) -> Iterator[None]:
    """Turn an allocation failure into BatchTooLargeError; when: the step, as `epoch 1, iteration 2`."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        detail = str(error).partition("\n")[0]
        raise BatchTooLargeError(
            f"out of memory at {when}, with {' and '.join(map(_describe, batches)) or 'no batch'}: lower "
            "-max_batch_size or -max_tokens (-accum_count keeps the sentences per update), the lengths that "
            "preprocessing keeps (-src_seq_length, -tgt_seq_length), or the model's -rnn_size and -layers"
            + (f" ({detail})" if detail else "")
        ) from error


def _describe(batch: Batch) -> str:
    target = "" if batch.tgt_output is None else f" and target length {batch.tgt_output.shape[1]}"
    return f"a batch of {batch.size} sentences of source length {batch.src.shape[1]}{target}"
