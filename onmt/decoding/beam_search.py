"""Beam search over a batch (Lua: BeamSearcher.lua, Beam.lua, DecoderAdvancer.lua); greedy is beam 1.

The loop asks a Scorer for scores, extends the beam by a pure step, retires finished hypotheses and drops
sentences that are done. It never asks what model it drives.

With lexical constraints it is grid beam search (Hokamp and Liu 2017, "Lexically constrained decoding"). A
sentence's slots form a grid: level l holds `beam` hypotheses that have been made to produce l of its C
constraints. Level l is refilled from its own hypotheses, continued freely, and from those of level l - 1,
continued by one of the constraints they still owe; `</s>` is allowed only on the level of the sentence's
number of constraints (Lua: BeamSearcher.lua). Slots are numbered level by level.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from onmt.constants import BOS, EOS, PAD
from onmt.data.dataset import to_device
from onmt.decoding.hypotheses import Endings, Path, Trace, merge, read_back
from onmt.decoding.scoring import Scorer
from onmt.decoding.step import (
    Beam,
    Candidates,
    Prune,
    Ranking,
    SearchSettings,
    choose,
    continuations,
    first_beam,
    pruning,
    restrict,
    sampled,
)


@dataclass(frozen=True)
class Constraints:
    """Words that outputs must contain.

    words: B C, each sentence's constraints, PAD behind them. limited: a constraint is produced no more often
    than it is asked for. reserved: ids, ascending, that may come as constraints only.
    """

    words: Tensor
    limited: bool
    reserved: Tensor

    @property
    def levels(self) -> int:
        """Levels of the grid, C + 1."""
        return self.words.shape[1] + 1


@dataclass(frozen=True)
class _Grid:
    """The constraints that each hypothesis has met: used, B K C with K = levels x beam."""

    constraints: Constraints
    used: Tensor
    beam: int

    @classmethod
    def start(cls, constraints: Constraints, beam: int) -> "_Grid":
        """Nothing met yet."""
        sentences, count = constraints.words.shape
        shape = (sentences, constraints.levels * beam, count)
        used = torch.zeros(shape, dtype=torch.bool, device=constraints.words.device)
        return cls(constraints, used, beam)

    @property
    def slots(self) -> int:
        """Slots per sentence."""
        return self.used.shape[1]

    def keep(self, sentences: Tensor) -> "_Grid":
        """Only these sentences."""
        words = self.constraints.words[sentences]
        constraints = Constraints(words, self.constraints.limited, self.constraints.reserved)
        return _Grid(constraints, self.used[sentences], self.beam)

    def extended(self, chosen: Candidates) -> "_Grid":
        """The grid after its slots were refilled: a word meets the first constraint for it that is owed."""
        index = chosen.parents[:, :, None].expand_as(self.used)
        used = self.used.gather(1, index)
        met = self._owed(used) & (self.constraints.words[:, None, :] == chosen.tokens[:, :, None])
        return _Grid(self.constraints, used | met, self.beam)

    def choose(
        self, free: Candidates, forced: Candidates, settings: SearchSettings, prune: Prune | None
    ) -> Candidates:
        """The next hypotheses of every level, each level's best first.

        free: of `continuations`, after `forbid`; forced: of `self.forced`.
        """
        complete = self._complete()
        levels = []
        for level in range(self.constraints.levels):
            pool = free.slice(self._columns(free, level))
            pool = pool.without((pool.tokens == EOS) & (complete != level)[:, None])
            if level > 0:
                pool = pool.joined(forced.slice(self._columns(forced, level - 1)))
            levels.append(choose(pool, settings, prune))
        chosen = levels[0]
        for one in levels[1:]:
            chosen = chosen.joined(one)
        return chosen

    def satisfied(self, chosen: Candidates) -> Tensor:
        """Whether hypotheses hold all constraints before their last word, which the limit cuts off, B K."""
        levels = torch.arange(self.slots, device=self.used.device) // self.beam
        complete = self._complete()[:, None]
        return (levels == complete) & (chosen.parents // self.beam == complete)

    def _complete(self) -> Tensor:
        """The level at which all constraints have been met, B."""
        return (self.constraints.words != PAD).sum(dim=1)

    def _columns(self, candidates: Candidates, level: int) -> slice:
        """The places of a level's candidates among those of all slots."""
        width = candidates.tokens.shape[1] // self.constraints.levels
        return slice(level * width, (level + 1) * width)

    def _owed(self, used: Tensor) -> Tensor:
        """Constraints still owed, B K C; of equal words only the first, so that one word pays for one
        constraint.
        """
        words = self.constraints.words
        owed = ~used & (words != PAD)[:, None, :]
        same = words[:, :, None] == words[:, None, :]
        earlier = torch.ones_like(same).tril(-1)  # [c, e]: e comes before c
        repeated = (owed[:, :, None, :] & (same & earlier)[:, None]).any(dim=3)
        return owed & ~repeated

    def forced(self, beam: Beam, log_probs: Tensor, ranking: Ranking, step: int) -> Candidates:
        """Every hypothesis continued by each constraint it owes, C per slot."""
        sentences, slots, _ = self.used.shape
        tokens = self.constraints.words[:, None, :].expand(-1, slots, -1)
        values = log_probs.view(sentences, slots, -1).gather(2, tokens).double()
        totals = (beam.scores[:, :, None] + values).masked_fill(~self._owed(self.used), -torch.inf)
        ranks = ranking.candidates(totals, tokens, beam, step)
        parents = torch.arange(slots, device=totals.device)[None, :, None].expand_as(tokens)
        return Candidates(totals.flatten(1), ranks.flatten(1), tokens.flatten(1), parents.flatten(1))

    def forbid(self, log_probs: Tensor) -> None:
        """Take from the free continuations what may come as a constraint only, in place."""
        log_probs.index_fill_(1, self.constraints.reserved, -torch.inf)
        if self.constraints.limited:
            sentences, slots, _ = self.used.shape
            tokens = self.constraints.words[:, None, :].expand(-1, slots, -1)
            log_probs.view(sentences, slots, -1).scatter_(2, tokens, -torch.inf)
            log_probs[
                :, PAD
            ] = -torch.inf  # stands for "no constraint" in some rows: forbid it in all of them


@dataclass(frozen=True)
class Sources:
    """The B sentences of a search.

    lengths: B, source positions; attended: B S, True where attention can go; start_labels: the label that
    each target feature has before the first step; draws: B K T float64, uniform numbers for sampling.
    """

    lengths: Tensor
    attended: Tensor
    start_labels: tuple[int, ...] = ()
    draws: Tensor | None = None

    @property
    def count(self) -> int:
        """B."""
        return len(self.lengths)

    def start_tokens(self, rows_per_sentence: int) -> Tensor:
        """R F: `<s>` and the first labels."""
        rows = self.count * rows_per_sentence
        columns = [self.lengths.new_full((rows, 1), number) for number in (BOS, *self.start_labels)]
        return torch.cat(columns, dim=1)


@dataclass(frozen=True)
class SearchResult:
    """n_best paths per sentence, best first, and what every step left behind."""

    paths: list[list[Path]]
    traces: list[Trace]


@torch.inference_mode()
def beam_search(
    scorer: Scorer, sources: Sources, settings: SearchSettings, constraints: Constraints | None = None
) -> SearchResult:
    """Search the n_best best continuations of `<s>` for every sentence.

    `scorer` has `rows_per_sentence(settings, constraints)` rows for each of the sentences.
    """
    return _Search(scorer, sources, settings, constraints).run()


def rows_per_sentence(settings: SearchSettings, constraints: Constraints | None) -> int:
    """Hypotheses that are followed at once for one sentence."""
    if settings.sampling is not None:
        return settings.n_best
    return settings.beam_size * (1 if constraints is None else constraints.levels)


class _Search:
    """The state of one search: the sentences still alive, their beams, and the traces of the steps."""

    def __init__(
        self, scorer: Scorer, sources: Sources, settings: SearchSettings, constraints: Constraints | None
    ) -> None:
        self._scorer = scorer
        self._sources = sources
        self._settings = settings
        self._ranking = Ranking(settings)
        self._grid = None if constraints is None else _Grid.start(constraints, settings.beam_size)
        self._slots = rows_per_sentence(settings, constraints)
        device = sources.lengths.device
        mask = sources.attended if settings.coverage_norm != 0 else None
        self._beam = first_beam(sources.count, self._slots, mask, settings, device)
        self._repeatable: Tensor | None = None
        if settings.repeatable:
            self._repeatable = to_device(torch.tensor(settings.repeatable), device)
        self._alive = torch.arange(sources.count, device=device)
        self._stored = Endings.none(sources.count, settings.n_best, device)
        self._endings = Endings.none(sources.count, settings.n_best, device)
        self._traces: list[Trace] = []

    def run(self) -> SearchResult:
        """Step until every sentence is done."""
        tokens = self._sources.start_tokens(self._slots)
        for step in range(1, self._settings.max_length + 2):
            scores = self._scorer.step(tokens)
            self._beam = self._beam.attended(scores.attention)
            chosen = self._extend(scores.log_probs, step)
            ranks = self._ranks(chosen, step)
            done = self._retire(chosen, ranks, step)
            self._traces.append(
                Trace(
                    sentences=self._alive,
                    tokens=chosen.tokens,
                    parents=chosen.parents,
                    totals=chosen.totals,
                    scores=self._beam.scores,
                    ranks=ranks,
                    features=scores.features,
                    attention=scores.attention,
                    copying=scores.copying,
                )
            )
            living = (~done).nonzero().squeeze(1)  # the one place where the host waits for the device
            if len(living) == 0:
                break
            offsets = torch.arange(len(done), device=done.device)[:, None] * self._slots
            rows = (chosen.parents + offsets).flatten()
            self._scorer.reorder(rows)
            tokens = torch.cat([chosen.tokens.reshape(-1, 1), scores.features[rows]], dim=1)
            if len(living) < len(done):
                tokens = tokens.view(len(done), self._slots, -1)[living].flatten(0, 1)
                self._keep(living)
        paths = read_back(self._traces, self._endings, self._widths())
        return SearchResult(paths, self._traces)

    def _widths(self) -> Tensor:
        """Up to where attention goes, B: positions before the last one that it can reach, and that one."""
        places = torch.arange(1, self._sources.attended.shape[1] + 1, device=self._alive.device)
        return (self._sources.attended * places).amax(dim=1)

    def _extend(self, log_probs: Tensor, step: int) -> Candidates:
        """Refill the slots of the beam."""
        beam, settings, grid = self._beam, self._settings, self._grid
        forced = None if grid is None else grid.forced(beam, log_probs, self._ranking, step)
        if grid is not None:
            grid.forbid(log_probs)
        restrict(log_probs, beam, settings, self._repeatable, step)
        if settings.sampling is not None:
            chosen = sampled(beam, log_probs, self._draws(step), self._ranking, settings, step)
        else:
            lengths = self._sources.lengths[self._alive]
            prune = pruning(beam, step, settings)
            pool = continuations(beam, log_probs, lengths, self._ranking, settings, step)
            if grid is None or forced is None:
                chosen = choose(pool, settings, prune)
            else:
                chosen = grid.choose(pool, forced, settings, prune)
                self._grid = grid.extended(chosen)
        self._beam = beam.extended(chosen)
        return chosen

    def _draws(self, step: int) -> Tensor:
        """The uniform numbers of the living sentences in this step, B K."""
        assert self._sources.draws is not None
        return self._sources.draws[self._alive, :, step - 1]

    def _retire(self, chosen: Candidates, ranks: Tensor, step: int) -> Tensor:
        """Note each sentence's best endings so far; which sentences are done, B. ranks: B K, after `step`."""
        beam, last = self._beam, step > self._settings.max_length
        ended = (beam.ended if self._stays else chosen.tokens == EOS) | last
        best, done = merge(self._stored, ranks, ended, step)
        if self._stays:
            done = ended.all(dim=1)
        else:
            self._stored = self._stored.added(ranks.masked_fill(~ended, -torch.inf), step)
            self._beam = beam.without(ended)
        self._endings.overwrite(self._alive, best)
        return done | torch.isinf(beam.scores).all(dim=1)  # dead slots lead nowhere: no need to go on

    def _ranks(self, chosen: Candidates, step: int) -> Tensor:
        """With what the hypotheses compete after `step`, B K."""
        ranks = self._ranking.hypotheses(self._beam, step)
        if step > self._settings.max_length and self._grid is not None:
            return self._without_unsatisfied(ranks, self._grid.satisfied(chosen))
        return ranks

    def _without_unsatisfied(self, ranks: Tensor, satisfied: Tensor) -> Tensor:
        """Ranks, B K, of hypotheses that the length limit ends: those that lack a constraint count only where
        there is no other.
        """
        found = self._stored.ranks[:, 0] > -torch.inf
        others = found | (satisfied & (ranks > -torch.inf)).any(dim=1)
        return ranks.masked_fill(~satisfied & others[:, None], -torch.inf)

    @property
    def _stays(self) -> bool:
        return self._settings.finished == "stay"

    def _keep(self, living: Tensor) -> None:
        """Drop the sentences that are done."""
        self._scorer.keep(living)
        self._beam = self._beam.keep(living)
        self._stored = self._stored.keep(living)
        self._alive = self._alive[living]
        if self._grid is not None:
            self._grid = self._grid.keep(living)
