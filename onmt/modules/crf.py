"""Sentence-level tagging: a linear-chain model over a tagger's log-probabilities (OpenNMT-lua
SentenceNLLCriterion).

score(y) = A0[y_1] + sum A[y_{t-1}, y_t] + sum F_t[y_t] over t = 1..n+1, where F_1..F_n are log-probabilities
and F_{n+1} says log 1 for the end symbol and log 1e-6 for every other tag. B batch, S positions, V tags.
"""

import math

import torch
from torch import Tensor, nn

from onmt.constants import EOS
from onmt.modules.encoding import padding_mask

OTHER_THAN_END = math.log(1e-6)


class Transitions(nn.Module):
    """Start scores A0 (V) and transition scores A (V x V, from row to column)."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.empty(tags))
        self.between = nn.Parameter(torch.empty(tags, tags))

    def normalise(self) -> None:
        """Make rows log-probabilities: exp, minus the smallest + 1e-6, divided by the sum, log; after
        initialisation.
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
        """The best tags, B S (what follows a sentence's end means nothing).

        The original's search (viterbiSearch) counts neither the start scores nor those of the end that the
        loss counts: the score is that of the emissions and of the moves, one more move to any tag at the end.
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
        scores[EOS].fill_(0.0)  # an assignment would copy the number to a GPU, and wait
        return scores
