"""onmt/modules/noise.py: the contents of dropout masks."""

import pytest
import torch

from onmt.modules.noise import Noise


def noise() -> Noise:
    return Noise(torch.Generator().manual_seed(1))


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5, 0.9])
def test_a_share_is_dropped_and_the_mean_stays(probability: float) -> None:
    mask = noise().dropout_mask((1000, 1001), probability, torch.zeros(1))
    assert mask is not None
    kept = torch.tensor(1 / (1 - probability))
    torch.testing.assert_close(mask.unique(), torch.stack([torch.zeros(()), kept]))
    spread = 5 * (probability * (1 - probability) / mask.numel()) ** 0.5
    assert (mask == 0).double().mean().item() == pytest.approx(probability, abs=spread)


def test_neighbours_are_independent() -> None:
    """The four numbers of a mask that come from one random 64-bit integer are uncorrelated."""
    mask = noise().dropout_mask((4_000_000,), 0.5, torch.zeros(1))
    assert mask is not None
    signs = (mask - 1).view(-1, 4)
    agreement = signs.t() @ signs / len(signs)
    assert (agreement - torch.eye(4)).abs().max() < 0.005


def test_the_extremes() -> None:
    assert noise().dropout_mask((3,), 0.0, torch.zeros(1)) is None
    mask = noise().dropout_mask((3,), 1.0, torch.zeros(1))
    assert mask is not None
    assert mask.tolist() == [0, 0, 0]


def test_the_seed_decides() -> None:
    first, second = (noise().dropout_mask((5, 3), 0.3, torch.zeros(1)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert torch.equal(first, second)
