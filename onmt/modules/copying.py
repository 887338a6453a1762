"""Pointer-generator (See et al. 2017): words are generated from the vocabulary or copied from the source.

P(w) = g P_vocabulary(w) + (1 - g) sum of the attention on positions whose word is w, where g = sigmoid(v .
[context; query; input] + b) (eq. 8 and 9). R rows, S memory positions, V words of the target vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class CopySource:
    """ids B S: the words of the memory's positions. Ids from V on stand for words that the vocabulary lacks,
    numbered anew in every sentence. size: one more than the largest id that a sentence may have.
    """

    ids: Tensor
    size: int

    def keep(self, sentences: Tensor) -> "CopySource":
        """Only these sentences, in this order."""
        return CopySource(self.ids[sentences], self.size)

    def mass(self, attention: Tensor, words: Tensor) -> Tensor:
        """attention B T S, words B T -> the attention on positions that hold each word, B T."""
        return (attention * (self.ids[:, None] == words[..., None])).sum(dim=2)


class CopyGate(nn.Module):
    """Decides between generating and copying."""

    def __init__(self, width: int) -> None:
        """width: of context, query and input together."""
        super().__init__()
        # A vector: a matrix of one row would make products whose last bits depend on the batch.
        self.gate_weight = nn.Parameter(torch.empty(width))
        self.gate_bias = nn.Parameter(torch.empty(1))

    def forward(self, context: Tensor, query: Tensor, inputs: Tensor) -> Tensor:
        """R M, R H, R I -> the logit of generating, R."""
        return (torch.cat([context, query, inputs], dim=1) * self.gate_weight).sum(dim=1) + self.gate_bias


def mixed_of_gold(log_probs: Tensor, gate: Tensor, copied: Tensor) -> Tensor:
    """log P of given words: log_probs of generating them, logits of the gate, attention on the places where
    they stand; all of one shape. Differentiable where nothing is copied, too.
    """
    generated = log_probs + F.logsigmoid(gate)
    is_copied = copied > 0
    by_copying = torch.where(is_copied, copied, 1.0).log() + F.logsigmoid(-gate)
    return torch.where(is_copied, torch.logaddexp(generated, by_copying), generated)


def mixed(log_probs: Tensor, gate: Tensor, attention: Tensor, source: CopySource) -> Tensor:
    """log P of all words: log_probs R V, gate R, attention R S; R / B rows per sentence -> R `source.size`.

    Only the source's words differ from the generator's by more than the gate, so only they are computed.
    """
    rows = source.ids.repeat_interleave(len(attention) // len(source.ids), dim=0)
    found = F.pad(
        log_probs + F.logsigmoid(gate)[:, None], (0, source.size - log_probs.shape[1]), value=-torch.inf
    )
    copied = attention.new_zeros(found.shape).scatter_add_(1, rows, attention).gather(1, rows)
    by_copying = copied.log() + F.logsigmoid(-gate)[:, None]
    return found.scatter_(1, rows, torch.logaddexp(found.gather(1, rows), by_copying))
