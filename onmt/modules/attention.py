"""Attention: which memory positions a query reads (Luong et al. 2015; OpenNMT-lua GlobalAttention,
NoAttention).

B batch, Q queries per sentence (target steps, or beams), S memory positions, H hidden.
"""

import torch
from torch import Tensor, nn

from onmt.models.spec import AttentionSpec
from onmt.modules.encoding import Encoding


class Attention(nn.Module):
    """Scores per kind: `general` m . (W q), `dot` m . q, `concat` v . tanh(W [q; m]) + b; `last` reads the
    last position.
    """

    def __init__(self, spec: AttentionSpec, hidden_size: int) -> None:
        super().__init__()
        assert spec.score in ("general", "dot", "concat", "last"), spec.score
        self.spec = spec
        if spec.score == "general":
            self.weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        elif spec.score == "concat":
            self.weight = nn.Parameter(torch.empty(hidden_size, 2 * hidden_size))
            self.score_weight = nn.Parameter(torch.empty(hidden_size))
            self.score_bias = nn.Parameter(torch.empty(1))

    def keys(self, encoding: Encoding) -> Tensor:
        """What queries are compared with, computed once per sentence: B S H; for `last` its memory, B 1 H."""
        memory = encoding.memory
        if self.spec.score == "general":
            return memory @ self.weight
        if self.spec.score == "concat":
            return memory @ self.weight[:, memory.shape[-1] :].t()
        if self.spec.score == "last":
            index = (encoding.lengths - 1)[:, None, None].expand(-1, 1, memory.shape[-1])
            return memory.gather(1, index)
        return memory

    def forward(
        self, query: Tensor, keys: Tensor, memory: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """query B Q H, keys as from `keys`, memory B S H, mask B S -> context B Q H, weights B Q S (None for
        `last`).
        """
        if self.spec.score == "last":
            return keys.expand(-1, query.shape[1], -1), None
        if self.spec.score == "concat":
            projected = query @ self.weight[:, : query.shape[-1]].t()
            joined = torch.tanh(projected[:, :, None] + keys[:, None])
            scores = joined @ self.score_weight + self.score_bias
        else:
            scores = torch.bmm(query, keys.transpose(1, 2))
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        weights = torch.softmax(scores, dim=-1)
        return torch.bmm(weights, memory), weights
