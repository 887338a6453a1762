"""From decoder outputs to log-probabilities: one linear layer and softmax per output (words, then each target
feature).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onmt.constants import PAD


@dataclass(frozen=True)
class Loss:
    """total: summed negative log-likelihood of all outputs (0-dim); words: what a perplexity divides by;
    divisor: what gradients are divided by (sentences; words in google's dialect); per_sentence: B, the sum
    by sentence.
    """

    total: Tensor
    words: int
    divisor: int
    per_sentence: Tensor


class Generator(nn.Module):
    """OpenNMT-lua onmt/modules/Generator.lua. Padding among the targets weighs nothing."""

    def __init__(self, input_size: int, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.empty(size, input_size) for size in outputs)
        self.biases = nn.ParameterList(torch.empty(size) for size in outputs)

    def forward(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """outputs ...H -> log-probabilities ...V, words first, then the features."""
        return tuple(
            torch.log_softmax(self.logits(outputs, index), dim=-1) for index in range(len(self.weights))
        )

    def logits(self, outputs: Tensor, index: int = 0, words: Tensor | None = None) -> Tensor:
        """outputs ...H -> unnormalised scores ...V of one output (0: words).

        words: N ids, sorted; given them, the scores of these words alone, ...N.
        """
        weight, bias = self.weights[index], self.biases[index]
        if words is not None and index == 0:
            weight, bias = weight.index_select(0, words), bias.index_select(0, words)
        return F.linear(outputs, weight, bias)

    def predict(self, outputs: Tensor, words: Tensor | None = None) -> Tensor:
        """outputs ...H -> the id of the best word, or of the best among `words`."""
        best = self.logits(outputs, words=words).argmax(-1)
        return best if words is None else words[best]

    def negative_log_likelihood(
        self, outputs: Tensor, targets: Tensor, words: Tensor | None = None
    ) -> Tensor:
        """outputs B T H, targets B T F -> B: summed over steps and outputs, padding left out.

        words: sorted ids, PAD first, that are all the words there are; every target must be among them.
        """
        batch, steps, hidden = outputs.shape
        rows = outputs.reshape(-1, hidden)
        wanted = targets.reshape(batch * steps, -1)
        sentences = torch.arange(batch, device=outputs.device).repeat_interleave(steps)
        if outputs.device.type == "cpu":
            # Elsewhere the search for padding would wait for the device, and cost more than the padding.
            real = (wanted[:, 0] != PAD).nonzero()[:, 0]
            rows, wanted, sentences = rows[real], wanted[real], sentences[real]
        if words is not None:
            places = torch.searchsorted(words, wanted[:, 0].contiguous())  # PAD's place is PAD
            wanted = torch.cat([places[:, None], wanted[:, 1:]], dim=1)
        losses = rows.new_zeros(rows.shape[0])
        for index in range(len(self.weights)):
            losses = losses + F.cross_entropy(
                self.logits(rows, index, words), wanted[:, index], reduction="none", ignore_index=PAD
            )
        return losses.new_zeros(batch).index_add(0, sentences, losses)
