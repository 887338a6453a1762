"""Draw words at random from a model's distribution, by uniform numbers that are given."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """From what to draw: p_i ~ exp(log_prob_i / temperature), restricted and normalised again.

    top_k: the likeliest words (0: all). top_p: the fewest likeliest words whose probabilities reach this sum
    (0: all); where both are given, the fewer.
    """

    top_k: int = 0
    top_p: float = 0.0
    temperature: float = 1.0


def draw(log_probs: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
    """Word ids R, drawn from log_probs R V by uniform numbers R in [0, 1); a word of -inf never comes.

    The nucleus (`top_p`) is that of Holtzman et al. 2020, "The curious case of neural text degeneration".
    """
    probs = torch.softmax(log_probs.double() / sampling.temperature, dim=1).nan_to_num()
    words = None
    if sampling.top_k or sampling.top_p:
        count = probs.shape[1] if sampling.top_k == 0 else min(sampling.top_k, probs.shape[1])
        probs, words = probs.topk(count, dim=1)
    if sampling.top_p:
        before = probs.cumsum(dim=1) - probs
        probs = probs.masked_fill(before >= sampling.top_p, 0.0)
    places = _places(probs, draws)
    return places if words is None else words.gather(1, places[:, None]).squeeze(1)


def _places(probs: Tensor, draws: Tensor) -> Tensor:
    """Columns drawn in proportion to `probs`, R N, by uniform numbers R."""
    sums = probs.cumsum(dim=1)
    wanted = draws[:, None] * sums[:, -1:]
    places = torch.searchsorted(sums, wanted, right=True)
    last = (sums < sums[:, -1:]).sum(dim=1, keepdim=True)  # where rounding takes the product up to the sum
    return torch.minimum(places, last).squeeze(1)
