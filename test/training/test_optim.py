import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from onmt.errors import CheckpointError
from onmt.training.gradients import Clipping
from onmt.training.optim import OPTIMIZERS

Update = Callable[[list[np.ndarray], float], np.ndarray]


def sgd(gradients: list[np.ndarray], rate: float) -> np.ndarray:
    return -rate * np.sum(gradients, axis=0)


def adagrad(gradients: list[np.ndarray], rate: float) -> np.ndarray:
    total, moved = np.zeros_like(gradients[0]), np.zeros_like(gradients[0])
    for gradient in gradients:
        total = total + gradient**2
        moved = moved - rate * gradient / (np.sqrt(total) + 1e-10)
    return moved


def adadelta(gradients: list[np.ndarray], rate: float) -> np.ndarray:
    squares, deltas, moved = (np.zeros_like(gradients[0]) for _ in range(3))
    for gradient in gradients:
        squares = 0.9 * squares + 0.1 * gradient**2
        delta = np.sqrt(deltas + 1e-6) / np.sqrt(squares + 1e-6) * gradient
        moved = moved - delta
        deltas = 0.9 * deltas + 0.1 * delta**2
    return moved


def adam(gradients: list[np.ndarray], rate: float) -> np.ndarray:
    mean, squares, moved = (np.zeros_like(gradients[0]) for _ in range(3))
    for t, gradient in enumerate(gradients, start=1):
        mean = 0.9 * mean + 0.1 * gradient
        squares = 0.999 * squares + 0.001 * gradient**2
        size = rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        moved = moved - size * mean / (np.sqrt(squares) + 1e-8)
    return moved


@pytest.mark.parametrize("update", [sgd, adagrad, adadelta, adam])
@pytest.mark.parametrize("scale", [1.0, 1e-7])  # 1e-7: Adam's epsilon decides the step
def test_the_formulas(update: Update, scale: float) -> None:
    draw = np.random.default_rng(3)
    gradients = [draw.normal(size=(4, 3)) * scale for _ in range(7)]
    parameter = torch.zeros(4, 3, dtype=torch.float64)
    optimizer = OPTIMIZERS[update.__name__]({"a": parameter})
    for gradient in gradients:
        optimizer.step([torch.from_numpy(gradient.copy())], 0.1)
    expected = update(gradients, 0.1)
    np.testing.assert_allclose(parameter.numpy(), expected, rtol=1e-6, atol=1e-12 * scale)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_optimiser_goes_on_bit_for_bit(name: str) -> None:
    generator = torch.Generator().manual_seed(4)
    gradients = [
        [torch.randn(5, 2, generator=generator), torch.randn(3, generator=generator)] for _ in range(8)
    ]

    def fresh() -> dict[str, torch.Tensor]:
        return {"a": torch.ones(5, 2), "b": torch.zeros(3)}

    through = fresh()
    optimizer = OPTIMIZERS[name](through)
    for gradient in gradients[:4]:
        optimizer.step([part.clone() for part in gradient], 0.01)
    saved = {key: value.clone() for key, value in through.items()}
    other = OPTIMIZERS[name](saved)
    other.load_state(optimizer.to_state())
    for gradient in gradients[4:]:
        optimizer.step([part.clone() for part in gradient], 0.01)
        other.step([part.clone() for part in gradient], 0.01)
    assert all(torch.equal(through[key], saved[key]) for key in through)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_without_gradient_stays(name: str) -> None:
    parameter = torch.full((2, 2), 0.5)
    optimizer = OPTIMIZERS[name]({"a": parameter})
    for _ in range(3):
        optimizer.step([torch.zeros(2, 2)], 1.0)
    assert torch.equal(parameter, torch.full((2, 2), 0.5))


def test_restart_forgets() -> None:
    first, second = torch.zeros(3), torch.zeros(3)
    used, new = OPTIMIZERS["adam"]({"a": first}), OPTIMIZERS["adam"]({"a": second})
    for _ in range(5):
        used.step([torch.ones(3)], 0.1)
    used.restart()
    first.zero_()
    for optimizer in (used, new):
        optimizer.step([torch.full((3,), -2.0)], 0.1)
    assert torch.equal(first, second)


def test_a_foreign_state_is_refused() -> None:
    state = OPTIMIZERS["adam"]({"a": torch.zeros(3)}).to_state()
    with pytest.raises(CheckpointError, match="state of adam, not sgd"):
        OPTIMIZERS["sgd"]({"a": torch.zeros(3)}).load_state(state)
    with pytest.raises(CheckpointError, match="does not fit parameter 'a'"):
        OPTIMIZERS["adam"]({"a": torch.zeros(4)}).load_state(state)


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 100.0])
def test_clipping_is_global_and_exact(max_norm: float) -> None:
    parts = [np.array([[3.0, 4.0]]), np.array([12.0, 0.0])]
    gradients = [torch.from_numpy(part.copy()) for part in parts]
    norm = Clipping(max_norm).apply(gradients, 2.0)
    assert norm.item() == pytest.approx(13 / 2, rel=1e-15)
    factor = min(1.0, max_norm / 6.5) if max_norm > 0 else 1.0
    for gradient, part in zip(gradients, parts, strict=True):
        np.testing.assert_allclose(gradient.numpy(), part / 2 * factor, rtol=1e-15)


def test_zero_gradients_survive_clipping() -> None:
    gradients = [torch.zeros(3)]
    assert Clipping(5.0).apply(gradients, 1.0).item() == 0
    assert torch.equal(gradients[0], torch.zeros(3))


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_weight_decay_shrinks_weights_before_the_update(name: str) -> None:
    weight, bias = (torch.nn.Parameter(torch.full(shape, 2.0)) for shape in ((2, 3), (3,)))
    plain = [
        torch.nn.Parameter(torch.full((2, 3), 2.0 * (1 - 0.1 * 0.5))),
        torch.nn.Parameter(torch.full((3,), 2.0)),
    ]
    decaying, usual = (OPTIMIZERS[name]({"w": w, "b": b}) for w, b in ((weight, bias), plain))
    decaying.weight_decay = 0.5
    for optimizer in (decaying, usual):
        optimizer.step([torch.ones(2, 3), torch.ones(3)], 0.1)
    assert torch.equal(weight, plain[0])
    assert torch.equal(bias, plain[1])
    before = weight.detach().clone()
    decaying.step([torch.ones(2, 3), torch.ones(3)], 0.1, torch.tensor(False))
    assert torch.equal(weight, before)
