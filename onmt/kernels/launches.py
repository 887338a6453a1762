"""Small pieces of the kernels whose best form differs between a CPU and a GPU.

On a CPU a pass over memory costs, and results keep the operations, and so the last digits, that they always
had. On a GPU a kernel launch costs, so several operations become one.
"""

import torch
from torch import Tensor


def counts_launches(tensor: Tensor) -> bool:
    """Whether the tensor lies where launches cost more than arithmetic."""
    return tensor.device.type != "cpu"


def put_masked(place: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """place = values * mask; returns place."""
    if mask is not None and counts_launches(place) and place.dtype == values.dtype:
        return torch.mul(values, mask, out=place)
    return place.copy_(values if mask is None else values * mask)


def plus_masked(total: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """total + values * mask."""
    if mask is None:
        return total + values
    return torch.addcmul(total, values, mask) if counts_launches(total) else total + values * mask


def softmax_backward(grad: Tensor, probabilities: Tensor) -> Tensor:
    """Gradient of probabilities, B S, which may be overwritten -> of the scores that they come from."""
    operation = getattr(torch, "_softmax_backward_data", None)
    if counts_launches(grad) and operation is not None:
        made: Tensor = operation(grad, probabilities, 1, grad.dtype)
        return made
    weighted = grad.mul_(probabilities)
    return torch.addcmul(weighted, probabilities, weighted.sum(1, keepdim=True), value=-1)
