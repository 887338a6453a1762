"""The recurrent cells of one layer, step by step, forward and backward, over buffers shared by all steps.

The plain twin is `RecurrentLayer.step_projected` in `onmt.modules.rnn`. Shapes: T steps, B batch, H hidden
size, G width of the gates (4H for an LSTM, 3H for a GRU). A cell receives the input part of its gates, T B G,
and overwrites it with the gates. `previous` is the previous output as the cell reads it, after dropout.
`narrow` is `previous` in the dtype of the products' factors: the same tensor if that is the dtype of the
gates.

The local derivatives of the gates are computed for all steps at once before the backward steps, so a backward
step is little more than a matrix product. Weight gradients are one product after the last backward step.

`keep`, T B 1, is 1.0 while a sentence runs and 0.0 after its end, where the states stay unchanged.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import torch
from torch import Tensor

from onmt.kernels.products import add_product, product

States = tuple[Tensor, ...]


class CellSteps(Protocol):
    """All steps of a layer. hidden: H. beside: the product that `join` asked for, B X, after a backward
    step; or None.
    """

    hidden: int
    beside: Tensor | None

    def join(self, weight: Tensor) -> None:
        """Ask each backward step to multiply the gates' gradient by `weight`, G X, too.

        A cell may do so to save a kernel launch; otherwise `beside` stays None.
        """
        ...

    @property
    def input_grads(self) -> Tensor:
        """Gradients of the gates' input part, T B G; available after the last backward step."""
        ...

    def output(self, t: int) -> Tensor:
        """The output before step t, B H; for t = 0 the initial one."""
        ...

    def all_outputs(self) -> Tensor:
        """All outputs, T+1 B H, the initial one first; available after the last step."""
        ...

    def input_grad(self, t: int) -> Tensor:
        """Gradient of the gates' input part of step t, B G; available after its backward step."""
        ...

    def forward(self, t: int, previous: Tensor, narrow: Tensor, keep: Tensor | None) -> Tensor:
        """Compute step t, counted from 0, and return its output, B H. keep: B 1."""
        ...

    def start_backward(self, previous: Tensor, keep: Tensor | None, grads: States) -> None:
        """Prepare the backward steps.

        previous: T B H of all steps; keep: T B 1; grads: gradients of the last states except the output.
        """
        ...

    def backward(self, t: int, grad: Tensor) -> Tensor:
        """Map the gradient of step t's output, B H, to that of `previous`. Steps run from the last one down.

        The caller adds the gradient that bypasses the cell after a sentence's end.
        """
        ...

    def weight_grads(self, narrow: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the gradients of weight_hh, G H, and of bias_hh, G (None if the cell has none).

        narrow: T B H of all steps.
        """
        ...

    def states(self) -> States:
        """The last states except the output, B H each."""
        ...

    def state_grads(self) -> States:
        """Gradients of the initial states except the output, B H each."""
        ...


class _BufferedSteps:
    """Base of cells that keep outputs and gradients in buffers shared by all steps."""

    outputs: Tensor
    input_grads: Tensor
    beside: Tensor | None = None

    def join(self, weight: Tensor) -> None:
        """See CellSteps."""

    def output(self, t: int) -> Tensor:
        """See CellSteps."""
        return self.outputs[t]

    def all_outputs(self) -> Tensor:
        """See CellSteps."""
        return self.outputs

    def input_grad(self, t: int) -> Tensor:
        """See CellSteps."""
        return self.input_grads[t]


class LstmSteps(_BufferedSteps):
    """h_t = o * tanh(c_t), c_t = f * c_{t-1} + i * g (Hochreiter, Schmidhuber 1997); gate rows i, f, g, o.

    The gates' input part includes both biases.
    """

    def __init__(self, gates: Tensor, weight_hh: Tensor, bias_hh: Tensor | None, states: States) -> None:
        """gates T B 4H; weight_hh 4H H in the factors' dtype; bias_hh None; states c and h, B H each."""
        assert bias_hh is None
        steps, batch, width = gates.shape
        self._weight = weight_hh
        self.hidden = width // 4
        self._gates = gates
        self.outputs, self._cells = gates.new_empty(2, steps + 1, batch, self.hidden)
        self._squashed = gates.new_empty(steps, batch, self.hidden)
        self._cells[0], self.outputs[0] = states

    def forward(self, t: int, previous: Tensor, narrow: Tensor, keep: Tensor | None) -> Tensor:
        """See CellSteps."""
        hidden, gate = self.hidden, self._gates[t]
        add_product(gate, narrow, self._weight.t())
        gate[:, : 2 * hidden].sigmoid_()
        gate[:, 2 * hidden : 3 * hidden].tanh_()
        gate[:, 3 * hidden :].sigmoid_()
        i, f, g, o = gate.split(hidden, 1)
        cell = torch.mul(f, self._cells[t], out=self._cells[t + 1]).addcmul_(i, g)
        squashed = torch.tanh(cell, out=self._squashed[t])
        output = torch.mul(o, squashed, out=self.outputs[t + 1])
        if keep is not None:
            torch.lerp(self._cells[t], cell, keep, out=cell)
            torch.lerp(self.outputs[t], output, keep, out=output)
        return output

    def start_backward(self, previous: Tensor, keep: Tensor | None, grads: States) -> None:
        """See CellSteps."""
        (self._grad_cell,) = grads
        i, f, g, o = self._gates.split(self.hidden, 2)
        self._to_cell = torch.addcmul(o, o, self._squashed.square(), value=-1)  # o (1 - tanh(c)^2)
        self._forget = f
        slopes = [
            _sigmoid_slope(i).mul_(g),
            _sigmoid_slope(f).mul_(self._cells[:-1]),
            torch.addcmul(i, i, g.square(), value=-1),
            _sigmoid_slope(o).mul_(self._squashed),
        ]
        self.input_grads = torch.cat(slopes, dim=2)
        if keep is not None:
            self._to_cell.mul_(keep)
            self.input_grads.mul_(keep)
            self._forget = torch.lerp(torch.ones_like(f), f, keep)

    def backward(self, t: int, grad: Tensor) -> Tensor:
        """See CellSteps."""
        grad_cell = torch.addcmul(self._grad_cell, grad, self._to_cell[t])
        slopes, hidden = self.input_grads[t], self.hidden
        slopes[:, : 3 * hidden].unflatten(1, (3, hidden)).mul_(grad_cell[:, None])
        slopes[:, 3 * hidden :].mul_(grad)
        self._grad_cell = grad_cell.mul_(self._forget[t])
        return product(slopes.to(self._weight.dtype), self._weight, slopes.dtype)

    def weight_grads(self, narrow: Tensor) -> tuple[Tensor, Tensor | None]:
        """See CellSteps."""
        return grad_of_weight(self.input_grads, narrow), None

    def states(self) -> States:
        """See CellSteps."""
        return (self._cells[-1],)

    def state_grads(self) -> States:
        """See CellSteps."""
        return (self._grad_cell,)


class GruSteps(_BufferedSteps):
    """n = tanh(x_n + r * (W_n h + b_n)), h' = n + z * (h - n) (Cho et al. 2014, reset after the product);
    gate rows r, z, n.

    The gates' input part includes the input bias only.
    """

    def __init__(self, gates: Tensor, weight_hh: Tensor, bias_hh: Tensor | None, states: States) -> None:
        """gates T B 3H; weight_hh 3H H in the factors' dtype; bias_hh 3H; states h, B H."""
        assert bias_hh is not None
        steps, batch, width = gates.shape
        self._weight = weight_hh
        self._bias = bias_hh
        self.hidden = width // 3
        self._gates = gates
        self._candidates = gates.new_empty(steps, batch, self.hidden)
        self.outputs = gates.new_empty(steps + 1, batch, self.hidden)
        (self.outputs[0],) = states

    def forward(self, t: int, previous: Tensor, narrow: Tensor, keep: Tensor | None) -> Tensor:
        """See CellSteps."""
        hidden, gate = self.hidden, self._gates[t]
        recurrent = product(narrow, self._weight.t(), gate.dtype).add_(self._bias)
        gate[:, : 2 * hidden].add_(recurrent[:, : 2 * hidden]).sigmoid_()
        r, z, n = gate.split(hidden, 1)
        candidate = self._candidates[t].copy_(recurrent[:, 2 * hidden :])
        n.addcmul_(r, candidate).tanh_()
        output = torch.lerp(n, previous, z, out=self.outputs[t + 1])
        return output if keep is None else torch.lerp(self.outputs[t], output, keep, out=output)

    def start_backward(self, previous: Tensor, keep: Tensor | None, grads: States) -> None:
        """See CellSteps."""
        r, z, n = self._gates.split(self.hidden, 2)
        self._through = z
        of_n = (1 - z).mul_(torch.addcmul(torch.ones_like(n), n, n, value=-1))
        of_z = _sigmoid_slope(z).mul_(previous - n)
        of_r = _sigmoid_slope(r).mul_(self._candidates).mul_(of_n)
        self._recurrent = torch.cat([of_r, of_z, of_n * r], dim=2)
        self.input_grads = torch.cat([of_r, of_z, of_n], dim=2)
        if keep is not None:
            self._through = z * keep
            self._recurrent.mul_(keep)
            self.input_grads.mul_(keep)

    def backward(self, t: int, grad: Tensor) -> Tensor:
        """See CellSteps."""
        shape = (3, self.hidden)
        self.input_grads[t].unflatten(1, shape).mul_(grad[:, None])
        recurrent = self._recurrent[t]
        recurrent.unflatten(1, shape).mul_(grad[:, None])
        grad_previous = grad * self._through[t]
        add_product(grad_previous, recurrent.to(self._weight.dtype), self._weight)
        return grad_previous

    def weight_grads(self, narrow: Tensor) -> tuple[Tensor, Tensor | None]:
        """See CellSteps."""
        return grad_of_weight(self._recurrent, narrow), self._recurrent.sum((0, 1))

    def states(self) -> States:
        """See CellSteps."""
        return ()

    def state_grads(self) -> States:
        """See CellSteps."""
        return ()


class ResetBeforeSteps(_BufferedSteps):
    """n = tanh(x_n + W_n (r * h)), h' = n + z * (h - n) (Cho et al. 2014, reset before the product); gate
    rows r, z, n.

    The gates' input part includes both biases.
    """

    def __init__(self, gates: Tensor, weight_hh: Tensor, bias_hh: Tensor | None, states: States) -> None:
        """gates T B 3H; weight_hh 3H H in the factors' dtype; bias_hh None; states h, B H."""
        assert bias_hh is None
        steps, batch, width = gates.shape
        self.hidden = width // 3
        self._gate_weight, self._candidate_weight = weight_hh.split((2 * self.hidden, self.hidden))
        self._gates = gates
        self._reset = weight_hh.new_empty(steps, batch, self.hidden)
        self.outputs = gates.new_empty(steps + 1, batch, self.hidden)
        (self.outputs[0],) = states

    def forward(self, t: int, previous: Tensor, narrow: Tensor, keep: Tensor | None) -> Tensor:
        """See CellSteps."""
        r_z, n = self._gates[t].split((2 * self.hidden, self.hidden), 1)
        add_product(r_z, narrow, self._gate_weight.t())
        r, z = r_z.sigmoid_().chunk(2, 1)
        add_product(n, self._reset[t].copy_(r * previous), self._candidate_weight.t())
        output = torch.lerp(n.tanh_(), previous, z, out=self.outputs[t + 1])
        return output if keep is None else torch.lerp(self.outputs[t], output, keep, out=output)

    def start_backward(self, previous: Tensor, keep: Tensor | None, grads: States) -> None:
        """See CellSteps."""
        r, z, n = self._gates.split(self.hidden, 2)
        self._through_z, self._through_r = z, r
        of_r = _sigmoid_slope(r).mul_(previous)
        of_z = _sigmoid_slope(z).mul_(previous - n)
        of_n = (1 - z).mul_(torch.addcmul(torch.ones_like(n), n, n, value=-1))
        self.input_grads = torch.cat([of_r, of_z, of_n], dim=2)
        if keep is not None:
            self._through_z = z * keep
            self.input_grads.mul_(keep)

    def backward(self, t: int, grad: Tensor) -> Tensor:
        """See CellSteps."""
        hidden, gate = self.hidden, self.input_grads[t]
        gate[:, hidden:].unflatten(1, (2, hidden)).mul_(grad[:, None])
        narrow = self._candidate_weight.dtype
        grad_reset = product(gate[:, 2 * hidden :].to(narrow), self._candidate_weight, gate.dtype)
        gate[:, :hidden].mul_(grad_reset)
        grad_previous = (grad * self._through_z[t]).addcmul_(grad_reset, self._through_r[t])
        add_product(grad_previous, gate[:, : 2 * hidden].to(narrow), self._gate_weight)
        return grad_previous

    def weight_grads(self, narrow: Tensor) -> tuple[Tensor, Tensor | None]:
        """See CellSteps."""
        r_z, n = self.input_grads.split((2 * self.hidden, self.hidden), 2)
        return torch.cat([grad_of_weight(r_z, narrow), grad_of_weight(n, self._reset)]), None

    def states(self) -> States:
        """See CellSteps."""
        return ()

    def state_grads(self) -> States:
        """See CellSteps."""
        return ()


STEPS: Final[Mapping[str, type[LstmSteps] | type[GruSteps] | type[ResetBeforeSteps]]] = {
    "lstm": LstmSteps,
    "gru": GruSteps,
    "gru_reset_before": ResetBeforeSteps,
}
"""The implementation by `CellSpec.kind`; valid only for cells that are `standard`."""


def flat(sequence: Tensor) -> Tensor:
    """T B X -> T*B X."""
    return sequence.reshape(-1, sequence.shape[-1])


def grad_of_weight(grads: Tensor, inputs: Tensor) -> Tensor:
    """Gradient of a linear map's weight, O I, from grads of its results, T B O, and its inputs, T B I.

    The inputs' dtype is that of the product's factors.
    """
    return product(flat(grads).to(inputs.dtype).t(), flat(inputs), grads.dtype)


def _sigmoid_slope(gate: Tensor) -> Tensor:
    """The derivative of a sigmoid, computed from the sigmoid's value."""
    return torch.addcmul(gate, gate, gate, value=-1)
