"""The best of many scores. R rows, V scores per row, K of the best."""

from typing import Final

import torch
from torch import Tensor

_COLUMNS: Final = 32
"""Scores that are first compared with each other: the best K lie in the K columns with the largest maxima."""

_WORTHWHILE: Final = 64
"""Columns of scores per wanted one from which on the detour is faster."""


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row, R V, best first, and their places, R K each; as torch.topk.

    On the CPU torch looks at every score by itself. One vectorised pass over blocks of columns leaves it 32 K
    candidates and V / 32 maxima to look at.
    """
    width = scores.shape[1] // _COLUMNS
    if scores.device.type != "cpu" or width < _WORTHWHILE * count:
        values, places = scores.topk(count, dim=1)
        return values, places
    blocks = scores[:, : width * _COLUMNS].unflatten(1, (_COLUMNS, width))
    columns = blocks.amax(dim=1).topk(count, dim=1).indices
    candidates = blocks.gather(2, columns[:, None].expand(-1, _COLUMNS, -1)).flatten(1)
    rest = scores[:, width * _COLUMNS :]
    values, chosen = torch.cat([candidates, rest], dim=1).topk(count, dim=1)
    inside = chosen // count * width + columns.gather(1, chosen % count)
    return values, torch.where(
        chosen < candidates.shape[1], inside, chosen - candidates.shape[1] + width * _COLUMNS
    )
