"""Single tensors saved by Lua (`torch.save('x.t7', tensor)`), such as pretrained word vectors."""

import torch

from onmt.errors import CheckpointError
from onmt.torch7.objects import Tensor
from onmt.torch7.reader import read_t7


def read_tensor(path: str) -> torch.Tensor:
    """The one tensor in a `.t7` file, float32. Raises CheckpointError if it holds anything else."""
    value = read_t7(path)
    if not isinstance(value, Tensor) or value.overlaps:
        raise CheckpointError(f"{path}: this file holds something else than one tensor of word vectors")
    return torch.tensor(value.numpy(), dtype=torch.float32)
