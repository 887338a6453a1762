"""Adam's update with one step counter for all parameters equals torch's with one per parameter."""

import pytest
import torch
from torch import Tensor

from onmt.kernels.updates import adam_update

RATES = (0.1, 0.9, 0.999, 1e-8)


def update(step: int, found_inf: Tensor | None = None) -> list[Tensor]:
    """Return parameters, means and squares after an update, then the same from before it."""
    generator = torch.Generator().manual_seed(5)
    parameters, gradients, means, squares = (
        [torch.rand(3, generator=generator), torch.rand(2, 2, generator=generator)] for _ in range(4)
    )
    before = [tensor.clone() for tensor in (*parameters, *means, *squares)]
    adam_update(parameters, gradients, (means, squares), torch.tensor(float(step)), RATES, found_inf)
    return [*parameters, *means, *squares, *before]


@pytest.mark.parametrize("step", [1, 2, 1000])
def test_it_equals_torchs_public_function(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = update(step)
    monkeypatch.setattr("onmt.kernels.updates._kernel", lambda: None)
    for ours, theirs in zip(found, update(step), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_an_overflow_changes_nothing() -> None:
    changed = update(3, torch.tensor(1.0))
    half = len(changed) // 2
    assert all(map(torch.equal, changed[:half], changed[half:]))
