"""Attention: the weights with which a query reads the memory positions (Luong et al. 2015; OpenNMT-lua
GlobalAttention, NoAttention).

B batch, Q queries per sentence (target steps, or beams), S memory positions, H hidden.
"""

import torch
from torch import Tensor, nn

from onmt.kernels.decoder_parts import ReadKind, ReadWeights
from onmt.kernels.products import Multiplying
from onmt.modules.encoding import Encoding
from onmt.spec.model import AttentionSpec


class Attention(Multiplying):
    """Attention with a choice of scores, for query q and key k of a position:

    `general` k . (W q), `dot` k . q, `concat` v . tanh(W [q; k]) + b (Luong et al. 2015; OpenNMT-lua
    GlobalAttention); `bahdanau` v . tanh(W_k k + b_k + W_q q + b_q) and `projected_dot` (W_k k + b_k) . (W_q
    q + b_q) (google/seq2seq). `last` reads the last memory position.

    With coverage (See et al. 2017, eq. 11; Tu et al. 2016) the key of a position is k + c w, where c is the
    attention that the position received in all earlier steps and w is a learned vector. In `concat` and
    `bahdanau` the projected key is changed, inside the tanh. `general` adds c (w . q) to the score, with W
    folded into w.
    """

    def __init__(self, spec: AttentionSpec, query_size: int, key_size: int) -> None:
        super().__init__()
        assert spec.score != "none"
        self.spec = spec
        if spec.score in ("general", "dot", "concat"):
            assert query_size == key_size, (query_size, key_size)
        if spec.score == "general":
            self.weight = nn.Parameter(torch.empty(query_size, query_size))
        elif spec.score == "concat":
            self.weight = nn.Parameter(torch.empty(query_size, 2 * query_size))
            self.score_weight = nn.Parameter(torch.empty(query_size))
            self.score_bias = nn.Parameter(torch.empty(1))
        elif spec.score in ("bahdanau", "projected_dot"):
            self.project_key = nn.Linear(key_size, spec.units)
            self.project_query = nn.Linear(query_size, spec.units)
            if spec.score == "bahdanau":
                self.score_weight = nn.Parameter(torch.empty(spec.units))
        if spec.coverage:
            assert spec.score != "last"
            self.coverage_weight = nn.Parameter(torch.empty(spec.units or query_size))

    def keys(self, encoding: Encoding) -> Tensor:
        """The keys, computed once per sentence: B S U; for `last` the memory's last position, B 1 H."""
        compared = encoding.memory if encoding.keys is None else encoding.keys
        if self.spec.score == "general":
            return self.products.linear(compared, self.weight.t())
        if self.spec.score == "concat":
            return self.products.linear(compared, self.weight[:, compared.shape[-1] :])
        if self.spec.score in ("bahdanau", "projected_dot"):
            return self.products.linear(compared, self.project_key.weight, self.project_key.bias)
        if self.spec.score == "last":
            index = (encoding.lengths - 1)[:, None, None].expand(-1, 1, encoding.memory.shape[-1])
            return encoding.memory.gather(1, index)
        return compared

    def forward(
        self,
        query: Tensor,
        keys: Tensor,
        memory: Tensor,
        mask: Tensor | None,
        coverage: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """query B Q H, keys as from `keys`, memory B S H, mask B S, coverage B Q S (if the spec has it) ->
        context B Q H, weights B Q S (None for `last`).
        """
        if self.spec.score == "last":
            return keys.expand(-1, query.shape[1], -1), None
        scores = self._scores(query, keys, coverage)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        weights = torch.softmax(scores, dim=-1)
        return torch.bmm(weights, memory), weights

    def kernel_parts(self, query_size: int) -> tuple[ReadKind, ReadWeights]:
        """Return the attention's kind and weights as the hand-derived decoder expects them."""
        score = self.spec.score
        if score == "last":
            return "last", ReadWeights()
        if score == "concat":
            weights = ReadWeights(self.weight[:, :query_size], None, self.score_weight, self.score_bias)
            return "additive", weights
        if score in ("bahdanau", "projected_dot"):
            project = self.project_query
            v = self.score_weight if score == "bahdanau" else None
            kind: ReadKind = "additive" if score == "bahdanau" else "multiplicative"
            return kind, ReadWeights(project.weight, project.bias, v, None)
        return "multiplicative", ReadWeights()

    def _scores(self, query: Tensor, keys: Tensor, coverage: Tensor | None) -> Tensor:
        """query B Q H, keys B S U, coverage B Q S -> B Q S."""
        if self.spec.score == "concat":
            projected = self.products.linear(query, self.weight[:, : query.shape[-1]])
            joined = self._covered(projected[:, :, None] + keys[:, None], coverage)
            return torch.tanh(joined) @ self.score_weight + self.score_bias
        if self.spec.score in ("bahdanau", "projected_dot"):
            query = self.products.linear(query, self.project_query.weight, self.project_query.bias)
        if self.spec.score == "bahdanau":
            joined = self._covered(query[:, :, None] + keys[:, None], coverage)
            return torch.tanh(joined) @ self.score_weight
        scores = torch.bmm(query, keys.transpose(1, 2))
        if coverage is None:
            return scores
        return scores + coverage * (query * self.coverage_weight).sum(dim=-1, keepdim=True)

    def _covered(self, joined: Tensor, coverage: Tensor | None) -> Tensor:
        """joined B Q S U, coverage B Q S -> B Q S U."""
        return joined if coverage is None else joined + coverage[..., None] * self.coverage_weight
