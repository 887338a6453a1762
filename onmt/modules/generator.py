"""From decoder outputs to log-probabilities: one linear layer and softmax per output (words, then each target
feature).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onmt.constants import PAD
from onmt.kernels.cross_entropy import LinearCrossEntropy
from onmt.kernels.products import Multiplying
from onmt.modules.encoding import mixed_of_gold


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


class Generator(Multiplying):
    """OpenNMT-lua onmt/modules/Generator.lua. Padding among the targets weighs nothing."""

    def __init__(self, input_size: int, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.empty(size, input_size) for size in outputs)
        self.biases = nn.ParameterList(torch.empty(size) for size in outputs)

    def forward(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """outputs ...H -> log-probabilities ...V, words first, then the features."""
        return tuple(_log_softmax(self.logits(outputs, index)) for index in range(len(self.weights)))

    def tie(self, table: nn.Parameter) -> None:
        """Use the word table of the decoder, V H, as the weight of the words (Press and Wolf 2017).

        The padding word stays the zero vector: no gradient reaches its row.
        """
        assert table.shape == self.weights[0].shape
        self.weights[0] = table
        if table.requires_grad:  # else -fix_word_vecs_dec keeps it as it is
            table.register_hook(_without_padding)

    def cut(self, words: Tensor) -> "Generator":
        """A generator whose first output is for these words (N ids) only, with weights of its own."""
        sizes = (len(words), *(len(weight) for weight in list(self.weights)[1:]))
        made = Generator(self.weights[0].shape[1], sizes)
        made.products = self.products
        with torch.no_grad():
            for own, others in ((made.weights, self.weights), (made.biases, self.biases)):
                own[0] = nn.Parameter(others[0][words])
                for index in range(1, len(sizes)):
                    own[index] = others[index]
        return made

    def logits(self, outputs: Tensor, index: int = 0, words: Tensor | None = None) -> Tensor:
        """outputs ...H -> unnormalised scores ...V of one output (0: words).

        words: N ids, sorted; given them, the scores of these words alone, ...N.
        """
        weight, bias = self._output(index, words)
        return self.products.linear(outputs, weight, bias)

    def predict(self, outputs: Tensor, words: Tensor | None = None) -> Tensor:
        """outputs ...H -> the id of the best word, or of the best among `words`."""
        best = self.logits(outputs, words=words).argmax(-1)
        return best if words is None else words[best]

    def negative_log_likelihood(
        self,
        outputs: Tensor,
        targets: Tensor,
        words: Tensor | None = None,
        smoothing: float = 0.0,
        scale: Tensor | None = None,
        copying: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """outputs B T H, targets B T F -> the sum over sentences, steps and outputs without padding, 0-dim,
        and the sums by sentence, B, through which no gradient flows.

        words: sorted ids, PAD first, that are all the words there are; every target must be among them.
        smoothing: label smoothing of the gradient, scale: of the loss (0-dim), see `LinearCrossEntropy`.
        copying: logits of the gate, B T, and attention on the places of each target word, B T, see
        `mixed_of_gold`; goes with none of these.
        """
        batch, steps, hidden = outputs.shape
        rows = outputs.reshape(-1, hidden)
        wanted = targets.reshape(batch * steps, -1)
        gates = None if copying is None else torch.stack([part.flatten() for part in copying])
        real: Tensor | None = None
        if outputs.device.type == "cpu":
            # Elsewhere the search for padding would wait for the device, and cost more than the padding.
            real = (wanted[:, 0] != PAD).nonzero()[:, 0]
            rows, wanted = rows[real], wanted[real]
            gates = None if gates is None else gates[:, real]
        if words is not None:
            places = torch.searchsorted(words, wanted[:, 0].contiguous())  # PAD's place is PAD
            wanted = torch.cat([places[:, None], wanted[:, 1:]], dim=1)
        total, losses = rows.new_zeros(()), rows.new_zeros(len(rows))
        for index in range(len(self.weights)):
            if index == 0 and gates is not None:
                of_rows = self._losses_with_copying(rows, wanted[:, 0], *gates)
                total, losses = total + of_rows.sum(), losses + of_rows.detach()
                continue
            weight, bias = self._output(index, words)
            # A word's own padding is gone, but features may be padding on their own.
            all_count = real is not None and index == 0
            counts = None if all_count else (wanted[:, index] != PAD).to(rows.dtype)
            summed, of_rows = LinearCrossEntropy.apply(
                rows, weight, bias, wanted[:, index], counts, self.products.dtype, smoothing, scale
            )
            total, losses = total + summed, losses + of_rows
        if real is not None:
            losses = losses.new_zeros(batch * steps).index_copy_(0, real, losses)
        return total, losses.view(batch, steps).sum(1)

    def _losses_with_copying(self, rows: Tensor, wanted: Tensor, gate: Tensor, copied: Tensor) -> Tensor:
        """rows N H, wanted N, gate N, copied N -> the losses of the words, N; 0 at padding."""
        log_probs = -F.cross_entropy(self.logits(rows), wanted, reduction="none")
        return -mixed_of_gold(log_probs, gate, copied).masked_fill(wanted == PAD, 0.0)

    def _output(self, index: int, words: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and bias of one output; of some words (N ids) only, where `words` says so."""
        weight, bias = self.weights[index], self.biases[index]
        if words is not None and index == 0:
            return weight.index_select(0, words), bias.index_select(0, words)
        return weight, bias


def _without_padding(gradient: Tensor) -> Tensor:
    gradient = gradient.clone()
    gradient[PAD] = 0
    return gradient


def _log_softmax(logits: Tensor) -> Tensor:
    """Over the last dimension; in place without gradients, since memory that was just written is in the cache
    and other memory is not.
    """
    if torch.is_grad_enabled():
        return torch.log_softmax(logits, dim=-1)
    return torch.log_softmax(logits, dim=-1, out=logits)
