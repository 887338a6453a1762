"""One step of beam search as pure functions on tensors, and constraints on its scores.

K is the number of slots in a sentence's beam, N the number of its candidates. A dead hypothesis, or a slot
that was never filled, has a score of -inf."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from onmt.constants import EOS, UNK
from onmt.kernels.cross_entropy import best


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """From what to draw: p_i ~ exp(log_prob_i / temperature), restricted and normalised again.

    top_k: the likeliest words (0: all). top_p: the fewest likeliest words whose probabilities reach this sum
    (0: all); where both are given, the fewer.
    """

    top_k: int = 0
    top_p: float = 0.0
    temperature: float = 1.0


def draw(log_probs: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
    """Word ids R, drawn from log_probs R V by uniform numbers R in [0, 1); a word of -inf never comes.

    The nucleus (`top_p`) is that of Holtzman et al. 2020, "The curious case of neural text degeneration".
    """
    probs = torch.softmax(log_probs.double() / sampling.temperature, dim=1).nan_to_num()
    words = None
    if sampling.top_k or sampling.top_p:
        count = probs.shape[1] if sampling.top_k == 0 else min(sampling.top_k, probs.shape[1])
        probs, words = probs.topk(count, dim=1)
    if sampling.top_p:
        before = probs.cumsum(dim=1) - probs
        probs = probs.masked_fill(before >= sampling.top_p, 0.0)
    places = _places(probs, draws)
    return places if words is None else words.gather(1, places[:, None]).squeeze(1)


def _places(probs: Tensor, draws: Tensor) -> Tensor:
    """Columns drawn in proportion to `probs`, R N, by uniform numbers R."""
    sums = probs.cumsum(dim=1)
    wanted = draws[:, None] * sums[:, -1:]
    places = torch.searchsorted(sums, wanted, right=True)
    last = (sums < sums[:, -1:]).sum(dim=1, keepdim=True)  # where rounding takes the product up to the sum
    return torch.minimum(places, last).squeeze(1)


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """Settings of a search.

    `max_length`: words after which everything counts as finished. `max_unknowns`: more `<unk>` than this
    prune a hypothesis (None: no limit). `pre_filter_factor`: this many times the beam is considered before
    pruning. `length_norm`, `coverage_norm`, `eos_norm`: 0 switches each off. `min_length`: words before which
    no hypothesis may end. `block_ngrams`: no n-gram of this length appears twice in a hypothesis (0: any may)
    unless it contains one of the words `repeatable` (ids). `ban_unknown`: no `<unk>`. `sampling`: draw
    `n_best` hypotheses instead of searching. `finished`, `length_penalty`: where the dialects differ, see
    PolicySpec.
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


@dataclass(frozen=True)
class Beam:
    """The live hypotheses of B sentences.

    scores: B K float64, sums of log-probabilities; unknowns: B K, `<unk>`s so far; ended: B K, have produced
    `</s>` (only where finished hypotheses stay); lengths: B K, words so far; coverage: B K S float64,
    attention received by each source position (1 at padding), None unless needed; words: B K T, the
    words so far, None unless needed.
    """

    scores: Tensor
    unknowns: Tensor
    ended: Tensor
    lengths: Tensor
    coverage: Tensor | None
    words: Tensor | None = None

    def attended(self, attention: Tensor | None) -> "Beam":
        """The beam once its rows have looked at the source; attention: R S."""
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
        """Only these sentences."""
        return Beam(
            self.scores[sentences],
            self.unknowns[sentences],
            self.ended[sentences],
            self.lengths[sentences],
            None if self.coverage is None else self.coverage[sentences],
            None if self.words is None else self.words[sentences],
        )


def _of_parents(field: Tensor | None, parents: Tensor) -> Tensor | None:
    """field B K X, of each slot's parent; parents: B K."""
    if field is None:
        return None
    return field.gather(1, parents[:, :, None].expand(-1, -1, field.shape[2]))


def first_beam(
    sentences: int, slots: int, mask: Tensor | None, settings: SearchSettings, device: torch.device
) -> Beam:
    """The beam before the first step: slot 0 alive, the others dead unless each is a sample of its own.

    mask: B S, given if coverage counts.
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
    return Beam(scores, zeros, zeros.bool(), zeros, coverage, words)


@dataclass(frozen=True)
class Candidates:
    """Continuations of a sentence's hypotheses, N per sentence.

    totals: B N float64, sums of log-probabilities; ranks: B N float64, the normalised scores that decide;
    tokens: B N; parents: B N, the slots continued.
    """

    totals: Tensor
    ranks: Tensor
    tokens: Tensor
    parents: Tensor

    def best(self, count: int) -> "Candidates":
        """The `count` best-ranked, best first."""
        return self._pick(self.ranks.topk(min(count, self.ranks.shape[1]), dim=1).indices)

    def demoted(self, pruned: Tensor) -> "Candidates":
        """With those marked in `pruned`, B N, last in the order and dead."""
        dead = self.without(pruned)
        return dead._pick(dead.ranks.sort(dim=1, descending=True, stable=True).indices)

    def without(self, dead: Tensor) -> "Candidates":
        """With those marked in `dead`, B N, made impossible; the order stays."""
        totals = self.totals.masked_fill(dead, -torch.inf)
        return Candidates(totals, self.ranks.masked_fill(dead, -torch.inf), self.tokens, self.parents)

    def slice(self, columns: slice) -> "Candidates":
        """These of the N, in their order."""
        return Candidates(*(field[:, columns] for field in self._fields()))

    def joined(self, other: "Candidates") -> "Candidates":
        """Both, side by side."""
        pairs = zip(self._fields(), other._fields(), strict=True)
        return Candidates(*(torch.cat(pair, dim=1) for pair in pairs))

    def _fields(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.totals, self.ranks, self.tokens, self.parents

    def _pick(self, positions: Tensor) -> "Candidates":
        return Candidates(*(field.gather(1, positions) for field in self._fields()))


Prune = Callable[[Candidates], Tensor]
"""Marks the candidates that may not be, B N."""


class Ranking:
    """Normalised scores: score / ((5 + length) / 6)^length_norm + coverage_norm * sum_s log min(coverage_s,
    1).

    In Lua (Beam.lua) the length of every candidate of step t is t; of a hypothesis that is stored or compared
    after step t it is t + 1. With `length_penalty="words"` (google/seq2seq) the length is the number of words
    without `</s>`.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings

    def candidates(self, totals: Tensor, tokens: Tensor, beam: Beam, step: int) -> Tensor:
        """Ranks of `totals`, B K M, the scores of hypotheses continued by `tokens`, B K M, in step `step`."""
        lengths: Tensor | float = step
        if self._settings.length_penalty == "words":
            lengths = (beam.lengths[:, :, None] + (tokens != EOS)).double()
        ranks = self._per_length(totals, lengths)
        penalty = self._uncovered(beam)
        return ranks if penalty is None else ranks + penalty[:, :, None]

    def hypotheses(self, beam: Beam, step: int) -> Tensor:
        """Ranks of the beam's hypotheses as they stand after step `step`, B K."""
        words = self._settings.length_penalty == "words"
        ranks = self._per_length(beam.scores, beam.lengths.double() if words else step + 1)
        penalty = self._uncovered(beam)
        return ranks if penalty is None else ranks + penalty

    def _per_length(self, totals: Tensor, lengths: Tensor | float) -> Tensor:
        if self._settings.length_norm == 0:
            return totals
        base, exponent = (5.0 + lengths) / 6.0, self._settings.length_norm
        try:
            return totals / base**exponent
        except OverflowError:  # a float's, where a tensor would have become infinite
            return totals / math.inf

    def _uncovered(self, beam: Beam) -> Tensor | None:
        if beam.coverage is None:
            return None
        return self._settings.coverage_norm * beam.coverage.clamp(max=1.0).log().sum(dim=2)


def continuations(
    beam: Beam,
    log_probs: Tensor,
    source_lengths: Tensor,
    ranking: Ranking,
    settings: SearchSettings,
    step: int,
) -> Candidates:
    """Every continuation that could enter the beam: of each row the best words and `</s>`, ranked.

    log_probs: R V, used up (overwritten); source_lengths: B. A row cannot place more of its own continuations
    than are looked at in the whole beam, so looking at that many per row loses none.
    """
    sentences, slots = beam.scores.shape
    considered = settings.beam_size * settings.pre_filter_factor
    end = log_probs[:, EOS].to(torch.float64, copy=True).view(sentences, slots)
    if settings.eos_norm > 0:
        end = end * (settings.eos_norm * source_lengths[:, None].double() / step)
    log_probs[:, EOS] = -torch.inf
    values, tokens = best(log_probs, min(considered, log_probs.shape[1] - 1))
    values = values.double().view(sentences, slots, -1)
    if settings.finished == "stay":
        values = values.masked_fill(beam.ended[:, :, None], -torch.inf)
        end = end.masked_fill(beam.ended, 0.0)
    values = torch.cat([values, end[:, :, None]], dim=2)
    tokens = torch.cat(
        [tokens.view(sentences, slots, -1), torch.full_like(end, EOS, dtype=torch.int64)[:, :, None]], 2
    )
    totals = beam.scores[:, :, None] + values
    ranks = ranking.candidates(totals, tokens, beam, step)
    parents = torch.arange(slots, device=totals.device)[None, :, None].expand_as(tokens)
    return Candidates(totals.flatten(1), ranks.flatten(1), tokens.flatten(1), parents.flatten(1))


def choose(pool: Candidates, settings: SearchSettings, prune: Prune | None) -> Candidates:
    """The beam_size best of the pool, best first; pruned ones stay only as dead slots, as in Lua.

    With `pre_filter_factor` f, the best f * beam_size are looked at before the pruned ones go.
    """
    considered = pool.best(settings.beam_size * settings.pre_filter_factor)
    if prune is not None:
        considered = considered.demoted(prune(considered))
    return considered.slice(slice(settings.beam_size))


def sampled(
    beam: Beam, log_probs: Tensor, draws: Tensor, ranking: Ranking, settings: SearchSettings, step: int
) -> Candidates:
    """Each slot's hypothesis continued by a word drawn at random. log_probs: R V; draws: B K, uniform."""
    assert settings.sampling is not None
    shape = draws.shape
    tokens = draw(log_probs, draws.flatten(), settings.sampling)
    values = log_probs.gather(1, tokens[:, None]).double().view(shape)
    tokens = tokens.view(shape)
    if settings.finished == "stay":
        tokens, values = tokens.masked_fill(beam.ended, EOS), values.masked_fill(beam.ended, 0.0)
    totals = beam.scores + values
    ranks = ranking.candidates(totals[:, :, None], tokens[:, :, None], beam, step).squeeze(2)
    parents = torch.arange(shape[1], device=totals.device).expand(shape)
    return Candidates(totals, ranks, tokens, parents)


def restrict(
    log_probs: Tensor, beam: Beam, settings: SearchSettings, repeatable: Tensor | None, step: int
) -> None:
    """Give -inf to the words that the settings forbid in this step, in place. log_probs: R V.

    repeatable: ids of `settings.repeatable` on the device, None without any.
    """
    if step <= settings.min_length:
        log_probs[:, EOS] = -torch.inf
    if settings.ban_unknown:
        log_probs[:, UNK] = -torch.inf
    if beam.words is not None and beam.words.shape[2] >= settings.block_ngrams:
        last, repeats = _repeated_ngrams(beam.words.flatten(0, 1), settings.block_ngrams, repeatable)
        # A word may end several n-grams: adding is the same in whatever order.
        penalty = torch.zeros_like(last, dtype=log_probs.dtype).masked_fill(repeats, -torch.inf)
        log_probs.scatter_add_(1, last, penalty)


def _repeated_ngrams(words: Tensor, size: int, repeatable: Tensor | None) -> tuple[Tensor, Tensor]:
    """The last word of every n-gram of `words`, R T, and whether it would complete that n-gram again: both R
    T-size+1. N-grams with a word of `repeatable` in them count as never repeated.
    """
    ngrams = words.unfold(1, size, 1)
    current = words[:, words.shape[1] - size + 1 :]
    repeats = (ngrams[:, :, :-1] == current[:, None, :]).all(dim=2)
    if repeatable is not None:
        repeats = repeats & ~(ngrams[..., None] == repeatable).any(dim=3).any(dim=2)
    return ngrams[:, :, -1], repeats


def _empty_output(candidates: Candidates) -> Tensor:
    """Marks `</s>`; for the first step, where it would make the output empty."""
    return candidates.tokens == EOS


def _too_many_unknowns(candidates: Candidates, beam: Beam, limit: int) -> Tensor:
    """Marks hypotheses that would have more than `limit` `<unk>`."""
    unknowns = beam.unknowns.gather(1, candidates.parents) + (candidates.tokens == UNK)
    return unknowns > limit


def pruning(beam: Beam, step: int, settings: SearchSettings) -> Prune | None:
    """The pruning rules of this step; None if nothing can be pruned."""
    forbid_empty = step == 1 and settings.finished == "retire"
    limit = settings.max_unknowns
    if not forbid_empty and limit is None:
        return None

    def prune(candidates: Candidates) -> Tensor:
        marked = torch.zeros_like(candidates.tokens, dtype=torch.bool)
        if forbid_empty:
            marked = marked | _empty_output(candidates)
        if limit is not None:
            marked = marked | _too_many_unknowns(candidates, beam, limit)
        return marked

    return prune
