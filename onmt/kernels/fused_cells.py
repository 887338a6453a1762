"""The cells of `onmt.kernels.cells` on a GPU, by torch's fused operations: two kernel launches per step
instead of eight.

On a GPU the cost of a step is its launches, not its arithmetic. So steps don't write into shared buffers
here: their results are stacked once, after the last step. The operations exist for CUDA only and are private
to torch; if this torch lacks them, the plain classes are used.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from onmt.kernels.cells import STEPS, CellSteps, States, grad_of_weight
from onmt.kernels.products import product

_OPERATIONS: Final[Any] = torch.ops.aten


def has_fused_step(kind: str, like: Tensor) -> bool:
    """Whether torch has a fused operation for this kind of cell on the tensor's device."""
    return like.device.type == "cuda" and kind in _FUSED and hasattr(_OPERATIONS, f"_thnn_fused_{kind}_cell")


def fused_step(kind: str, inputs: Tensor, recurrent: Tensor, states: States) -> States:
    """Compute one differentiable step from both parts of the gates, B G each with their biases; return the
    next states.

    states: c and h, or h; h is the previous output as the cell reads it, after dropout.
    """
    if kind == "lstm":
        output, cell, _ = _OPERATIONS._thnn_fused_lstm_cell(inputs, recurrent, states[0])
        return cell, output
    return (_OPERATIONS._thnn_fused_gru_cell(inputs, recurrent, states[0])[0],)


def steps_of(
    kind: str, gates: Tensor, weight_hh: Tensor, bias_hh: Tensor | None, states: States
) -> CellSteps:
    """Return the steps of a layer whose cell is `kind`, in the fastest implementation for the device of its
    gates.
    """
    if has_fused_step(kind, gates):
        return _FUSED[kind](gates, weight_hh, bias_hh, states)
    return STEPS[kind](gates, weight_hh, bias_hh, states)


class _FusedSteps:
    """Base of both cells: keeps the outputs and the gradients of the gates' input part."""

    def __init__(self, gates: Tensor, weight_hh: Tensor, states: States) -> None:
        self._gates = gates
        self._weight = weight_hh
        self.hidden = states[-1].shape[1]
        self._outputs = [states[-1]]
        self._stacked: Tensor | None = None
        self._work: list[Tensor] = []
        self._keep: Tensor | None = None
        self._input_grads: dict[int, Tensor] = {}
        self._stacked_grads: Tensor | None = None
        self.beside: Tensor | None = None

    def join(self, weight: Tensor) -> None:
        """See CellSteps."""

    def output(self, t: int) -> Tensor:
        """See CellSteps."""
        return self._outputs[t]

    def all_outputs(self) -> Tensor:
        """See CellSteps."""
        if self._stacked is None:
            self._stacked = torch.stack(self._outputs)
        return self._stacked

    def input_grad(self, t: int) -> Tensor:
        """See CellSteps."""
        return self._input_grads[t]

    @property
    def input_grads(self) -> Tensor:
        """See CellSteps."""
        if self._stacked_grads is None:
            self._stacked_grads = _stacked(self._input_grads)
        return self._stacked_grads


class FusedLstmSteps(_FusedSteps):
    """The fused form of LstmSteps."""

    def __init__(self, gates: Tensor, weight_hh: Tensor, bias_hh: Tensor | None, states: States) -> None:
        """See LstmSteps."""
        assert bias_hh is None
        super().__init__(gates, weight_hh, states)
        self._joined: Tensor | None = None
        self._cells = [states[0]]
        self._computed: list[Tensor] = []

    def forward(self, t: int, previous: Tensor, narrow: Tensor, keep: Tensor | None) -> Tensor:
        """See CellSteps."""
        gate = self._gates[t]
        recurrent = product(narrow, self._weight.t(), gate.dtype)
        output, cell, work = _OPERATIONS._thnn_fused_lstm_cell(gate, recurrent, self._cells[t])
        self._computed.append(cell)
        self._work.append(work)
        if keep is not None:
            cell = torch.lerp(self._cells[t], cell, keep)
            output = torch.lerp(self._outputs[t], output, keep)
        self._cells.append(cell)
        self._outputs.append(output)
        return output

    def start_backward(self, previous: Tensor, keep: Tensor | None, grads: States) -> None:
        """See CellSteps."""
        (self._grad_cell,) = grads
        self._keep = keep

    def backward(self, t: int, grad: Tensor) -> Tensor:
        """See CellSteps."""
        grad_cell = self._grad_cell
        if self._keep is not None:
            grad, grad_cell = grad * self._keep[t], grad_cell * self._keep[t]
        gates, before, _ = _OPERATIONS._thnn_fused_lstm_cell_backward_impl(
            grad, grad_cell, self._cells[t], self._computed[t], self._work[t], False
        )
        self._grad_cell = before if self._keep is None else before + self._grad_cell * (1 - self._keep[t])
        self._input_grads[t] = gates
        if self._joined is None:
            return product(gates.to(self._weight.dtype), self._weight, gates.dtype)
        both = product(gates.to(self._weight.dtype), self._joined, gates.dtype)
        self.beside = both[:, self.hidden :]
        return both[:, : self.hidden]

    def join(self, weight: Tensor) -> None:
        """See CellSteps."""
        self._joined = torch.cat([self._weight, weight], dim=1)

    def weight_grads(self, narrow: Tensor) -> tuple[Tensor, Tensor | None]:
        """See CellSteps."""
        return grad_of_weight(self.input_grads, narrow), None

    def states(self) -> States:
        """See CellSteps."""
        return (self._cells[-1],)

    def state_grads(self) -> States:
        """See CellSteps."""
        return (self._grad_cell,)


class FusedGruSteps(_FusedSteps):
    """The fused form of GruSteps."""

    def __init__(self, gates: Tensor, weight_hh: Tensor, bias_hh: Tensor | None, states: States) -> None:
        """See GruSteps."""
        assert bias_hh is not None
        super().__init__(gates, weight_hh, states)
        self._bias = bias_hh
        self._recurrent_grads: dict[int, Tensor] = {}

    def forward(self, t: int, previous: Tensor, narrow: Tensor, keep: Tensor | None) -> Tensor:
        """See CellSteps."""
        if narrow.dtype == self._bias.dtype:
            recurrent = torch.addmm(self._bias, narrow, self._weight.t())
        else:
            recurrent = product(narrow, self._weight.t(), self._bias.dtype) + self._bias
        output, work = _OPERATIONS._thnn_fused_gru_cell(self._gates[t], recurrent, previous)
        self._work.append(work)
        self._outputs.append(output if keep is None else torch.lerp(self._outputs[t], output, keep))
        return self._outputs[-1]

    def start_backward(self, previous: Tensor, keep: Tensor | None, grads: States) -> None:
        """See CellSteps."""
        self._keep = keep

    def backward(self, t: int, grad: Tensor) -> Tensor:
        """See CellSteps."""
        if self._keep is not None:
            grad = grad * self._keep[t]
        inputs, recurrent, previous, _, _ = _OPERATIONS._thnn_fused_gru_cell_backward(
            grad, self._work[t], False
        )
        self._input_grads[t], self._recurrent_grads[t] = inputs, recurrent
        if self._weight.dtype == previous.dtype:
            return torch.addmm(previous, recurrent, self._weight)
        return previous + product(recurrent.to(self._weight.dtype), self._weight, previous.dtype)

    def weight_grads(self, narrow: Tensor) -> tuple[Tensor, Tensor | None]:
        """See CellSteps."""
        recurrent = _stacked(self._recurrent_grads)
        return grad_of_weight(recurrent, narrow), recurrent.sum((0, 1))

    def states(self) -> States:
        """See CellSteps."""
        return ()

    def state_grads(self) -> States:
        """See CellSteps."""
        return ()


def _stacked(steps: Mapping[int, Tensor]) -> Tensor:
    """Stack tensors in the order of their steps; the backward pass adds them in reverse order."""
    return torch.stack([steps[t] for t in range(len(steps))])


_FUSED: Final[Mapping[str, type[FusedLstmSteps] | type[FusedGruSteps]]] = {
    "lstm": FusedLstmSteps,
    "gru": FusedGruSteps,
}
