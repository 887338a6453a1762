"""The output of an encoder, for bridge, attention and decoder."""

from dataclasses import dataclass

import torch
from torch import Tensor

from onmt.modules.copying import CopySource

HostLengths = Tensor | None
"""B, the lengths on the CPU, by which a GPU's sequences are packed; None where no sentence is padded."""


@dataclass(frozen=True)
class Encoding:
    """memory B S H, zero at padding; lengths B; mask B S (True: real), None where nothing is padded; states B
    H each.

    S counts the memory's positions, fewer than the source's after a pyramid. `keys` is what attention
    compares queries with where that differs from the memory it averages. `order` B S': for each original
    source position the memory position that stands for it (-1: none), where the source was transformed.
    `copies`: the words at the memory's positions, where the decoder can copy them.
    """

    memory: Tensor
    lengths: Tensor
    mask: Tensor | None
    states: tuple[Tensor, ...]
    keys: Tensor | None = None
    order: Tensor | None = None
    copies: CopySource | None = None

    def keep(self, sentences: Tensor) -> "Encoding":
        """Only these sentences, in this order."""
        return Encoding(
            self.memory[sentences],
            self.lengths[sentences],
            None if self.mask is None else self.mask[sentences],
            tuple(state[sentences] for state in self.states),
            None if self.keys is None else self.keys[sentences],
            None if self.order is None else self.order[sentences],
            None if self.copies is None else self.copies.keep(sentences),
        )


def padding_mask(lengths: Tensor, steps: int) -> Tensor:
    """lengths B -> B S, True at real positions."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def without_padding(sequence: Tensor, mask: Tensor | None) -> Tensor:
    """sequence B S X, zero where the mask B S is False."""
    return sequence if mask is None else sequence * mask.to(sequence.dtype)[..., None]
