"""Optimiser updates that change all parameters in one operation."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam


def adam_update(
    parameters: list[Tensor],
    gradients: list[Tensor],
    slots: tuple[list[Tensor], list[Tensor]],
    counter: Tensor,
    rates: tuple[float, float, float, float],
    found_inf: Tensor | None = None,
) -> None:
    """Change parameters and slots (averages of gradients and of their squares) in place by one step of Adam.

    counter: 0-dim float32, the number of this step, from 1. All parameters share it: one counter per
    parameter would cost as many kernel launches. rates: learning rate, both betas, epsilon, which is added to
    the corrected root. found_inf: 0-dim float32; if it is not zero, nothing changes.
    """
    learning_rate, beta1, beta2, epsilon = rates
    means, squares = slots
    kernel = _kernel()
    if kernel is None:
        _public_adam(parameters, gradients, slots, counter, rates, found_inf)
        return
    kernel(
        parameters,
        gradients,
        means,
        squares,
        [],
        [counter] * len(parameters),
        lr=learning_rate,
        beta1=beta1,
        beta2=beta2,
        weight_decay=0.0,
        eps=epsilon,
        amsgrad=False,
        maximize=False,
        found_inf=found_inf,
    )


def _kernel() -> Callable[..., None] | None:
    """torch's private operation; None if this torch has none of that name."""
    return getattr(torch, "_fused_adam_", None)


def _public_adam(
    parameters: list[Tensor],
    gradients: list[Tensor],
    slots: tuple[list[Tensor], list[Tensor]],
    counter: Tensor,
    rates: Sequence[float],
    found_inf: Tensor | None,
) -> None:
    """The same update by torch's public function, which increments the step itself and needs a counter per
    parameter.
    """
    adam(
        parameters,
        gradients,
        *slots,
        [],
        [counter - 1 for _ in parameters],
        fused=True,
        found_inf=found_inf,
        amsgrad=False,
        beta1=rates[1],
        beta2=rates[2],
        lr=rates[0],
        weight_decay=0.0,
        eps=rates[3],
        maximize=False,
    )
