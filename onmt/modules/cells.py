"""One step of a recurrent cell, given the inputs of its gates. B batch, H hidden, P output.

Sources: OpenNMT-lua onmt/modules/LSTM.lua and GRU.lua; for whatever goes beyond them the cells of
tf.contrib.rnn in TensorFlow 1.0, and for peepholes and projections Sak et al. 2014.
"""

from collections.abc import Callable, Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from onmt.spec.layers import CellSpec

ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "identity": lambda x: x,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}


def lstm_step(
    cell: CellSpec, gates: Tensor, c: Tensor, peepholes: Tensor | None, projection: Tensor | None
) -> tuple[Tensor, Tensor]:
    """gates B 4H (i, f, g, o, before any function), c B H -> the next cell state B H and the output B P.

    peepholes 3 H: the weights with which i and f see the old cell state, and o the new one, clipped; they are
    taken number by number. projection P H maps the output (P = H without), and is clipped last.
    """
    activate = ACTIVATIONS[cell.activation]
    i, f, g, o = gates.chunk(4, -1)
    if peepholes is not None:
        i, f = i + peepholes[0] * c, f + peepholes[1] * c
    c = clipped(torch.sigmoid(f) * c + torch.sigmoid(i) * activate(g), cell.cell_clip)
    if peepholes is not None:
        o = o + peepholes[2] * c
    h = torch.sigmoid(o) * activate(c)
    if projection is not None:
        h = clipped(F.linear(h, projection), cell.projection_clip)
    return c, h


def clipped(values: Tensor, limit: float) -> Tensor:
    """The values between -limit and limit; 0: as they are."""
    if not limit:
        return values
    # torch refuses a limit that the values' own type cannot hold.
    largest = min(limit, torch.finfo(values.dtype).max)
    return values.clamp(-largest, largest)
