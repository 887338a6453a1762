"""One step of beam search as functions on tensors, and restrictions on its scores.

A step changes nothing but the log-probabilities that it is given. Shapes: B sentences, K slots per sentence,
R = B K rows, V words, N candidates per sentence, M continuations per slot, S source positions, T words so
far. A dead hypothesis, or a slot that was never filled, has a score of -inf.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from onmt.constants import EOS, UNK
from onmt.kernels.cross_entropy import top_k


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The distribution of drawn words: p_i ~ exp(log_prob_i / temperature), restricted and normalised again.

    top_k: keep this many of the likeliest words (0: all). top_p: keep the fewest likeliest words whose
    probabilities reach this sum (0: all). With both, the smaller set is kept.
    """

    top_k: int = 0
    top_p: float = 0.0
    temperature: float = 1.0

    def draw(self, log_probs: Tensor, draws: Tensor) -> Tensor:
        """Draw word ids R from log_probs R V by uniform numbers R in [0, 1); a word of -inf is never drawn.

        The nucleus (`top_p`) is that of Holtzman et al. 2020, "The curious case of neural text degeneration".
        """
        # In rows of dead slots every log-probability is -inf and the softmax NaN.
        probs = torch.softmax(log_probs.double() / self.temperature, dim=1).nan_to_num()
        words = None
        if self.top_k or self.top_p:
            count = probs.shape[1] if self.top_k == 0 else min(self.top_k, probs.shape[1])
            probs, words = probs.topk(count, dim=1)
        if self.top_p:
            before = probs.cumsum(dim=1) - probs
            probs = probs.masked_fill(before >= self.top_p, 0.0)
        places = _sampled_columns(probs, draws)
        return places if words is None else words.gather(1, places[:, None]).squeeze(1)


def _sampled_columns(probs: Tensor, draws: Tensor) -> Tensor:
    """Draw a column per row in proportion to `probs`, R N, by uniform numbers R."""
    sums = probs.cumsum(dim=1)
    wanted = draws[:, None] * sums[:, -1:]
    places = torch.searchsorted(sums, wanted, right=True)
    # Rounding can take the product up to the sum: never draw a column behind the last possible one.
    last = (sums < sums[:, -1:]).sum(dim=1, keepdim=True)
    return torch.minimum(places, last).squeeze(1)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """Settings of a search.

    max_length: the number of words after which every hypothesis counts as finished. max_unknowns: hypotheses
    with more `<unk>` than this are pruned (None: no limit). pre_filter_factor: this many times the beam is
    considered before pruning. length_norm, coverage_norm, eos_norm: 0 switches each off. min_length: no
    hypothesis ends before it has this many words. block_ngrams: no n-gram of this length appears twice in a
    hypothesis (0: any may) unless it contains one of the words `repeatable` (ids). ban_unknown: no `<unk>`.
    sampling: draw `n_best` hypotheses instead of searching. finished, length_penalty: where the dialects
    differ, see PolicySpec.
    """

    beam_size: int = 5
    n_best: int = 1
    max_length: int = 250
    max_unknowns: int | None = None
    pre_filter_factor: int = 1
    length_norm: float = 0.0
    coverage_norm: float = 0.0
    eos_norm: float = 0.0
    min_length: int = 0
    block_ngrams: int = 0
    repeatable: tuple[int, ...] = ()
    ban_unknown: bool = False
    sampling: Sampling | None = None
    finished: Literal["retire", "stay"] = "retire"
    length_penalty: Literal["lua", "words"] = "lua"

    def slots(self, levels: int = 1) -> int:
        """The number of hypotheses that are followed at a time for one sentence.

        levels: of the grid of lexical constraints, 1 without constraints.
        """
        return self.beam_size * levels if self.sampling is None else self.n_best


@dataclass(frozen=True)
class Beam:
    """The live hypotheses of B sentences.

    scores: B K float64, sums of log-probabilities; unknowns: B K, number of `<unk>` so far; ended: B K, True
    after `</s>` (only where finished hypotheses stay in the beam); lengths: B K, number of words so far;
    coverage: B K S float64, attention received by each source position (1 at padding), None unless needed;
    words: B K T, the words so far, None unless needed.
    """

    scores: Tensor
    unknowns: Tensor
    ended: Tensor
    lengths: Tensor
    coverage: Tensor | None
    words: Tensor | None = None

    @classmethod
    def first(
        cls, sentences: int, slots: int, mask: Tensor | None, settings: SearchSettings, device: torch.device
    ) -> "Beam":
        """The beam before the first step: slot 0 alive, the others dead unless each is a sample of its own.

        mask: B S, True at source positions, given if coverage counts.
        """
        scores = torch.full((sentences, slots), -torch.inf, dtype=torch.float64, device=device)
        scores[:, : None if settings.sampling else 1] = 0.0
        zeros = torch.zeros(sentences, slots, dtype=torch.int64, device=device)
        coverage = None
        if mask is not None:
            # Lua starts from 0.0001 so that the logarithm is finite; padding must not count at all.
            start = torch.full(mask.shape, 1e-4, dtype=torch.float64, device=device).masked_fill(~mask, 1.0)
            coverage = start[:, None, :].repeat(1, slots, 1)
        words = zeros.new_zeros(sentences, slots, 0) if settings.block_ngrams else None
        return cls(scores, zeros, zeros.bool(), zeros, coverage, words)

    def with_attention(self, attention: Tensor | None) -> "Beam":
        """The beam with the attention of this step, R S, added to its coverage."""
        if self.coverage is None or attention is None:
            return self
        return replace(self, coverage=self.coverage + attention.view_as(self.coverage))

    def extended(self, chosen: "Candidates") -> "Beam":
        """The beam after its slots have been refilled."""
        ended = self.ended.gather(1, chosen.parents)
        finishing = chosen.tokens == EOS
        words = _of_parents(self.words, chosen.parents)
        return Beam(
            scores=chosen.totals,
            unknowns=self.unknowns.gather(1, chosen.parents) + (chosen.tokens == UNK),
            ended=ended | finishing,
            lengths=self.lengths.gather(1, chosen.parents) + ~finishing,
            coverage=_of_parents(self.coverage, chosen.parents),
            words=None if words is None else torch.cat([words, chosen.tokens[:, :, None]], dim=2),
        )

    def without(self, dead: Tensor) -> "Beam":
        """The beam with the slots marked in `dead`, B K, emptied."""
        return replace(self, scores=self.scores.masked_fill(dead, -torch.inf))

    def keep(self, sentences: Tensor) -> "Beam":
        """The beam of these sentences only."""
        return Beam(
            self.scores[sentences],
            self.unknowns[sentences],
            self.ended[sentences],
            self.lengths[sentences],
            None if self.coverage is None else self.coverage[sentences],
            None if self.words is None else self.words[sentences],
        )


def _of_parents(field: Tensor | None, parents: Tensor) -> Tensor | None:
    """The values of `field`, B K X, at each slot's parent; parents: B K."""
    if field is None:
        return None
    return field.gather(1, parents[:, :, None].expand(-1, -1, field.shape[2]))


@dataclass(frozen=True)
class Candidates:
    """Continuations of a sentence's hypotheses, N per sentence.

    totals: B N float64, sums of log-probabilities; ranks: B N float64, the normalised scores that decide;
    tokens: B N; parents: B N, the slots continued.
    """

    totals: Tensor
    normalised: Tensor
    tokens: Tensor
    parents: Tensor

    def best(self, count: int) -> "Candidates":
        """The `count` best-ranked, best first."""
        return self._pick(self.normalised.topk(min(count, self.normalised.shape[1]), dim=1).indices)

    def demoted(self, pruned: Tensor) -> "Candidates":
        """The candidates with those marked in `pruned`, B N, dead and last."""
        dead = self.without(pruned)
        return dead._pick(dead.normalised.sort(dim=1, descending=True, stable=True).indices)

    def without(self, dead: Tensor) -> "Candidates":
        """The candidates in the same order, with those marked in `dead`, B N, dead."""
        totals = self.totals.masked_fill(dead, -torch.inf)
        return Candidates(totals, self.normalised.masked_fill(dead, -torch.inf), self.tokens, self.parents)

    def slice(self, columns: slice) -> "Candidates":
        """The candidates in these columns."""
        return Candidates(*(field[:, columns] for field in self._fields()))

    def joined(self, other: "Candidates") -> "Candidates":
        """These candidates and the others, side by side."""
        pairs = zip(self._fields(), other._fields(), strict=True)
        return Candidates(*(torch.cat(pair, dim=1) for pair in pairs))

    def _fields(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.totals, self.normalised, self.tokens, self.parents

    def _pick(self, positions: Tensor) -> "Candidates":
        return Candidates(*(field.gather(1, positions) for field in self._fields()))


class ScoreNormalisation:
    """The scores by which hypotheses compete, normalised by length and coverage (Wu et al. 2016, "Google's
    neural machine translation system"):

    score / ((5 + length) / 6)^length_norm + coverage_norm * sum_s log min(coverage_s, 1).

    The length of a candidate of step t is t, and that of a hypothesis that is stored or compared after step t
    is t + 1: an inconsistency of Beam.lua, kept so that scores equal the original's. With
    `length_penalty="words"` (google/seq2seq) the length is the number of words without `</s>`.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings

    def candidates(self, totals: Tensor, tokens: Tensor, beam: Beam, step: int) -> Tensor:
        """Rank the hypotheses continued by `tokens`, B K M, in step `step`; totals: their scores, B K M."""
        lengths: Tensor | float = step
        if self._settings.length_penalty == "words":
            lengths = (beam.lengths[:, :, None] + (tokens != EOS)).double()
        normalised = self._length_normalised(totals, lengths)
        penalty = self._coverage_penalty(beam)
        return normalised if penalty is None else normalised + penalty[:, :, None]

    def hypotheses(self, beam: Beam, step: int) -> Tensor:
        """Rank the beam's hypotheses after step `step`, B K."""
        words = self._settings.length_penalty == "words"
        normalised = self._length_normalised(beam.scores, beam.lengths.double() if words else step + 1)
        penalty = self._coverage_penalty(beam)
        return normalised if penalty is None else normalised + penalty

    def _length_normalised(self, totals: Tensor, lengths: Tensor | float) -> Tensor:
        if self._settings.length_norm == 0:
            return totals
        base, exponent = (5.0 + lengths) / 6.0, self._settings.length_norm
        try:
            return totals / base**exponent
        except OverflowError:  # of a Python float; a tensor would become infinite
            return totals / math.inf

    def _coverage_penalty(self, beam: Beam) -> Tensor | None:
        if beam.coverage is None:
            return None
        return self._settings.coverage_norm * beam.coverage.clamp(max=1.0).log().sum(dim=2)


@dataclass(frozen=True)
class Expansion:
    """The beam in step `step` (from 1): how its hypotheses may be continued."""

    beam: Beam
    settings: SearchSettings
    step: int

    def restrict(self, log_probs: Tensor, repeatable: Tensor | None) -> None:
        """Give -inf to the words that the settings forbid in this step, in place. log_probs: R V.

        repeatable: ids of `settings.repeatable` on the device, None without any.
        """
        words, settings = self.beam.words, self.settings
        if self.step <= settings.min_length:
            log_probs[:, EOS] = -torch.inf
        if settings.ban_unknown:
            log_probs[:, UNK] = -torch.inf
        if words is not None and words.shape[2] >= settings.block_ngrams:
            last, repeats = _repeated_ngrams(words.flatten(0, 1), settings.block_ngrams, repeatable)
            # A word may end several n-grams: adding gives the same result in any order.
            penalty = torch.zeros_like(last, dtype=log_probs.dtype).masked_fill(repeats, -torch.inf)
            log_probs.scatter_add_(1, last, penalty)

    def continuations(self, log_probs: Tensor, source_lengths: Tensor) -> Candidates:
        """Return every continuation that could enter the beam: each row's best words and `</s>`, ranked.

        log_probs: R V, overwritten; source_lengths: B. A row cannot place more of its own continuations than
        are considered in the whole beam, so taking that many per row loses none.
        """
        beam, settings = self.beam, self.settings
        sentences, slots = beam.scores.shape
        considered = settings.beam_size * settings.pre_filter_factor
        # `</s>` has a normalisation of its own and is always a candidate, so it is not among the top words.
        end = log_probs[:, EOS].to(torch.float64, copy=True).view(sentences, slots)
        if settings.eos_norm > 0:
            end = end * (settings.eos_norm * source_lengths[:, None].double() / self.step)
        log_probs[:, EOS] = -torch.inf
        values, tokens = top_k(log_probs, min(considered, log_probs.shape[1] - 1))
        values = values.double().view(sentences, slots, -1)
        if settings.finished == "stay":
            values = values.masked_fill(beam.ended[:, :, None], -torch.inf)
            end = end.masked_fill(beam.ended, 0.0)
        values = torch.cat([values, end[:, :, None]], dim=2)
        tokens = torch.cat(
            [tokens.view(sentences, slots, -1), torch.full_like(end, EOS, dtype=torch.int64)[:, :, None]], 2
        )
        return self.ranked(values, tokens)

    def sampled(self, log_probs: Tensor, draws: Tensor) -> Candidates:
        """Continue each slot's hypothesis by a random word. log_probs: R V; draws: B K, uniform numbers."""
        assert self.settings.sampling is not None
        words = self.settings.sampling.draw(log_probs, draws.flatten())
        values = log_probs.gather(1, words[:, None]).double().view(draws.shape)
        words = words.view(draws.shape)
        if self.settings.finished == "stay":
            ended = self.beam.ended
            words, values = words.masked_fill(ended, EOS), values.masked_fill(ended, 0.0)
        return self.ranked(values[:, :, None], words[:, :, None])

    def ranked(self, values: Tensor, tokens: Tensor) -> Candidates:
        """The hypotheses continued by `tokens`, B K M, of log-probabilities `values`, B K M float64."""
        totals = self.beam.scores[:, :, None] + values
        normalised = ScoreNormalisation(self.settings).candidates(totals, tokens, self.beam, self.step)
        slots = torch.arange(tokens.shape[1], device=totals.device)
        parents = slots[None, :, None].expand_as(tokens)
        return Candidates(totals.flatten(1), normalised.flatten(1), tokens.flatten(1), parents.flatten(1))

    def choose(self, pool: Candidates) -> Candidates:
        """Return the beam_size best of the pool, best first; pruned ones become dead slots, as in Lua.

        With `pre_filter_factor` f, the best f * beam_size are considered before the pruned ones are dropped.
        """
        considered = pool.best(self.settings.beam_size * self.settings.pre_filter_factor)
        if self._forbids_empty or self.settings.max_unknowns is not None:
            considered = considered.demoted(self._pruned(considered))
        return considered.slice(slice(self.settings.beam_size))

    @property
    def _forbids_empty(self) -> bool:
        """Lua prunes outputs without words, which end in step 1; google/seq2seq does not."""
        return self.step == 1 and self.settings.finished == "retire"

    def _pruned(self, candidates: Candidates) -> Tensor:
        """Mark, B N, empty outputs and candidates with more `<unk>` than allowed."""
        marked = torch.zeros_like(candidates.tokens, dtype=torch.bool)
        if self._forbids_empty:
            marked = marked | (candidates.tokens == EOS)
        if self.settings.max_unknowns is not None:
            unknowns = self.beam.unknowns.gather(1, candidates.parents) + (candidates.tokens == UNK)
            marked = marked | (unknowns > self.settings.max_unknowns)
        return marked


def _repeated_ngrams(words: Tensor, size: int, repeatable: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the last word of every n-gram of `words`, R T, and whether it would repeat that n-gram now.

    Both have the shape R T-size+1. N-grams that contain a word of `repeatable` are never marked.
    """
    ngrams = words.unfold(1, size, 1)
    current = words[:, words.shape[1] - size + 1 :]
    repeats = (ngrams[:, :, :-1] == current[:, None, :]).all(dim=2)
    if repeatable is not None:
        repeats = repeats & ~(ngrams[..., None] == repeatable).any(dim=3).any(dim=2)
    return ngrams[:, :, -1], repeats
