"""Checks that hold for every recurrent layer, whichever code path computes it."""

import torch
from torch import Tensor

from onmt.modules.rnn import RecurrentLayer


def check_as_if_alone(
    layer: RecurrentLayer, inputs: Tensor, states: tuple[Tensor, ...], lengths: Tensor
) -> None:
    """Outputs and last states of a sentence don't depend on its batch; outputs after its end are zero."""
    outputs, final = layer(inputs, states, lengths)
    for row, length in enumerate(lengths.tolist()):
        own = tuple(state[row : row + 1] for state in states)
        alone, alone_final = layer(inputs[:length, row : row + 1], own, None)
        torch.testing.assert_close(outputs[:length, row : row + 1], alone)
        assert not outputs[length:, row].any()
        for state, alone_state in zip(final, alone_final, strict=True):
            torch.testing.assert_close(state[row : row + 1], alone_state)
