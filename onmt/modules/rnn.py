"""Recurrent cells, layers and stacks. Sequences are time-major: S steps, B batch, I input width, G gates'
width (4H for an LSTM, 3H for a GRU), H hidden, P width of a layer's output (H unless the cell projects it).

Sources: OpenNMT-lua onmt/modules/LSTM.lua and GRU.lua; for other features the cells of tf.contrib.rnn in
TensorFlow 1.0; for peepholes and projections Sak et al. 2014.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onmt.kernels.cells import STEPS
from onmt.kernels.decoder_parts import LayerWeights
from onmt.kernels.fused_cells import fused_step, has_fused_step
from onmt.kernels.products import Multiplying
from onmt.kernels.recurrent import (
    Packing,
    RecurrentSequence,
    in_one_chunk,
    mask_at,
    move_into_one_chunk,
    run_layer,
)
from onmt.modules.noise import Noise, dropped
from onmt.spec.layers import CellSpec, StackSpec

ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "identity": lambda x: x,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}


def lstm_step(
    cell: CellSpec, gates: Tensor, c: Tensor, peepholes: Tensor | None, projection: Tensor | None
) -> tuple[Tensor, Tensor]:
    """gates B 4H (i, f, g, o, before their activations), c B H -> the next cell state B H and the output B P.

    peepholes 3 H: elementwise weights with which i and f read the old cell state, and o the new one after
    clipping. projection P H maps the output (without it P = H); the result is clipped last.
    """
    activate = ACTIVATIONS[cell.activation]
    i, f, g, o = gates.chunk(4, -1)
    if peepholes is not None:
        i, f = i + peepholes[0] * c, f + peepholes[1] * c
    c = clipped(torch.sigmoid(f) * c + torch.sigmoid(i) * activate(g), cell.cell_clip)
    if peepholes is not None:
        o = o + peepholes[2] * c
    h = torch.sigmoid(o) * activate(c)
    if projection is not None:
        h = clipped(F.linear(h, projection), cell.projection_clip)
    return c, h


def clipped(values: Tensor, limit: float) -> Tensor:
    """Clamp the values to [-limit, limit]; limit 0 leaves them unchanged."""
    if not limit:
        return values
    # torch rejects bounds outside the range of the values' dtype.
    largest = min(limit, torch.finfo(values.dtype).max)
    return values.clamp(-largest, largest)


States = tuple[Tensor, ...]


def running(lengths: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """lengths B -> S B 1: 1 while a sentence runs, 0 after its end."""
    positions = torch.arange(steps, device=lengths.device)
    return (positions[:, None] < lengths).to(dtype)[..., None]


class RecurrentLayer(Multiplying):
    """One recurrent layer (OpenNMT-lua onmt/modules/LSTM.lua, GRU.lua; gate rows in torch's order: i, f, g, o
    and r, z, n).

    States: (c B H, h B P) for an LSTM, (h B P,) otherwise; h is the output. `peepholes` and `projection`: see
    `lstm_step`.
    """

    def __init__(self, cell: CellSpec, input_size: int, hidden_size: int) -> None:
        super().__init__()
        width = cell.gates * hidden_size
        self.cell = cell
        self.hidden_size = hidden_size
        self.output_size = cell.projection or hidden_size
        self.weight_ih = nn.Parameter(torch.empty(width, input_size))
        self.weight_hh = nn.Parameter(torch.empty(width, self.output_size))
        self.bias_ih = nn.Parameter(torch.empty(width))
        self.bias_hh: Tensor
        if cell.single_bias:
            self.register_buffer("bias_hh", torch.zeros(width), persistent=False)
        else:
            self.bias_hh = nn.Parameter(torch.empty(width))
        self.peepholes: nn.Parameter | None = None
        if cell.peepholes:
            self.peepholes = nn.Parameter(torch.empty(3, hidden_size))
        self.projection: nn.Parameter | None = None
        if cell.projection:
            self.projection = nn.Parameter(torch.empty(cell.projection, hidden_size))

    def zero_states(self, batch: int) -> States:
        """States before the first step."""
        h = self.weight_hh.new_zeros(batch, self.output_size)
        return (self.weight_hh.new_zeros(batch, self.hidden_size), h) if self.cell.states == 2 else (h,)

    def step(self, inputs: Tensor, states: States, recurrent_mask: Tensor | None = None) -> States:
        """One step: inputs B I -> the next states, of which the last is the output."""
        return self.step_projected(
            self.products.linear(inputs, self.weight_ih, self._input_bias()), states, recurrent_mask
        )

    def step_projected(
        self, projected: Tensor, states: States, recurrent_mask: Tensor | None = None
    ) -> States:
        """One step, given the input part of the gates with its bias, B G."""
        previous = dropped(states[-1], recurrent_mask)
        if self.cell.kind == "gru_reset_before":
            return (self._reset_before(projected, previous),)
        recurrent = self.products.linear(previous, self.weight_hh, self.bias_hh)
        if self.cell.standard and has_fused_step(self.cell.kind, recurrent):
            return fused_step(self.cell.kind, projected, recurrent, (*states[:-1], previous))
        if self.cell.kind == "lstm":
            return lstm_step(self.cell, projected + recurrent, states[0], self.peepholes, self.projection)
        activate = ACTIVATIONS[self.cell.activation]
        if self.cell.kind == "gru":
            (x_r, x_z, x_n), (h_r, h_z, h_n) = projected.chunk(3, -1), recurrent.chunk(3, -1)
            n = activate(x_n + torch.sigmoid(x_r + h_r) * h_n)
            return (n + torch.sigmoid(x_z + h_z) * (previous - n),)
        return (activate(projected + recurrent),)

    def forward(
        self,
        inputs: Tensor,
        states: States,
        lengths: Tensor | None,
        recurrent_mask: Tensor | None = None,
        packing: Packing | None = None,
    ) -> tuple[Tensor, States]:
        """inputs S B I, right padded if `lengths` (B) says so -> outputs S B P, zero after a sentence's end,
        and the states at each sentence's end. `lengths` None: nothing is padded; packing: that of these
        lengths on a GPU.
        """
        if packing is not None and recurrent_mask is None and self._has_fused(inputs):
            return self._fused(inputs, states, packing)
        keep = None if lengths is None else running(lengths, inputs.shape[0], inputs.dtype)
        if self._has_fused(inputs) and keep is None and recurrent_mask is None:
            return self._fused(inputs, states, None)
        if self.has_kernel:
            outputs, final = self._sequence(inputs, states, keep, recurrent_mask)
        else:
            projected = self.products.linear(inputs, self.weight_ih, self._input_bias())
            outputs, final = self.forward_plain(projected, states, keep, recurrent_mask)
        return (outputs if keep is None else outputs * keep), final

    @property
    def has_kernel(self) -> bool:
        """Whether there is a hand-derived gradient for the cell."""
        return self.cell.standard and self.cell.kind in STEPS

    def kernel_biases(self) -> tuple[Tensor, Tensor | None]:
        """The biases as the kernels expect them: that of the gates' input part, and that of the recurrent
        product if the cell scales the product before adding it; else None, and the first is the sum of both.
        """
        if self.cell.kind == "gru":
            return self._input_bias(), self.bias_hh
        return self._input_bias() + self.bias_hh, None

    def _sequence(
        self, inputs: Tensor, states: States, keep: Tensor | None, recurrent_mask: Tensor | None
    ) -> tuple[Tensor, States]:
        bias, recurrent_bias = self.kernel_biases()
        projected = self.products.linear(inputs, self.weight_ih, bias)
        arguments = (projected, self.weight_hh, recurrent_bias, keep, recurrent_mask, *states)
        outputs, *others = RecurrentSequence.apply(self.cell.kind, self.products.dtype, *arguments)
        return outputs, (*others, outputs[-1])

    def _has_fused(self, inputs: Tensor) -> bool:
        """Whether torch's own layer is the fastest implementation."""
        if not self.cell.standard or self.cell.kind not in ("lstm", "gru"):
            return False
        return inputs.device.type != "cpu" or self.products.dtype is None

    def forward_plain(
        self, projected: Tensor, states: States, keep: Tensor | None, recurrent_mask: Tensor | None
    ) -> tuple[Tensor, States]:
        """Compute the sequence step by step, for cells without a kernel; tests hold the kernels equal to it.

        projected S B G, keep S B 1 (see `running`) or None -> outputs S B P and the last states.
        """
        outputs = []
        for t, part in enumerate(projected):
            following = self.step_projected(part, states, mask_at(recurrent_mask, t))
            if keep is not None:
                following = tuple(
                    torch.lerp(old, new, keep[t]) for old, new in zip(states, following, strict=True)
                )
            states = following
            outputs.append(states[-1])
        return torch.stack(outputs), states

    def _fused(self, inputs: Tensor, states: States, packing: Packing | None) -> tuple[Tensor, States]:
        weights = [self.weight_ih, self.weight_hh, self._input_bias(), self.bias_hh]
        if self.cell.forget_bias and inputs.device.type != "cpu":
            weights = in_one_chunk(weights)  # the shifted bias is a new tensor
        return run_layer(self.cell.kind, inputs, states, weights, packing)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the parameters as Module does; on a GPU they then share one block of memory."""
        super()._apply(fn, recurse)
        if self.cell.standard and self.cell.kind in ("lstm", "gru"):
            weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
            move_into_one_chunk(self.cell.kind, weights)
        return self

    def _input_bias(self) -> Tensor:
        if not self.cell.forget_bias:
            return self.bias_ih
        shift = torch.zeros_like(self.bias_ih)
        shift[self.hidden_size : 2 * self.hidden_size] = self.cell.forget_bias
        return self.bias_ih + shift

    def _reset_before(self, projected: Tensor, previous: Tensor) -> Tensor:
        width = 2 * self.hidden_size
        recurrent = self.products.linear(previous, self.weight_hh[:width], self.bias_hh[:width])
        r, z = torch.sigmoid(projected[:, :width] + recurrent).chunk(2, -1)
        candidate = self.products.linear(r * previous, self.weight_hh[width:], self.bias_hh[width:])
        n = ACTIVATIONS[self.cell.activation](projected[:, width:] + candidate)
        return n + z * (previous - n)


LayerResult = tuple[Tensor, States]
ComputeLayer = Callable[[RecurrentLayer, Tensor, States, Tensor | None], LayerResult]
"""(layer, inputs, states, recurrent mask) -> the layer's outputs and next states."""


@dataclass(frozen=True)
class StackMasks:
    """Dropout masks of one pass through a stack, one per layer, each 1 or S, B, width. None: no dropout."""

    inputs: tuple[Tensor | None, ...]
    recurrent: tuple[Tensor | None, ...]
    outputs: tuple[Tensor | None, ...]

    def at(self, step: int) -> "StackMasks":
        """The masks of one step, each B x width."""
        return StackMasks(_at(self.inputs, step), _at(self.recurrent, step), _at(self.outputs, step))


def _at(masks: tuple[Tensor | None, ...], step: int) -> tuple[Tensor | None, ...]:
    return tuple(mask_at(mask, step) for mask in masks)


class RecurrentStack(Multiplying):
    """A stack of layers with dropout around them and residual connections.

    Residual `lower`, as in OpenNMT-lua onmt/modules/LSTM.lua: a layer's dropped-out input is added to its
    output to make the next layer's input. This holds from layer 2 on, or from layer 1 on if the input is as
    wide as the output, but never for the top layer. `add`, `mean`, `concat`, as in google/seq2seq's
    ExtendedMultiRNNCell: every layer's output, including the top one's, is joined with its input before
    dropout, or with all earlier inputs if `residual_dense`. If widths differ, `add` and `mean` first map the
    stack's input to the output's width by a linear layer.
    """

    def __init__(self, spec: StackSpec, input_size: int) -> None:
        super().__init__()
        self.spec = spec
        self.input_size = input_size
        self.entry: nn.Linear | None = None
        self.widths = [input_size] + [spec.layer_size] * (spec.layers - 1)
        if spec.residual in ("add", "mean") and input_size != spec.layer_size:
            self.entry = nn.Linear(input_size, spec.layer_size)
            self.widths[0] = spec.layer_size
        elif spec.residual == "concat":
            self.widths = [replace(spec, layers=n).output_size(input_size) for n in range(spec.layers)]
        self.layers = nn.ModuleList(
            RecurrentLayer(spec.cell, width, spec.hidden_size) for width in self.widths
        )

    @property
    def output_size(self) -> int:
        """Width of the outputs."""
        return self.spec.output_size(self.input_size)

    def zero_states(self, batch: int) -> States:
        """States before the first step: layer 1's, then layer 2's, and so on."""
        return tuple(state for layer in self._layers() for state in layer.zero_states(batch))

    def draw_masks(self, noise: Noise | None, steps: int, batch: int) -> StackMasks | None:
        """Draw dropout masks for `steps` steps; None in evaluation."""
        if noise is None:
            return None
        spec, like = self.spec, self._layers()[0].weight_hh
        length = 1 if spec.variational else steps
        inputs, recurrent, outputs = [], [], []
        for index, width in enumerate(self.widths):
            probability = spec.input_dropout if index == 0 else spec.layer_dropout
            shape = (length, batch, spec.layer_size)
            inputs.append(noise.dropout_mask((length, batch, width), probability, like))
            recurrent.append(noise.dropout_mask(shape, spec.recurrent_dropout, like))
            outputs.append(noise.dropout_mask(shape, spec.output_dropout, like))
        return StackMasks(tuple(inputs), tuple(recurrent), tuple(outputs))

    def forward(
        self,
        inputs: Tensor,
        states: States,
        lengths: Tensor | None,
        masks: StackMasks | None,
        packing: Packing | None = None,
    ) -> tuple[Tensor, States]:
        """inputs S B I, states of all layers -> outputs S B O (O: `output_size`), zero after a sentence's
        end, and the states there. packing: see RecurrentLayer.
        """

        def all_steps(layer: RecurrentLayer, part: Tensor, own: States, mask: Tensor | None) -> LayerResult:
            outputs, final = layer(part, own, lengths, mask, packing)
            return outputs, final

        outputs, final = self._through_layers(inputs, states, masks, all_steps)
        if lengths is not None and self.spec.residual not in ("none", "lower"):
            outputs = outputs * running(lengths, inputs.shape[0], inputs.dtype)
        return outputs, final

    def step(self, inputs: Tensor, states: States, masks: StackMasks | None) -> tuple[Tensor, States]:
        """One step: inputs B I -> output B O, the next states."""

        def one_step(layer: RecurrentLayer, part: Tensor, own: States, mask: Tensor | None) -> LayerResult:
            following = layer.step(part, own, mask)
            return following[-1], following

        return self._through_layers(inputs, states, masks, one_step)

    def _through_layers(
        self, inputs: Tensor, states: States, masks: StackMasks | None, compute: ComputeLayer
    ) -> tuple[Tensor, States]:
        """Apply `compute` to every layer, with dropout and residual connections."""
        following: list[Tensor] = []
        entry = self.entry
        passed = [inputs if entry is None else self.products.linear(inputs, entry.weight, entry.bias)]
        for index, layer in enumerate(self._layers()):
            layer_inputs = dropped(passed[-1], masks.inputs[index] if masks else None)
            recurrent_mask = masks.recurrent[index] if masks else None
            outputs, layer_states = compute(
                layer, layer_inputs, self._of_layer(states, index), recurrent_mask
            )
            outputs = dropped(outputs, masks.outputs[index] if masks else None)
            following.extend(layer_states)
            passed.append(self._pass_on(index, outputs, layer_inputs, passed))
        return passed[-1], tuple(following)

    def _pass_on(self, index: int, outputs: Tensor, layer_inputs: Tensor, passed: list[Tensor]) -> Tensor:
        """The input of the layer above layer `index` (from 0): its outputs, joined with inputs as the spec
        says.
        """
        spec = self.spec
        if spec.residual == "none":
            return outputs
        if spec.residual == "lower":
            return outputs + layer_inputs if self.joins_input(index) else outputs
        earlier = passed if spec.residual_dense else passed[-1:]
        if spec.residual == "concat":
            return torch.cat([outputs, *earlier], dim=-1)
        total = torch.stack(earlier).sum(0)
        return outputs + (total / len(earlier) if spec.residual == "mean" else total)

    def joins_input(self, index: int) -> bool:
        """Whether residual `lower` adds the input of layer `index` (from 0) to its output."""
        wide_enough = index > 0 or self.input_size == self.spec.layer_size
        return self.spec.residual == "lower" and wide_enough and index + 1 < self.spec.layers

    @property
    def has_kernel(self) -> bool:
        """Whether there is a hand-derived gradient for the cells."""
        return all(layer.has_kernel for layer in self._layers())

    def kernel_layers(self) -> tuple[LayerWeights, ...]:
        """The layers' weights as the kernels expect them."""
        return tuple(
            LayerWeights(layer.weight_ih, bias, layer.weight_hh, recurrent_bias)
            for layer in self._layers()
            for bias, recurrent_bias in [layer.kernel_biases()]
        )

    def _of_layer(self, states: States, index: int) -> States:
        count = self.spec.cell.states
        return states[index * count : (index + 1) * count]

    def _layers(self) -> list[RecurrentLayer]:
        return [layer for layer in self.layers if isinstance(layer, RecurrentLayer)]
