"""The output layer: losses and log-probabilities of words or labels, transitions between labels."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onmt.constants import EOS, PAD
from onmt.kernels.cross_entropy import LinearCrossEntropy
from onmt.kernels.products import Multiplying
from onmt.modules.copying import pointer_log_probs_of_gold
from onmt.modules.encoding import padding_mask


@dataclass(frozen=True)
class Loss:
    """total: summed negative log-likelihood of all outputs (0-dim); words: number of words by which a
    perplexity divides the total; divisor: number by which gradients are divided (sentences; words in google's
    dialect); per_sentence: sums by sentence, B.
    """

    total: Tensor
    words: int
    divisor: int
    per_sentence: Tensor


class Generator(Multiplying):
    """The output layers of words and features (OpenNMT-lua onmt/modules/Generator.lua). Padding among the
    targets adds no loss.
    """

    def __init__(self, input_size: int, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.empty(size, input_size) for size in outputs)
        self.biases = nn.ParameterList(torch.empty(size) for size in outputs)

    def forward(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """outputs ...H -> log-probabilities ...V, words first, then the features."""
        return tuple(_log_softmax(self.logits(outputs, index)) for index in range(len(self.weights)))

    def tie(self, table: nn.Parameter) -> None:
        """Use the decoder's word table, V H, as the output weight of words (Press and Wolf 2017).

        The padding word stays the zero vector: no gradient reaches its row.
        """
        assert table.shape == self.weights[0].shape
        self.weights[0] = table
        if table.requires_grad:  # otherwise -fix_word_vecs_dec freezes the whole table
            table.register_hook(_without_padding)

    def cut(self, words: Tensor) -> "Generator":
        """Return a generator whose first output covers only these words (N ids), with copies of their
        weights. Other outputs share this generator's weights.
        """
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

        words: N ids, sorted; if given, only the scores of these words, ...N.
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
        """outputs B T H, targets B T F -> the loss summed over sentences, steps and outputs without padding,
        0-dim, and the sums by sentence, B, through which no gradient flows.

        words: sorted ids, PAD first, to which the vocabulary is restricted; every target must be among them.
        smoothing: label smoothing of the gradient; scale: of the loss (0-dim); see `LinearCrossEntropy`.
        copying: logits of the gate, B T, and attention on the positions of each target word, B T, see
        `pointer_log_probs_of_gold`; cannot be combined with words, smoothing and scale.
        """
        batch, steps, hidden = outputs.shape
        rows, wanted = outputs.reshape(-1, hidden), targets.reshape(batch * steps, -1)
        # On a GPU the host would wait for the search, which costs more than computing the padding.
        real = (wanted[:, 0] != PAD).nonzero()[:, 0] if outputs.device.type == "cpu" else None
        gates = None if copying is None else [part.flatten() for part in copying]
        if real is not None:
            rows, wanted = rows[real], wanted[real]
            gates = gates and [part[real] for part in gates]
        wanted = wanted if words is None else _places_among(words, wanted)
        total, losses = rows.new_zeros(()), rows.new_zeros(len(rows))
        for index in range(len(self.weights)):
            if index == 0 and gates is not None:
                summed, of_rows = self._losses_with_copying(rows, wanted[:, 0], *gates)
            else:
                # Rows with padding words are gone, but features may be padding where words are not.
                all_count = real is not None and index == 0
                mask = None if all_count else (wanted[:, index] != PAD).to(rows.dtype)
                arguments = (*self._output(index, words), wanted[:, index], mask, self.products.dtype)
                summed, of_rows = LinearCrossEntropy.apply(rows, *arguments, smoothing, scale)
            total, losses = total + summed, losses + of_rows
        if real is not None:
            losses = losses.new_zeros(batch * steps).index_copy_(0, real, losses)
        return total, losses.view(batch, steps).sum(1)

    def _losses_with_copying(
        self, rows: Tensor, wanted: Tensor, gate: Tensor, copied: Tensor
    ) -> tuple[Tensor, Tensor]:
        """rows N H, wanted N, gate N, copied N -> the sum of the words' losses, and the losses themselves, N,
        without gradient; 0 at padding.
        """
        log_probs = -F.cross_entropy(self.logits(rows), wanted, reduction="none")
        losses = -pointer_log_probs_of_gold(log_probs, gate, copied).masked_fill(wanted == PAD, 0.0)
        return losses.sum(), losses.detach()

    def _output(self, index: int, words: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and bias of one output; if `words` (N ids) are given, those of these words only."""
        weight, bias = self.weights[index], self.biases[index]
        if words is not None and index == 0:
            return weight.index_select(0, words), bias.index_select(0, words)
        return weight, bias


def _places_among(words: Tensor, wanted: Tensor) -> Tensor:
    """wanted N F with the place of each word among `words`, instead of its id, in the first column."""
    places = torch.searchsorted(words, wanted[:, 0].contiguous())  # PAD's place is PAD
    return torch.cat([places[:, None], wanted[:, 1:]], dim=1)


def _without_padding(gradient: Tensor) -> Tensor:
    gradient = gradient.clone()
    gradient[PAD] = 0
    return gradient


def _log_softmax(logits: Tensor) -> Tensor:
    """Log-softmax over the last dimension. Without gradients it works in place: memory just written is in the
    cache.
    """
    if torch.is_grad_enabled():
        return torch.log_softmax(logits, dim=-1)
    return torch.log_softmax(logits, dim=-1, out=logits)


OTHER_THAN_END = math.log(1e-6)


class Transitions(nn.Module):
    """Tag transitions: start scores A0 (V) and transition scores A (V x V, from row to column).

    A linear-chain model over a tagger's log-probabilities F (OpenNMT-lua SentenceNLLCriterion): score(y) =
    A0[y_1] + sum A[y_{t-1}, y_t] + sum F_t[y_t] over t = 1..n+1, where F_{n+1} is log 1 for the end symbol
    and log 1e-6 for every other tag. Shapes: B batch, S positions, V tags.
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.empty(tags))
        self.between = nn.Parameter(torch.empty(tags, tags))

    def normalise(self) -> None:
        """Turn rows into log-probabilities after initialisation: exp, subtract the smallest, add 1e-6, divide
        by the sum, log.
        """
        with torch.no_grad():
            for scores in (self.start, self.between):
                positive = scores.exp()
                positive = positive - positive.amin(-1, keepdim=True) + 1e-6
                scores.copy_((positive / positive.sum(-1, keepdim=True)).log())

    def negative_log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """emissions B S V, gold tags B S, lengths B -> B: log of the partition sum minus the gold path's
        score.
        """
        end = self._end_scores(emissions)
        real = padding_mask(lengths, emissions.shape[1]).to(emissions.dtype)
        chosen = emissions.gather(2, tags[..., None])[..., 0]
        gold = self.start[tags[:, 0]] + (chosen * real).sum(1)
        moves = self.between[tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, lengths[:, None] - 1)[:, 0]
        gold = gold + (moves * real[:, 1:]).sum(1) + self.between[last, EOS] + end[EOS]
        alpha = self.start + emissions[:, 0]
        for t in range(1, emissions.shape[1]):
            following = torch.logsumexp(alpha[:, :, None] + self.between, dim=1) + emissions[:, t]
            alpha = torch.where(real[:, t, None] > 0, following, alpha)
        ended = torch.logsumexp(alpha[:, :, None] + self.between, dim=1) + end
        return torch.logsumexp(ended, dim=1) - gold

    def viterbi(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The best tags, B S (meaningless after a sentence's end).

        As in the original (viterbiSearch), the search ignores the start and end scores that the loss counts.
        The score is the sum of emissions and transitions, including one transition to any tag at the end.
        """
        batch, steps, _ = emissions.shape
        best = emissions[:, 0]
        real = padding_mask(lengths, steps)
        parents = []
        for t in range(1, steps):
            scores, parent = (best[:, :, None] + self.between).max(1)
            best = torch.where(real[:, t, None], scores + emissions[:, t], best)
            parents.append(parent)
        scores, parent = (best[:, :, None] + self.between).max(1)
        after = scores.argmax(1)
        tag = parent.gather(1, after[:, None])[:, 0]
        tags = emissions.new_zeros((batch, steps), dtype=torch.long)
        for t in range(steps - 1, -1, -1):
            tags[:, t] = tag
            if t > 0:
                earlier = parents[t - 1].gather(1, tag[:, None])[:, 0]
                tag = torch.where(real[:, t], earlier, tag)
        return tags

    @staticmethod
    def _end_scores(emissions: Tensor) -> Tensor:
        scores = emissions.new_full((emissions.shape[-1],), OTHER_THAN_END)
        scores[EOS].fill_(0.0)  # an assignment would copy from the host and wait for the GPU
        return scores
