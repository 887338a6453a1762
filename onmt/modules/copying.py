"""Copying source words (pointer-generator, See et al. 2017): gate, and probabilities with copied words."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class CopySource:
    """Source words that can be copied. ids B S: the words at the memory's positions. Ids from V on are words
    that the vocabulary lacks, numbered separately in each sentence. size: one more than the largest possible
    id.
    """

    ids: Tensor
    size: int

    def keep(self, sentences: Tensor) -> "CopySource":
        """Keep only these sentences, in this order."""
        return CopySource(self.ids[sentences], self.size)

    def mass(self, attention: Tensor, words: Tensor) -> Tensor:
        """attention B T S, words B T -> the total attention on positions that hold each word, B T."""
        return (attention * (self.ids[:, None] == words[..., None])).sum(dim=2)


class CopyGate(nn.Module):
    """The gate between generating and copying a word."""

    def __init__(self, width: int) -> None:
        """width: that of context, query and input together."""
        super().__init__()
        # A vector: products with a one-row matrix would have last bits that depend on the batch.
        self.gate_weight = nn.Parameter(torch.empty(width))
        self.gate_bias = nn.Parameter(torch.empty(1))

    def forward(self, context: Tensor, query: Tensor, inputs: Tensor) -> Tensor:
        """context R M, query R H, inputs R I -> the logit of generating, R."""
        return (torch.cat([context, query, inputs], dim=1) * self.gate_weight).sum(dim=1) + self.gate_bias


def pointer_log_probs_of_gold(log_probs: Tensor, gate: Tensor, copied: Tensor) -> Tensor:
    """Return the log-probabilities of given words, generated or copied.

    log_probs: of generating the words; gate: logits; copied: attention on the words' positions; all of one
    shape. The result is differentiable even where nothing is copied.
    """
    generated = log_probs + F.logsigmoid(gate)
    is_copied = copied > 0
    by_copying = torch.where(is_copied, copied, 1.0).log() + F.logsigmoid(-gate)
    return torch.where(is_copied, torch.logaddexp(generated, by_copying), generated)


def pointer_log_probs(log_probs: Tensor, gate: Tensor, attention: Tensor, source: CopySource) -> Tensor:
    """Return the log-probabilities of all words, generated or copied, R `source.size`.

    log_probs R V, gate R, attention R S; R / B rows per sentence. Copying changes only the scores of source
    words, so only those are recomputed; the gate applies to all.
    """
    rows = source.ids.repeat_interleave(len(attention) // len(source.ids), dim=0)
    found = F.pad(
        log_probs + F.logsigmoid(gate)[:, None], (0, source.size - log_probs.shape[1]), value=-torch.inf
    )
    copied = attention.new_zeros(found.shape).scatter_add_(1, rows, attention).gather(1, rows)
    by_copying = copied.log() + F.logsigmoid(-gate)[:, None]
    return found.scatter_(1, rows, torch.logaddexp(found.gather(1, rows), by_copying))
