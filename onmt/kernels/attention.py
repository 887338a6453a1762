"""Attention of one query per sentence and step, forward and backward, over buffers that all steps share.

The plain twin is `onmt.modules.attention.Attention`. T steps, B batch, S memory positions, M width of the
memory, U width of keys, Q width of queries. Gradients of keys and memory take one product after the last step
wherever the score is a product itself.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from onmt.kernels.cells import flat, grad_of_weight
from onmt.kernels.products import counts_launches, product, softmax_backward

ReadKind = Literal["multiplicative", "additive", "last", "none"]


class ReadWeights(NamedTuple):
    """query_weight U Q and query_bias U project queries (None: they are compared as they are); score_weight U
    and score_bias 1 make a score of what `additive` attention computes.
    """

    query_weight: Tensor | None = None
    query_bias: Tensor | None = None
    score_weight: Tensor | None = None
    score_bias: Tensor | None = None


class Reader:
    """The attention of the decoder, step by step.

    `multiplicative`: score_s = key_s . u, with u the query or its projection. `additive`: score_s = v .
    tanh(key_s + u) + b. `last`: the keys hold one position, which is the context. `none`: nothing is read.
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
        """keys B S U, memory B S M, attended B S (True: real; None: all are); dtype: format of the factors of
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
        """query B Q of the next step -> context B M."""
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
        """tanh(key + u), B S U; computed again for the backward pass, since keeping it takes T times as much
        memory as the keys.
        """
        return (self._keys + projected[:, None]).tanh_()

    def start_backward(self) -> None:
        """Before the backward steps, from the last one down."""
        self._grad_contexts: list[Tensor] = []
        self._grad_scores: list[Tensor] = []
        self._grad_projected: list[Tensor] = []
        if self.kind == "additive":
            assert self._weights.score_weight is not None
            self._grad_keys = torch.zeros_like(self._keys)
            self._grad_score_weight = torch.zeros_like(self._weights.score_weight)

    def backward(self, t: int, grad_context: Tensor, grad_query: Tensor) -> Tensor:
        """Step t: gradient of the context B M, and what is known of that of the query B Q -> the latter."""
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
        """grad_scores B S -> gradient of u, B U."""
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
        """After the last backward step: gradients of keys, memory and weights."""
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
