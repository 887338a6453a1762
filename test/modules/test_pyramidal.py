"""Time reduction against groups of frames computed by hand."""

import pytest
import torch

from onmt.modules.recurrent_encoders import gather_frames, group_positions


def grouped_by_hand(length: int, padded: int, reduction: int, strided: bool) -> list[list[int]]:
    """Return the frames that each reduced frame joins in Lua's left-padded layout; -1 is padding."""
    line = [-1] * (padded - length) + list(range(length))
    if strided:
        apart = padded // reduction
        groups = [[line[j + i * apart] for i in range(reduction)] for j in range(apart)]
    else:
        groups = [line[j * reduction : (j + 1) * reduction] for j in range(padded // reduction)]
    return groups[len(groups) - -(-length // reduction) :]


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize(("reduction", "levels"), [(2, 1), (2, 2), (3, 1), (3, 2)])
def test_groups(reduction: int, levels: int, strided: bool) -> None:
    whole = reduction**levels
    lengths = torch.arange(1, 14)
    padded = (lengths + whole - 1) // whole * whole
    positions, shorter = group_positions(lengths, padded, 13, reduction, strided)
    for row, length in enumerate(lengths.tolist()):
        expected = grouped_by_hand(length, int(padded[row]), reduction, strided)
        assert shorter[row] == len(expected)
        own = positions[row, : len(expected)].clamp(min=-1).tolist()
        assert own == expected
        assert (positions[row, len(expected) :] < 0).all()


def test_gathered_frames_are_zero_where_there_is_none() -> None:
    frames = torch.arange(1.0, 7.0).reshape(1, 3, 2)
    gathered = gather_frames(frames, torch.tensor([[[-1, 0], [1, 2]]]))
    assert gathered.tolist() == [[[[0, 0], [1, 2]], [[3, 4], [5, 6]]]]
