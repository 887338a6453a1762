"""The parts of the input-feeding decoder: its weights, its layers, its attention.

Letters: T steps, B batch, S memory positions, M width of the memory, U of keys, Q of queries, E embedded
word, F fed-back vector, H a layer's output, G gates, I a layer's input, O a product's result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from onmt.kernels.cells import CellSteps, flat, grad_of_weight
from onmt.kernels.fused_cells import steps_of
from onmt.kernels.products import (
    add_product,
    counts_launches,
    plus_masked,
    product,
    put_masked,
    softmax_backward,
)
from onmt.kernels.recurrent import Readings, mask_at

ReadKind = Literal["multiplicative", "additive", "last", "none"]


class ReadWeights(NamedTuple):
    """query_weight U Q and query_bias U project queries (None: queries are not projected). score_weight U and
    score_bias 1 map the tanh of `additive` attention to a score.
    """

    query_weight: Tensor | None = None
    query_bias: Tensor | None = None
    score_weight: Tensor | None = None
    score_bias: Tensor | None = None


class Reader:
    """The attention of the decoder, step by step; plain twin: `onmt.modules.attention.Attention`.

    `multiplicative`: score_s = key_s . u, where u is the query or its projection. `additive`: score_s = v .
    tanh(key_s + u) + b. `last`: the keys hold one position, which is the context. `none`: there is no
    context.
    """

    def __init__(
        self,
        kind: ReadKind,
        weights: ReadWeights,
        keys: Tensor,
        memory: Tensor,
        attended: Tensor | None,
        steps: int,
        dtype: torch.dtype,
    ) -> None:
        """keys B S U, memory B S M, attended B S (True: real; None: all are); dtype: that of the factors in
        products with weights.
        """
        self.kind = kind
        self._weights = weights
        self._keys, self._memory = keys, memory
        self._hidden = None if attended is None else ~attended
        self._steps = steps
        self._dtype = dtype
        self._narrow_weight = None if weights.query_weight is None else weights.query_weight.to(dtype)
        self._queries: list[Tensor] = []
        self._projected: list[Tensor] = []
        self._attention: list[Tensor] = []

    def forward(self, query: Tensor) -> Tensor | None:
        """Map the query of the next step, B Q, to its context, B M."""
        if self.kind == "none":
            return None
        if self.kind == "last":
            return self._keys[:, 0]
        projected = self._project(query)
        self._projected.append(projected)
        scores = self._scores(projected)
        if self._hidden is not None:
            scores = scores.masked_fill_(self._hidden, -torch.inf)
        attention = torch.softmax(scores, dim=1)
        self._attention.append(attention)
        return torch.bmm(attention[:, None], self._memory)[:, 0]

    def _project(self, query: Tensor) -> Tensor:
        if self._narrow_weight is None:
            return query
        narrow = query.to(self._dtype)
        self._queries.append(narrow)
        projected = product(narrow, self._narrow_weight.t(), query.dtype)
        return projected if self._weights.query_bias is None else projected.add_(self._weights.query_bias)

    def _scores(self, projected: Tensor) -> Tensor:
        if self.kind == "multiplicative":
            return torch.bmm(self._keys, projected[:, :, None])[:, :, 0]
        assert self._weights.score_weight is not None
        scores = self._squashed(projected) @ self._weights.score_weight
        return scores if self._weights.score_bias is None else scores + self._weights.score_bias

    def _squashed(self, projected: Tensor) -> Tensor:
        """tanh(key + u), B S U; recomputed in the backward pass, since storing it takes T times the keys'
        memory.
        """
        return (self._keys + projected[:, None]).tanh_()

    def start_backward(self) -> None:
        """Prepare the backward steps, which run from the last one down."""
        self._grad_contexts: list[Tensor] = []
        self._grad_scores: list[Tensor] = []
        self._grad_projected: list[Tensor] = []
        if self.kind == "additive":
            assert self._weights.score_weight is not None
            self._grad_keys = torch.zeros_like(self._keys)
            self._grad_score_weight = torch.zeros_like(self._weights.score_weight)

    def backward(self, t: int, grad_context: Tensor, grad_query: Tensor) -> Tensor:
        """Return the gradient of step t's query, B Q: grad_query plus the part through grad_context, B M."""
        if self.kind == "none":
            return grad_query
        self._grad_contexts.append(grad_context)
        if self.kind == "last":
            return grad_query
        grad_attention = torch.bmm(self._memory, grad_context[:, :, None])[:, :, 0]
        grad_scores = softmax_backward(grad_attention, self._attention[t])
        if self._narrow_weight is None and self.kind == "multiplicative" and counts_launches(grad_query):
            self._grad_scores.append(grad_scores)
            return torch.baddbmm(grad_query[:, None], grad_scores[:, None], self._keys)[:, 0]
        grad = self._grad_of_projected(t, grad_scores)
        if self._narrow_weight is None:
            return grad_query + grad
        self._grad_projected.append(grad)
        return grad_query + product(grad.to(self._dtype), self._narrow_weight, grad.dtype)

    def _grad_of_projected(self, t: int, grad_scores: Tensor) -> Tensor:
        """Map the gradient of the scores, B S, to that of u, B U."""
        self._grad_scores.append(grad_scores)
        if self.kind == "multiplicative":
            return torch.bmm(grad_scores[:, None], self._keys)[:, 0]
        score_weight = self._weights.score_weight
        assert score_weight is not None
        squashed = self._squashed(self._projected[t])
        self._grad_score_weight.addmv_(flat(squashed).t(), grad_scores.reshape(-1))
        slope = torch.addcmul(torch.ones_like(squashed), squashed, squashed, value=-1).mul_(score_weight)
        through = slope.mul_(grad_scores[:, :, None])
        self._grad_keys.add_(through)
        return through.sum(1)

    def grads(self) -> tuple[Tensor | None, Tensor | None, ReadWeights]:
        """Return the gradients of keys, memory and weights; call it after the last backward step."""
        if not self._grad_contexts:
            return None, None, ReadWeights()
        contexts = _by_sentence(self._grad_contexts)
        if self.kind == "last":
            return contexts.sum(1, keepdim=True), None, ReadWeights()
        grad_memory = torch.bmm(_by_sentence(self._attention[::-1]).transpose(1, 2), contexts)
        if self.kind == "multiplicative":
            projected = _by_sentence(self._projected[::-1])
            self._grad_keys = torch.bmm(_by_sentence(self._grad_scores).transpose(1, 2), projected)
        return self._grad_keys, grad_memory, self._weight_grads()

    def _weight_grads(self) -> ReadWeights:
        weights = self._weights
        query_weight = query_bias = score_weight = score_bias = None
        if weights.query_weight is not None:
            grads = torch.stack(self._grad_projected)
            query_weight = grad_of_weight(grads, torch.stack(self._queries[::-1]))
            query_bias = None if weights.query_bias is None else flat(grads).sum(0)
        if weights.score_weight is not None:
            score_weight = self._grad_score_weight
            if weights.score_bias is not None:
                score_bias = torch.stack(self._grad_scores).sum().reshape(1)
        return ReadWeights(query_weight, query_bias, score_weight, score_bias)


def _by_sentence(steps: list[Tensor]) -> Tensor:
    """T tensors of shape B X -> B T X."""
    return torch.stack(steps, dim=1)


@dataclass(frozen=True, kw_only=True)
class DecoderPlan:
    """The structure of the decoder. cell: key of `cells.STEPS`, with `states` state tensors per layer; joins:
    per layer, whether residual `lower` adds its input to its output, never in the first one; read: kind of
    attention, see `Reader`; dtype: that of the products' factors (None: of the inputs). The others are as in
    DecoderSpec and StackSpec.
    """

    cell: str
    states: int
    layers: int
    residual: Literal["none", "lower", "add", "mean", "concat"]
    residual_dense: bool
    joins: tuple[bool, ...]
    feed: Literal["output", "context"]
    read: ReadKind
    dtype: torch.dtype | None


@dataclass(frozen=True)
class PlanMasks:
    """Dropout masks per layer, each 1 or T, B, width, and of the output, T B H; None: nothing is dropped."""

    inputs: tuple[Tensor | None, ...]
    recurrent: tuple[Tensor | None, ...]
    outputs: tuple[Tensor | None, ...]
    output: Tensor | None


class LayerWeights(NamedTuple):
    """weight_ih G I; bias G: of the inputs, or the sum of both if the cell adds them (bias_hh is None then);
    weight_hh G H; bias_hh G.
    """

    weight_ih: Tensor
    bias: Tensor
    weight_hh: Tensor
    bias_hh: Tensor | None


class LinearWeights(NamedTuple):
    """weight O I, bias O; None: there is no linear map, or no bias."""

    weight: Tensor | None = None
    bias: Tensor | None = None


class DecoderWeights(NamedTuple):
    """entry: from [embedded; fed] to the stack's width; mix: from [context; query] to the output."""

    layers: tuple[LayerWeights, ...]
    read: ReadWeights
    entry: LinearWeights
    mix: LinearWeights

    def flattened(self) -> Iterator[Tensor | None]:
        """The tensors as arguments of a function; `gather` is the inverse."""
        for layer in self.layers:
            yield from layer
        yield from (*self.read, *self.entry, *self.mix)

    @classmethod
    def gather(cls, layers: int, tensors: Iterator[Any]) -> "DecoderWeights":
        """Inverse of `flattened`."""
        return cls(
            tuple(LayerWeights(*islice(tensors, 4)) for _ in range(layers)),
            ReadWeights(*islice(tensors, 4)),
            LinearWeights(*islice(tensors, 2)),
            LinearWeights(*islice(tensors, 2)),
        )


class Inlet:
    """weight @ [embedded_t; fed_t] + bias, both inputs masked; embedded words of all steps are one
    product.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, embedded: Tensor, mask: Tensor | None, dtype: torch.dtype
    ) -> None:
        """weight O E+F, bias O, embedded T B E, mask 1 or T, B, E+F."""
        steps, batch, self._split = embedded.shape
        self._weight = weight.to(dtype)
        self._mask = mask
        self.inputs = embedded.new_empty(steps, batch, weight.shape[1], dtype=dtype)
        self.inputs[0, :, self._split :] = 0  # nothing is fed to the first step
        kept = embedded if mask is None else embedded * mask[..., : self._split]
        self.inputs[..., : self._split] = kept
        words = flat(self.inputs)[:, : self._split]
        results = product(words, self._weight[:, : self._split].t(), embedded.dtype).add_(bias)
        self.results = results.view(steps, batch, -1)

    def feed(self, t: int, fed: Tensor) -> None:
        """Add the product of the vector that the previous step feeds back, B F, to the result of step t."""
        mask = mask_at(self._mask, t)
        mask = None if mask is None else mask[:, self._split :]
        part = put_masked(self.inputs[t, :, self._split :], fed, mask)
        add_product(self.results[t], part, self._weight[:, self._split :].t())

    @property
    def fed_weight(self) -> Tensor:
        """The part of the weight that multiplies the fed-back vector, O F."""
        return self._weight[:, self._split :]

    def grad_of_fed(self, t: int, grad: Tensor, known: Tensor | None = None) -> Tensor:
        """Map the gradient of the result of step t, B O, to that of the vector fed to it, B F.

        known: the product of that gradient and `fed_weight`, if it was computed already.
        """
        if known is None:
            known = product(grad.to(self._weight.dtype), self._weight[:, self._split :], grad.dtype)
        through = known
        mask = mask_at(self._mask, t)
        return through if mask is None else through.mul_(mask[:, self._split :])

    def grads(self, results: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map the gradients of all results, T B O, to those of the embedded words, T B E, weight and bias."""
        narrow = flat(results).to(self._weight.dtype)
        embedded = product(narrow, self._weight[:, : self._split], results.dtype)
        embedded = embedded.view(*results.shape[:2], -1)
        if self._mask is not None:
            embedded.mul_(self._mask[..., : self._split])
        return embedded, grad_of_weight(results, self.inputs), flat(results).sum(0)


class Layer:
    """A layer of the stack: its cells, and its input product unless an inlet computes it."""

    def __init__(
        self,
        plan: DecoderPlan,
        index: int,
        masks: PlanMasks,
        weights: LayerWeights,
        states: tuple[Tensor, ...],
        results: Tensor | None,
        steps: int,
    ) -> None:
        """results: T B G, the input product if an inlet computes it."""
        like = states[0]
        dtype = like.dtype if plan.dtype is None else plan.dtype
        self._bias = weights.bias
        self._weight = weights.weight_ih.to(dtype)
        batch, (width, inputs) = len(like), weights.weight_ih.shape
        self._gates = like.new_empty(steps, batch, width) if results is None else results
        self._inputs = None if results is not None else like.new_empty(steps, batch, inputs, dtype=dtype)
        self._input_mask, self._mask = masks.inputs[index], masks.recurrent[index]
        self._output_mask = masks.outputs[index]
        self.cells: CellSteps = steps_of(
            plan.cell, self._gates, weights.weight_hh.to(dtype), weights.bias_hh, states
        )
        self._readings = Readings(self.cells, self._mask, states[-1], steps, dtype)

    def dropped(self, t: int, below: Tensor) -> Tensor:
        """Apply this layer's input mask of step t to a tensor B I."""
        mask = mask_at(self._input_mask, t)
        return below if mask is None else below * mask

    def take(self, t: int, below: Tensor) -> Tensor:
        """Mask the output of the layer below, B I; compute its product for step t; return it masked."""
        assert self._inputs is not None
        if self._inputs.dtype == below.dtype:
            masked = put_masked(self._inputs[t], below, mask_at(self._input_mask, t))
            torch.addmm(self._bias, masked, self._weight.t(), out=self._gates[t])
            return masked
        masked = self.dropped(t, below)
        part = self._inputs[t].copy_(masked)
        torch.add(part @ self._weight.t(), self._bias, out=self._gates[t])
        return masked

    def forward(self, t: int) -> Tensor:
        """Compute step t of the cells and return its output after dropout, B H."""
        output = self.cells.forward(t, *self._readings.at(t), None)
        mask = mask_at(self._output_mask, t)
        return output if mask is None else output * mask

    def start_backward(self, fed_weight: Tensor | None) -> None:
        """Prepare the backward steps. fed_weight G F: an inlet's weight of the vector fed to this layer, if
        any.
        """
        self.cells.join(self._weight if fed_weight is None else fed_weight)
        zeros = torch.zeros_like(self.cells.output(0))
        self._carried = zeros
        self.cells.start_backward(self._readings.all()[0], None, tuple(zeros for _ in self.cells.states()))

    def backward(self, t: int, grad: Tensor) -> Tensor:
        """Map the gradient of the output of step t, B H, to that of the gates' input part, B G."""
        mask = mask_at(self._output_mask, t)
        through = self.cells.backward(t, plus_masked(self._carried, grad, mask))
        recurrent = mask_at(self._mask, t)
        self._carried = through if recurrent is None else through.mul_(recurrent)
        return self.cells.input_grad(t)

    def grad_of_inputs(self, grad: Tensor) -> Tensor:
        """Map the gradient of the gates' input part, B G, to that of the layer's masked inputs, B I."""
        known = self.cells.beside
        return product(grad.to(self._weight.dtype), self._weight, grad.dtype) if known is None else known

    def grads(self, inlet: tuple[Tensor, Tensor] | None) -> LayerWeights:
        """Return the gradients of the weights. inlet: those of weight_ih and bias, if an inlet has them."""
        grads = self.cells.input_grads
        if inlet is None:
            assert self._inputs is not None
            inlet = grad_of_weight(grads, self._inputs), flat(grads).sum(0)
        weight_hh, bias_hh = self.cells.weight_grads(self._readings.all()[1])
        return LayerWeights(*inlet, weight_hh, bias_hh)

    def state_grads(self) -> tuple[Tensor, ...]:
        """Return the gradients of the initial states."""
        return (*self.cells.state_grads(), self._carried)
