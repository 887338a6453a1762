"""A batch: padded tensors, their true lengths, and the counts that logs and losses divide by."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import PAD


@dataclass(frozen=True)
class Copies:
    """Words with ids in a vocabulary that every sentence extends by those of its source, see `CopySource`.

    source: B S int64, PAD behind a sentence's end; target: B T int64, words of `tgt_output`; size: one more
    than the largest id that may be.
    """

    source: Tensor
    target: Tensor | None
    size: int


@dataclass(frozen=True)
class Batch:
    """Some sentences as tensors: B sentences, S and T positions of the longest one, F = 1 + word features.

    Everything is padded on the right with PAD (vectors with zeros). The words are column 0 of F. An image is
    one source position.
    A language model has no target: it reads `<s> w1..wn </s>` as its source and predicts `src[:, 1:]`.
    """

    src: Tensor  # B S F int64; vectors: B S D float32; images: B 3 height width uint8
    src_lengths: Tensor  # B int64, true positions
    tgt_input: Tensor | None  # B T F int64, <s> w1..wn
    tgt_output: Tensor | None  # B T F int64, w1..wn </s>
    size: int  # B
    src_words: int  # true source positions of all sentences together
    tgt_words: int  # perplexity's divisor: true positions of tgt_output; without target: src_words
    indices: Tensor  # B int64, the sentences' positions in the data set
    host_lengths: Tensor | None = None  # B int64, src_lengths on the CPU once those lie on another device
    host_tgt_lengths: Tensor | None = None  # B int64 on the CPU, true positions of tgt_output, where known
    copies: Copies | None = None  # where the words themselves are known and can be copied

    @property
    def lengths_on_host(self) -> Tensor:
        """src_lengths on the CPU, B int64."""
        return self.src_lengths.cpu() if self.host_lengths is None else self.host_lengths

    @property
    def lengths_if_uneven(self) -> Tensor | None:
        """`lengths_on_host`, or None where no sentence is padded."""
        return self.lengths_on_host if self.src_words < self.src.shape[0] * self.src.shape[1] else None

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch with its tensors on `device`; the copies to a GPU are asynchronous."""
        device = torch.device(device)
        return replace(
            self,
            src=to_device(self.src, device),
            src_lengths=to_device(self.src_lengths, device),
            tgt_input=None if self.tgt_input is None else to_device(self.tgt_input, device),
            tgt_output=None if self.tgt_output is None else to_device(self.tgt_output, device),
            indices=to_device(self.indices, device),
            host_lengths=None if device.type == "cpu" else self.lengths_on_host,
            copies=None if self.copies is None else _copies_to(self.copies, device),
        )


def _copies_to(copies: Copies, device: torch.device) -> Copies:
    target = None if copies.target is None else to_device(copies.target, device)
    return Copies(to_device(copies.source, device), target, copies.size)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device, without waiting for a copy to a GPU.

    Such a copy is asynchronous only from page-locked memory; from other memory the host waits for it whatever
    `non_blocking` says.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        with torch.cuda.device(
            device
        ):  # a new thread's is the first GPU, which would get a context for nothing
            return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def make_batch(
    src: npt.NDArray[np.int64] | npt.NDArray[np.float32] | npt.NDArray[np.uint8],
    src_lengths: npt.NDArray[np.int64],
    tgt: npt.NDArray[np.int64] | None,
    tgt_lengths: npt.NDArray[np.int64] | None,
    indices: npt.NDArray[np.int64],
) -> Batch:
    """A batch from padded arrays.

    src: B S F ids, B S D vectors or B 3 height width images; src_lengths: B.
    indices: B, positions in the data set.
    tgt: B T+1 F ids, `<s> w1..wn </s>` padded with PAD; tgt_lengths: B, n + 2 each. Both None: no target.
    """
    src_words = int(src_lengths.sum())
    tgt_input = tgt_output = None
    tgt_words = src_words
    steps: Tensor | None = None
    if tgt is not None and tgt_lengths is not None:
        target = torch.from_numpy(tgt)
        steps = torch.from_numpy(tgt_lengths - 1)
        ended = torch.arange(tgt.shape[1] - 1) >= steps[:, None]
        tgt_output = target[:, 1:].contiguous()
        # What a sentence has at its last position, </s>, is predicted but never read.
        tgt_input = target[:, :-1].masked_fill(ended[:, :, None], PAD)
        tgt_words = int(steps.sum())
    return Batch(
        src=torch.from_numpy(src),
        src_lengths=torch.from_numpy(src_lengths),
        tgt_input=tgt_input,
        tgt_output=tgt_output,
        size=len(indices),
        src_words=src_words,
        tgt_words=tgt_words,
        indices=torch.from_numpy(indices),
        host_tgt_lengths=steps,
    )


def pad_sequences(sequences: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Sequences of shape (length, F) side by side as B L F, padded on the right with PAD."""
    longest = max(len(sequence) for sequence in sequences)
    padded = np.full((len(sequences), longest, sequences[0].shape[1]), PAD, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return padded
