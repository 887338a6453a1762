"""Random numbers without hidden state: each draw has a generator that is seeded by its purpose.

`numpy_generator(seed, "shuffle")` and `torch_generator(seed, "dropout", epoch, iteration, rank)` give the
same numbers on every call, so a resumed run needs only its position, never a generator's state. numpy's
numbers are the same on every machine. torch's are the same on devices of one kind: a CPU and a GPU draw
different numbers, and GPUs of different models may do so too.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_for(seed: int, purpose: str, *counters: int) -> int:
    """Return a 63-bit seed computed from the user's seed, the purpose, and the counters in their order."""
    parts = [str(seed), purpose, *(str(counter) for counter in counters)]
    # Each part has its length in front, so that ("ab", 1, 2) and ("ab", 12) give different seeds.
    text = "".join(f"{len(part)}:{part}," for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little") >> 1


def numpy_generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """Return a numpy generator for one purpose: PCG64, whose numbers are the same on every machine."""
    return np.random.Generator(np.random.PCG64(seed_for(seed, purpose, *counters)))


def torch_generator(
    seed: int, purpose: str, *counters: int, device: "torch.device | str" = "cpu"
) -> "torch.Generator":
    """Return a torch generator on `device` for one purpose; its numbers depend on the kind of device."""
    import torch  # here, because preprocessing only uses numpy and must start without torch

    return torch.Generator(device=device).manual_seed(seed_for(seed, purpose, *counters))
