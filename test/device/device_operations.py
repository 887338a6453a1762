"""Stand-ins for operations that torch has for CUDA only: fused cells and cuDNN's recurrent layers."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from ledger import Ledger
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes


def fused_lstm_cell(
    inputs: Tensor, hidden: Tensor, cell: Tensor, input_bias: Tensor | None = None, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gates B 4H twice (i, f, g, o), cell state B H -> output, next cell state, workspace."""
    assert input_bias is None
    assert bias is None
    i, f, g, o = (inputs + hidden).chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    following = f * cell + i * g
    return o * following.tanh(), following, torch.cat([i, f, g, o], 1)


def fused_lstm_cell_backward(
    grad_output: Tensor | None,
    grad_cell: Tensor | None,
    before: Tensor,
    after: Tensor,
    work: Tensor,
    bias: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of output and cell state, states `before`, `after` -> gradients of gates and `before`."""
    assert not bias
    i, f, g, o = work.chunk(4, 1)
    grad_output = torch.zeros_like(before) if grad_output is None else grad_output
    grad_cell = torch.zeros_like(before) if grad_cell is None else grad_cell
    squashed = after.tanh()
    through = grad_cell + grad_output * o * (1 - squashed**2)
    gates = [
        through * g * i * (1 - i),
        through * before * f * (1 - f),
        through * i * (1 - g**2),
        grad_output * squashed * o * (1 - o),
    ]
    return torch.cat(gates, 1), through * f, None


def fused_gru_cell(
    inputs: Tensor,
    hidden: Tensor,
    state: Tensor,
    input_bias: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Gates B 3H twice (r, z, n), state B H -> next state, workspace."""
    assert input_bias is None
    assert bias is None
    (x_r, x_z, x_n), (h_r, h_z, h_n) = inputs.chunk(3, 1), hidden.chunk(3, 1)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    n = (x_n + r * h_n).tanh()
    return n + z * (state - n), torch.cat([r, z, n, state, h_n], 1)


def fused_gru_cell_backward(grad: Tensor, work: Tensor, bias: bool) -> tuple[Tensor | None, ...]:
    """Gradient of the next state -> gradients of both gates and the state before; None for the biases."""
    assert not bias
    r, z, n, state, h_n = work.chunk(5, 1)
    of_n = grad * (1 - z) * (1 - n**2)
    of_z = grad * (state - n) * z * (1 - z)
    of_r = of_n * h_n * r * (1 - r)
    return torch.cat([of_r, of_z, of_n], 1), torch.cat([of_r, of_z, of_n * r], 1), grad * z, None, None


def flatten_weights(weights: Sequence[Tensor], *shape: Any) -> Tensor:
    """Move all weights into one chunk of memory, of which they become views, and return it."""
    with torch.inference_mode(False):
        chunk = torch.cat([weight.reshape(-1) for weight in weights])
        first = 0
        for weight in weights:
            weight.set_(chunk.untyped_storage(), first, weight.shape, weight.stride())
            first += weight.numel()
    return chunk


STAND_INS: dict[str, Callable[..., Any]] = {
    "aten::_thnn_fused_lstm_cell": fused_lstm_cell,
    "aten::_thnn_fused_lstm_cell_backward_impl": fused_lstm_cell_backward,
    "aten::_thnn_fused_gru_cell": fused_gru_cell,
    "aten::_thnn_fused_gru_cell_backward": fused_gru_cell_backward,
    "aten::_cudnn_rnn_flatten_weight": flatten_weights,
}


def run_recurrent(func: Any, args: Any, build: Callable[[Tensor], Tensor], ledger: Ledger) -> Any:
    """torch.lstm or torch.gru as cuDNN runs them, over a padded or a packed sequence.

    Raises RuntimeError for strided states and for batch sizes on a GPU, as torch does. Counts one launch
    forward and two backward, and weights that cuDNN would first copy into one chunk.
    """
    packed = isinstance(args[1], Tensor) and args[1].dtype == torch.int64 and args[1].dim() == 1
    place = 2 if packed else 1
    states = list(args[place]) if func is torch.lstm else [args[place]]
    weights = list(args[place + 1])
    if packed and args[1].device.type != "cpu":
        raise RuntimeError("batch_sizes must be on the CPU")
    for name, state in zip(("hx", "cx"), states, strict=False):
        if not state.is_contiguous():
            raise RuntimeError(f"rnn: {name} is not contiguous")
    if not _in_one_chunk(weights):
        ledger.add("loose weights", func.__name__)
        ledger.add("launch", "cudnn copies weights", len(weights))
    settings = (args[1] if packed else None, tuple(args[place + 2 :]))
    return _Recurrent.apply(func, settings, len(states), build, ledger, args[0], *states, *weights)


def _in_one_chunk(weights: list[Any]) -> bool:
    place = weights[0].host.untyped_storage().data_ptr()
    for weight in weights:
        if weight.host.data_ptr() != place or not weight.is_contiguous():
            return False
        place += weight.numel() * weight.element_size()
    return True


class _Recurrent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, func: Any, settings: Any, states: int, build: Any, ledger: Ledger, *tensors: Any
    ) -> Any:
        ctx.set_materialize_grads(False)
        batch_sizes, rest = settings
        with _disable_current_modes(), torch.inference_mode(False), torch.enable_grad():
            leaves = [tensor.host.detach() for tensor in tensors]
            leaves = [leaf.clone() if leaf.is_inference() else leaf for leaf in leaves]
            leaves = [leaf.requires_grad_() for leaf in leaves]
            own = leaves[1 : 1 + states]
            hidden = own if func is torch.lstm else own[0]
            head = (leaves[0],) if batch_sizes is None else (leaves[0], batch_sizes)
            results = func(*head, hidden, leaves[1 + states :], *rest)
        ctx.leaves, ctx.results, ctx.build, ctx.ledger = leaves, results, build, ledger
        ledger.add("launch", "cudnn forward")
        return tuple(build(result.detach()) for result in results)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        given = [
            torch.zeros_like(result) if grad is None else grad.host
            for grad, result in zip(grads, ctx.results, strict=True)
        ]
        with _disable_current_modes():
            found = torch.autograd.grad(ctx.results, ctx.leaves, given, allow_unused=True)
        ctx.ledger.add("launch", "cudnn backward", 2)
        return (None,) * 5 + tuple(None if grad is None else ctx.build(grad) for grad in found)
