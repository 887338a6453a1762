"""Loss scaling: halved by an overflow, doubled after many steps without one."""

import torch

from onmt.training.gradients import LossScale

CPU = torch.device("cpu")


def test_an_overflow_halves_the_scale() -> None:
    scale = LossScale(CPU, {"scale": 8.0, "steps": 5})
    assert scale.update(torch.tensor(torch.nan)).item() is True
    assert scale.to_state() == {"scale": 4.0, "steps": 0}


def test_it_grows_after_many_steps() -> None:
    scale = LossScale(CPU, {"scale": 8.0, "steps": 1998})
    assert scale.update(torch.tensor(1.0)).item() is False
    assert scale.to_state() == {"scale": 8.0, "steps": 1999}
    scale.update(torch.tensor(1.0))
    assert scale.to_state() == {"scale": 16.0, "steps": 0}


def test_it_stays_within_bounds() -> None:
    scale = LossScale(CPU, {"scale": 1.0, "steps": 0})
    assert scale.update(torch.tensor(torch.inf)).item() is False
    assert scale.to_state()["scale"] == 1.0
    scale = LossScale(CPU, {"scale": 2.0**24, "steps": 1999})
    scale.update(torch.tensor(1.0))
    assert scale.to_state()["scale"] == 2.0**24


def test_scaled_gradients_divided_again_are_those_of_the_loss() -> None:
    scale = LossScale(CPU, None)
    weight = torch.tensor([3.0], requires_grad=True)
    scale.scaled(weight.square().sum()).backward()
    assert weight.grad is not None
    assert (weight.grad / scale.divisor(2.0)).tolist() == [3.0]
