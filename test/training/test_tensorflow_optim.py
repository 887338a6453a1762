"""TensorFlow 1.0's optimisers against their formulas in numpy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from onmt.errors import CheckpointError, OptionError
from onmt.google.optimisation import OptimizerSettings, optimizer_settings
from onmt.google.parameters import MODELS
from onmt.training.gradients import Clipping
from onmt.training.optim import Optimizer
from onmt.training.recipe import tensorflow_optimizer

Array = np.ndarray
RATE = 0.1


def settings(name: str, **params: Any) -> OptimizerSettings:
    chosen = {"optimizer.name": name, "optimizer.params": params}
    return optimizer_settings({**MODELS["BasicSeq2Seq"], **chosen})


def make(name: str, parameters: dict[str, torch.Tensor], **params: Any) -> Optimizer:
    return tensorflow_optimizer(settings(name, **params), parameters, frozenset({"table"}))


def sgd(p: Array, gradients: list[Array]) -> Array:
    for g in gradients:
        p = p - RATE * g
    return p


def adam(
    p: Array, gradients: list[Array], beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> Array:
    m = v = np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        size = RATE * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        p = p - size * m / (np.sqrt(v) + epsilon)
    return p


def momentum(p: Array, gradients: list[Array], momentum: float, use_nesterov: bool = False) -> Array:
    a = np.zeros_like(p)
    for g in gradients:
        a = momentum * a + g
        p = p - RATE * (g + momentum * a if use_nesterov else a)
    return p


def adagrad(p: Array, gradients: list[Array], initial_accumulator_value: float = 0.1) -> Array:
    a = np.full_like(p, initial_accumulator_value)
    for g in gradients:
        a = a + g**2
        p = p - RATE * g / np.sqrt(a)
    return p


def rmsprop(
    p: Array,
    gradients: list[Array],
    decay: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-10,
    centered: bool = False,
) -> Array:
    ms, mg, mom = np.ones_like(p), np.zeros_like(p), np.zeros_like(p)
    for g in gradients:
        ms = decay * ms + (1 - decay) * g**2
        mg = decay * mg + (1 - decay) * g if centered else mg
        mom = momentum * mom + RATE * g / np.sqrt(ms - mg**2 + epsilon)
        p = p - mom
    return p


def ftrl(
    p: Array,
    gradients: list[Array],
    learning_rate_power: float = -0.5,
    initial_accumulator_value: float = 0.1,
    l1_regularization_strength: float = 0.0,
    l2_regularization_strength: float = 0.0,
) -> Array:
    a, z = np.full_like(p, initial_accumulator_value), np.zeros_like(p)
    for g in gradients:
        new = a + g**2
        z = z + g - (new**-learning_rate_power - a**-learning_rate_power) / RATE * p
        quadratic = new**-learning_rate_power / RATE + 2 * l2_regularization_strength
        moved = (np.sign(z) * l1_regularization_strength - z) / quadratic
        p, a = np.where(np.abs(z) > l1_regularization_strength, moved, 0.0), new
    return p


CASES: list[tuple[str, Callable[..., Array], dict[str, Any]]] = [
    ("SGD", sgd, {}),
    ("Adam", adam, {}),
    ("Adam", adam, {"beta1": 0.5, "beta2": 0.9, "epsilon": 8e-7}),
    ("Momentum", momentum, {"momentum": 0.9}),
    ("Momentum", momentum, {"momentum": 0.9, "use_nesterov": True}),
    ("Adagrad", adagrad, {}),
    ("Adagrad", adagrad, {"initial_accumulator_value": 2.0}),
    ("RMSProp", rmsprop, {}),
    ("RMSProp", rmsprop, {"decay": 0.5, "momentum": 0.3, "epsilon": 0.1}),
    ("RMSProp", rmsprop, {"centered": True}),
    ("RMSProp", rmsprop, {"centered": True, "decay": 0.4, "momentum": 0.3, "epsilon": 0.1}),
    ("Ftrl", ftrl, {}),
    ("Ftrl", ftrl, {"learning_rate_power": -0.3, "initial_accumulator_value": 0.5}),
    ("Ftrl", ftrl, {"l1_regularization_strength": 0.4, "l2_regularization_strength": 0.2}),
]


@pytest.mark.parametrize(("name", "formula", "params"), CASES)
def test_the_formulas(name: str, formula: Callable[..., Array], params: dict[str, Any]) -> None:
    draw = np.random.default_rng(3)
    start, gradients = draw.normal(size=(4, 3)), [draw.normal(size=(4, 3)) for _ in range(6)]
    parameter = torch.from_numpy(start.copy())
    optimizer = make(name, {"a": parameter}, **params)
    for gradient in gradients:
        optimizer.step([torch.from_numpy(gradient.copy())], RATE)
    np.testing.assert_allclose(parameter.numpy(), formula(start, gradients, **params), rtol=1e-9)


@pytest.mark.parametrize(("name", "formula", "params"), CASES)
def test_rows_of_words_that_did_not_occur_stay(
    name: str, formula: Callable[..., Array], params: dict[str, Any]
) -> None:
    draw = np.random.default_rng(4)
    start = draw.normal(size=(3, 2))
    gradients = [draw.normal(size=(3, 2)) for _ in range(4)]
    for gradient in gradients:
        gradient[1] = 0
    parameter = torch.from_numpy(start.copy())
    optimizer = make(name, {"table": parameter}, **params)
    for gradient in gradients:
        optimizer.step([torch.from_numpy(gradient.copy())], RATE)
    np.testing.assert_array_equal(parameter[1].numpy(), start[1])
    occurred = [0, 2]
    expected = formula(start[occurred], [gradient[occurred] for gradient in gradients], **params)
    np.testing.assert_allclose(parameter[occurred].numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize(("name", "formula", "params"), CASES)
def test_a_restored_optimiser_goes_on_bit_for_bit(
    name: str, formula: Callable[..., Array], params: dict[str, Any]
) -> None:
    generator = torch.Generator().manual_seed(4)
    gradients = [torch.randn(5, 2, generator=generator) for _ in range(8)]
    through = {"a": torch.ones(5, 2)}
    optimizer = make(name, through, **params)
    for gradient in gradients[:4]:
        optimizer.step([gradient.clone()], RATE)
    saved = {"a": through["a"].clone()}
    other = make(name, saved, **params)
    other.load_state(optimizer.to_state())
    for gradient in gradients[4:]:
        optimizer.step([gradient.clone()], RATE)
        other.step([gradient.clone()], RATE)
    assert torch.equal(through["a"], saved["a"])


@pytest.mark.parametrize(("name", "formula", "params"), CASES)
def test_a_restarted_optimiser_begins_anew(
    name: str, formula: Callable[..., Array], params: dict[str, Any]
) -> None:
    draw = np.random.default_rng(5)
    gradients = [draw.normal(size=(4, 3)) for _ in range(3)]
    parameter = torch.from_numpy(draw.normal(size=(4, 3)))
    optimizer = make(name, {"a": parameter}, **params)
    optimizer.step([torch.from_numpy(draw.normal(size=(4, 3)))], RATE)
    optimizer.restart()
    start = parameter.numpy().copy()
    for gradient in gradients:
        optimizer.step([torch.from_numpy(gradient.copy())], RATE)
    np.testing.assert_allclose(parameter.numpy(), formula(start, gradients, **params), rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        ("Adadelta", {}, "optimizer.name 'Adadelta' is not known"),
        ("Adam", {"beta_1": 0.5}, "no parameter 'beta_1'; did you mean beta1"),
        ("Adam", {"beta1": 1.0}, "beta1 must be at least 0 and below 1"),
        ("Adam", {"epsilon": "small"}, "epsilon must be a number"),
        ("Adam", {"epsilon": 0}, "epsilon of Adam must be above 0"),
        ("SGD", {"momentum": 0.5}, "no parameter 'momentum'"),
        ("Momentum", {}, "Momentum needs a `momentum`"),
        ("Momentum", {"momentum": None}, "Momentum needs a `momentum`"),
        ("Momentum", {"momentum": 0.5, "use_nesterov": 1}, "use_nesterov must be true or false"),
        ("Adagrad", {"initial_accumulator_value": 0.0}, "must be above 0"),
        ("RMSProp", {"decay": -0.5}, "decay must be at least 0 and below 1"),
        ("RMSProp", {"centered": 1}, "centered must be true or false"),
        (
            "RMSProp",
            {"use_locking": True},
            "use_locking is not supported: nothing changes parameters at the",
        ),
        ("Adam", {"use_locking": False}, "use_locking is not supported"),
        ("Adam", {"learning_rate": 0.1}, "learning_rate is not supported: optimizer.learning_rate gives it"),
        ("Ftrl", {"learning_rate_power": 0.5}, "learning_rate_power must be at most 0, not 0.5"),
        ("Ftrl", {"l1_regularization_strength": -1.0}, "must be at least 0"),
    ],
)
def test_arguments_are_checked(name: str, params: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        settings(name, **params)


def test_rounding_leaves_no_negative_variance() -> None:
    parameter = torch.zeros(200)
    optimizer = make("RMSProp", {"a": parameter}, centered=True)
    gradient = torch.linspace(0.1, 5.0, 200)
    for _ in range(300):
        optimizer.step([gradient.clone()], 1e-9)
    assert torch.isfinite(parameter).all()


def test_the_state_of_the_other_rmsprop_is_refused() -> None:
    plain, centered = (make("RMSProp", {"a": torch.ones(2)}, centered=chosen) for chosen in (False, True))
    with pytest.raises(CheckpointError, match="the optimiser state of rmsprop, not rmsprop_centered"):
        centered.load_state(plain.to_state())


@pytest.mark.parametrize("limit", ["clip_gradients", "clip_embed_gradients"])
def test_limits_are_not_negative(limit: str) -> None:
    with pytest.raises(OptionError, match=f"{limit} must be at least 0, not -1"):
        optimizer_settings({**MODELS["BasicSeq2Seq"], f"optimizer.{limit}": -1.0})


def test_each_gradient_has_a_limit_of_its_own() -> None:
    gradients = [torch.tensor([3.0, 4.0]), torch.tensor([0.3, 0.4]), torch.zeros(2)]
    Clipping(0, table_max_norm=1.0, tables=range(3)).apply(gradients, 1.0)
    torch.testing.assert_close(gradients[0], torch.tensor([0.6, 0.8]))
    assert torch.equal(gradients[1], torch.tensor([0.3, 0.4]))
    assert torch.equal(gradients[2], torch.zeros(2))
