"""Random numbers without hidden state: each draw has a generator seeded by what it is for.

`numpy_generator(seed, "shuffle")` and `torch_generator(seed, "dropout", epoch, iteration, rank)` give the
same numbers whenever they are asked: a resumed run needs positions only, never a generator's state. numpy's
are the same on every machine, torch's on every device of one kind: a CPU and a GPU draw different ones, and
so may GPUs of different models.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_for(seed: int, purpose: str, *counters: int) -> int:
    """A seed of 63 bits that depends on the user's seed, on the purpose, and on each counter at its place."""
    parts = [str(seed), purpose, *(str(counter) for counter in counters)]
    # The lengths keep ("ab", 1, 2) and ("ab", 12) apart.
    text = "".join(f"{len(part)}:{part}," for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little") >> 1


def numpy_generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """A numpy generator for one purpose; PCG64, whose numbers are the same on every machine."""
    return np.random.Generator(np.random.PCG64(seed_for(seed, purpose, *counters)))


def torch_generator(
    seed: int, purpose: str, *counters: int, device: "torch.device | str" = "cpu"
) -> "torch.Generator":
    """A torch generator on `device` for one purpose; its numbers depend on the kind of device."""
    import torch  # here, because preprocessing draws from numpy only and must start without torch

    return torch.Generator(device=device).manual_seed(seed_for(seed, purpose, *counters))
