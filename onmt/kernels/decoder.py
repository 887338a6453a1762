"""The input-feeding decoder over known targets, as one function with a hand-derived gradient.

The plain twin is the loop over `Decoder._step_embedded` in `onmt.modules.decoder`; the tests hold both equal.
The loop computes only the part of step t that depends on step t - 1. The input products of all embedded words
are one product, keys are computed once per batch, and each weight's gradient is one product over all steps
after the backward loop. Dropout masks are arguments, so both implementations use the same ones.

Shapes: T steps, B batch, E embedded word, F fed-back vector, H a layer's output, M memory, Q query.
"""

from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from onmt.kernels.cells import flat, grad_of_weight
from onmt.kernels.decoder_parts import (
    DecoderPlan,
    DecoderWeights,
    Inlet,
    Layer,
    LayerWeights,
    LinearWeights,
    PlanMasks,
    Reader,
    ReadWeights,
)
from onmt.kernels.products import counts_launches, product
from onmt.kernels.recurrent import mask_at


class FedDecoder(torch.autograd.Function):
    """All steps of the decoder."""

    @staticmethod
    def forward(
        ctx: Any,
        plan: DecoderPlan,
        masks: PlanMasks,
        attended: Tensor | None,
        embedded: Tensor,
        memory: Tensor,
        keys: Tensor,
        *tensors: Tensor | None,
    ) -> Tensor:
        """Return the outputs T B H.

        attended: B S (True: real); embedded: T B E; memory: B S M; keys: as `Attention.keys` makes them;
        tensors: initial states B H of all layers, then the flattened weights.
        """
        remaining = iter(tensors)
        states = tuple(islice(remaining, plan.states * plan.layers))
        weights = DecoderWeights.gather(plan.layers, remaining)
        dtype = embedded.dtype if plan.dtype is None else plan.dtype
        reader = Reader(plan.read, weights.read, keys, memory, attended, len(embedded), dtype)
        ctx.run = _Run(plan, masks, weights, embedded, states, reader)  # type: ignore[arg-type]
        return ctx.run.forward()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad_embedded, grad_states, grads = ctx.run.backward(grad_outputs)
        grad_keys, grad_memory, read = ctx.run.reader.grads()
        weights = grads._replace(read=read)
        return None, None, None, grad_embedded, grad_memory, grad_keys, *grad_states, *weights.flattened()


class _Run:
    """A forward and a backward pass over the same buffers."""

    def __init__(
        self,
        plan: DecoderPlan,
        masks: PlanMasks,
        weights: DecoderWeights,
        embedded: Tensor,
        states: tuple[Tensor, ...],
        reader: Reader,
    ) -> None:
        self.plan, self.reader = plan, reader
        self._embedded = embedded
        self._output_mask = masks.output
        self._has_entry = weights.entry.weight is not None
        dtype = embedded.dtype if plan.dtype is None else plan.dtype
        bottom = weights.layers[0]
        if weights.entry.weight is not None and weights.entry.bias is not None:
            self._inlet = Inlet(weights.entry.weight, weights.entry.bias, embedded, None, dtype)
        else:
            self._inlet = Inlet(bottom.weight_ih, bottom.bias, embedded, masks.inputs[0], dtype)
        steps = len(embedded)
        self._layers = []
        for index, layer in enumerate(weights.layers):
            results = self._inlet.results if index == 0 and not self._has_entry else None
            own = states[index * plan.states : (index + 1) * plan.states]
            self._layers.append(Layer(plan, index, masks, layer, own, results, steps))
        self._mix = _Mix(weights.mix, dtype)

    def forward(self) -> Tensor:
        """Return the outputs T B H."""
        outputs = []
        fed = self._embedded.new_zeros(self._embedded.shape[1], self._fed_width)
        for t in range(len(self._embedded)):
            if t > 0:
                self._inlet.feed(t, fed)
            query = self._through_layers(t, fed if self._needs_raw_input else None)
            context = self.reader.forward(query)
            output = self._mix.forward(context, query)
            mask = mask_at(self._output_mask, t)
            output = output if mask is None else output * mask
            outputs.append(output)
            if self.plan.feed == "output":
                fed = output
            else:
                assert context is not None
                fed = context
        return torch.stack(outputs)

    @property
    def _fed_width(self) -> int:
        return self._inlet.inputs.shape[2] - self._embedded.shape[2]

    @property
    def _needs_raw_input(self) -> bool:
        """Whether [embedded_t; fed_t], before dropout, is joined with a layer's output."""
        return self.plan.residual in ("add", "mean", "concat") and not self._has_entry

    def _through_layers(self, t: int, fed: Tensor | None) -> Tensor:
        """Compute step t of the stack and return its output, B Q."""
        passed: list[Tensor] = []
        if self._has_entry:
            passed = [self._inlet.results[t]]
        elif fed is not None:
            passed = [torch.cat([self._embedded[t], fed], dim=1)]
        for index, layer in enumerate(self._layers):
            inputs = None
            if index > 0 or self._has_entry:
                inputs = layer.take(t, passed[-1])
            output = layer.forward(t)
            passed.append(self._joined(index, output, inputs, passed))
        return passed[-1]

    def _joined(self, index: int, output: Tensor, inputs: Tensor | None, passed: list[Tensor]) -> Tensor:
        """The input of the layer above layer `index`; see RecurrentStack."""
        residual = self.plan.residual
        if residual == "none":
            return output
        if residual == "lower":
            return output + inputs if self.plan.joins[index] and inputs is not None else output
        earlier = passed if self.plan.residual_dense else passed[-1:]
        if residual == "concat":
            return torch.cat([output, *earlier], dim=1)
        total = torch.stack(earlier).sum(0)
        return output + (total / len(earlier) if residual == "mean" else total)

    def backward(self, grad_outputs: Tensor) -> tuple[Tensor, list[Tensor], DecoderWeights]:
        """Return the gradients of the embedded words T B E, the initial states, and all weights but the
        reader's.
        """
        self.reader.start_backward()
        self._mix.start_backward(grad_outputs, self._output_mask)
        for index, layer in enumerate(self._layers):
            layer.start_backward(self._inlet.fed_weight if index == 0 and not self._has_entry else None)
        self._raw_grads = torch.zeros_like(self._embedded) if self._needs_raw_input else None
        self._entry_grads = torch.empty_like(self._inlet.results) if self._has_entry else None
        # The last step's context or output is not fed to any step.
        grad_fed = grad_outputs.new_zeros(grad_outputs.shape[1], self._fed_width)
        for t in range(len(grad_outputs) - 1, -1, -1):
            fed = grad_fed if self.plan.feed == "output" else None
            grad_context, grad_query = self._mix.backward(t, fed)
            if self.plan.feed == "context":
                grad_context = grad_fed if grad_context is None else grad_context + grad_fed
            if grad_context is not None:
                grad_query = self.reader.backward(t, grad_context, grad_query)
            grad_fed = self._back_through_layers(t, grad_query)
        return self._grads()

    def _back_through_layers(self, t: int, grad: Tensor) -> Tensor:
        """Map the gradient of the stack's output, B Q, to that of the vector fed to step t, B F."""
        grads: list[Tensor | None] = [None] * len(self._layers) + [grad]
        for index in range(len(self._layers) - 1, -1, -1):
            layer, passed = self._layers[index], grads[index + 1]
            assert passed is not None
            output, joined = self._split(index, passed, grads)
            gates = layer.backward(t, output)
            if index == 0 and not self._has_entry:
                fed = self._inlet.grad_of_fed(t, gates, layer.cells.beside)
            else:
                inputs = layer.grad_of_inputs(gates)
                _accumulate(grads, index, layer.dropped(t, inputs if joined is None else inputs + joined))
        below = grads[0]
        if self._entry_grads is not None:
            assert below is not None
            self._entry_grads[t] = below
            return self._inlet.grad_of_fed(t, below)
        if below is not None and self._raw_grads is not None:
            width = self._embedded.shape[2]
            self._raw_grads[t] = below[:, :width]
            fed = fed + below[:, width:]
        return fed

    def _split(self, index: int, grad: Tensor, grads: list[Tensor | None]) -> tuple[Tensor, Tensor | None]:
        """Undo `_joined`: return the gradient of the layer's output and, for residual `lower`, of its
        dropped-out input.

        The shares of earlier outputs are added to `grads`.
        """
        residual = self.plan.residual
        if residual == "none":
            return grad, None
        if residual == "lower":
            return grad, grad if self.plan.joins[index] else None
        earlier = range(index + 1) if self.plan.residual_dense else range(index, index + 1)
        if residual == "concat":
            width, sizes = (
                self._layers[index].cells.hidden,
                [self._widths[place] for place in earlier],
            )
            output, *shares = grad.split([width, *sizes], 1)
        else:
            share = grad / len(earlier) if residual == "mean" else grad
            output, shares = grad, [share] * len(earlier)
        for place, share in zip(earlier, shares, strict=True):
            _accumulate(grads, place, share)
        return output, None

    @property
    def _widths(self) -> list[int]:
        """Widths of the stack's input and of each layer's joined output, for residual `concat`."""
        widths = [self._inlet.inputs.shape[2]]
        for layer in self._layers:
            earlier = sum(widths) if self.plan.residual_dense else widths[-1]
            widths.append(layer.cells.hidden + earlier)
        return widths

    def _grads(self) -> tuple[Tensor, list[Tensor], DecoderWeights]:
        results = self._layers[0].cells.input_grads if self._entry_grads is None else self._entry_grads
        embedded, *inlet = self._inlet.grads(results)
        if self._raw_grads is not None:
            embedded = embedded.add_(self._raw_grads)
        weight, bias = inlet
        layers: list[LayerWeights] = []
        for index, layer in enumerate(self._layers):
            layers.append(layer.grads((weight, bias) if index == 0 and not self._has_entry else None))
        entry = LinearWeights(weight, bias) if self._has_entry else LinearWeights()
        states = [grad for layer in self._layers for grad in layer.state_grads()]
        return embedded, states, DecoderWeights(tuple(layers), ReadWeights(), entry, self._mix.grads())


class _Mix:
    """tanh(weight @ [context; query] + bias), or the query itself."""

    def __init__(self, weights: LinearWeights, dtype: torch.dtype) -> None:
        self._bias = weights.bias
        self._weight = None if weights.weight is None else weights.weight.to(dtype)
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []

    def forward(self, context: Tensor | None, query: Tensor) -> Tensor:
        """context B M, query B Q -> output B H."""
        if self._weight is None or context is None:
            return query
        inputs = torch.cat([context, query], dim=1).to(self._weight.dtype)
        output = product(inputs, self._weight.t(), query.dtype)
        if self._bias is not None:
            output = output.add_(self._bias)
        self._inputs.append(inputs)
        self._outputs.append(output.tanh_())
        return output

    def start_backward(self, grad_outputs: Tensor, mask: Tensor | None) -> None:
        """Prepare the backward steps, which run from the last one down.

        grad_outputs: T B H, of all masked outputs; mask: of the outputs.
        """
        self._grads: list[Tensor] = []
        self._grad_outputs, self._mask = grad_outputs, mask
        self._slopes: Tensor | None = None
        if self._outputs and counts_launches(grad_outputs):
            outputs = torch.stack(self._outputs)
            slopes = torch.addcmul(torch.ones_like(outputs), outputs, outputs, value=-1)
            self._slopes = slopes if mask is None else slopes.mul_(mask)
            self._grad_outputs = grad_outputs * self._slopes

    def backward(self, t: int, grad_fed: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """Return the gradients of step t's context (None: unused) and of its query.

        grad_fed: B H, gradient of the output of step t as input of the next step; None if the output is not
        fed.
        """
        if self._slopes is None:
            grad = self._grad_outputs[t] if grad_fed is None else self._grad_outputs[t] + grad_fed
            mask = mask_at(self._mask, t)
            grad = grad if mask is None else grad * mask
            if self._weight is None or not self._outputs:
                return None, grad
            output = self._outputs[t]
            through = grad * torch.addcmul(torch.ones_like(output), output, output, value=-1)
        elif grad_fed is None:
            through = self._grad_outputs[t]
        else:
            through = torch.addcmul(self._grad_outputs[t], grad_fed, self._slopes[t])
        assert self._weight is not None
        self._grads.append(through)
        inputs = product(through.to(self._weight.dtype), self._weight, through.dtype)
        width = inputs.shape[1] - through.shape[1]
        return inputs[:, :width], inputs[:, width:]

    def grads(self) -> LinearWeights:
        """Return the gradients of the weights; call it after the last backward step."""
        if self._weight is None or not self._outputs:
            return LinearWeights()
        grads = torch.stack(self._grads)
        weight = grad_of_weight(grads, torch.stack(self._inputs[::-1]))
        return LinearWeights(weight, None if self._bias is None else flat(grads).sum(0))


def _accumulate(grads: list[Tensor | None], place: int, grad: Tensor) -> None:
    present = grads[place]
    grads[place] = grad if present is None else present + grad
