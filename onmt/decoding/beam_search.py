"""Beam search over a batch (Lua: BeamSearcher.lua, Beam.lua, DecoderAdvancer.lua); greedy is beam 1.

The loop asks a Scorer for scores, extends the beam by a pure step, retires finished hypotheses and drops
sentences that are done. It does not depend on the kind of model.

With lexical constraints it is grid beam search (Hokamp and Liu 2017, "Lexically constrained decoding"). A
sentence's slots form a grid: level l holds `beam` hypotheses that satisfy l of its C constraints. Level l is
refilled from its own hypotheses, continued freely, and from those of level l - 1, continued by a constraint
that they do not satisfy yet. `</s>` is allowed only on the level of the sentence's number of constraints
(Lua: BeamSearcher.lua). Slots are numbered level by level.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from onmt.constants import BOS, EOS, PAD
from onmt.data.dataset import to_device
from onmt.decoding.hypotheses import Endings, Path, Trace
from onmt.decoding.scoring import Scorer
from onmt.decoding.step import Beam, Candidates, Expansion, ScoreNormalisation, SearchSettings


@dataclass(frozen=True)
class Constraints:
    """Words that translations must contain.

    words: B C, each sentence's constraints, followed by PAD. limited: a constraint is produced no more often
    than it is required. reserved: ids, ascending, of words that are allowed only as constraints.
    """

    words: Tensor
    limited: bool
    reserved: Tensor

    @property
    def levels(self) -> int:
        """The number of levels of the grid, C + 1."""
        return self.words.shape[1] + 1


@dataclass(frozen=True)
class _Grid:
    """The constraints that each hypothesis satisfies: used, B K C with K = levels x beam."""

    constraints: Constraints
    used: Tensor
    beam: int

    @classmethod
    def start(cls, constraints: Constraints, beam: int) -> "_Grid":
        """The grid before the first step: no constraint is satisfied."""
        sentences, count = constraints.words.shape
        shape = (sentences, constraints.levels * beam, count)
        used = torch.zeros(shape, dtype=torch.bool, device=constraints.words.device)
        return cls(constraints, used, beam)

    @property
    def slots(self) -> int:
        """Slots per sentence."""
        return self.used.shape[1]

    def keep(self, sentences: Tensor) -> "_Grid":
        """The grid of these sentences only."""
        words = self.constraints.words[sentences]
        constraints = Constraints(words, self.constraints.limited, self.constraints.reserved)
        return _Grid(constraints, self.used[sentences], self.beam)

    def extended(self, chosen: Candidates) -> "_Grid":
        """The grid after its slots were refilled: a word satisfies the first open constraint for it."""
        index = chosen.parents[:, :, None].expand_as(self.used)
        used = self.used.gather(1, index)
        met = self._open(used) & (self.constraints.words[:, None, :] == chosen.tokens[:, :, None])
        return _Grid(self.constraints, used | met, self.beam)

    def choose(self, free: Candidates, forced: Candidates, expansion: Expansion) -> Candidates:
        """Choose the next hypotheses of every level, each level's best first.

        free: from `Expansion.continuations`, after `forbid`; forced: from `self.forced`.
        """
        complete = self._complete()
        levels = []
        for level in range(self.constraints.levels):
            pool = free.slice(self._columns(free, level))
            pool = pool.without((pool.tokens == EOS) & (complete != level)[:, None])
            if level > 0:
                pool = pool.joined(forced.slice(self._columns(forced, level - 1)))
            levels.append(expansion.choose(pool))
        chosen = levels[0]
        for one in levels[1:]:
            chosen = chosen.joined(one)
        return chosen

    def satisfied(self, chosen: Candidates) -> Tensor:
        """Whether hypotheses satisfy all constraints before their last word, which the limit cuts, B K."""
        levels = torch.arange(self.slots, device=self.used.device) // self.beam
        complete = self._complete()[:, None]
        return (levels == complete) & (chosen.parents // self.beam == complete)

    def _complete(self) -> Tensor:
        """The level at which all constraints are satisfied, B."""
        return (self.constraints.words != PAD).sum(dim=1)

    def _columns(self, candidates: Candidates, level: int) -> slice:
        """The columns of one level's candidates among those of all levels."""
        width = candidates.tokens.shape[1] // self.constraints.levels
        return slice(level * width, (level + 1) * width)

    def _open(self, used: Tensor) -> Tensor:
        """Mark the constraints that are not satisfied yet, B K C; of equal words only the first, so that one
        word satisfies one constraint.
        """
        words = self.constraints.words
        unused = ~used & (words != PAD)[:, None, :]
        same = words[:, :, None] == words[:, None, :]
        earlier = torch.ones_like(same).tril(-1)  # [c, e]: e comes before c
        repeated = (unused[:, :, None, :] & (same & earlier)[:, None]).any(dim=3)
        return unused & ~repeated

    def forced(self, expansion: Expansion, log_probs: Tensor) -> Candidates:
        """Continue every hypothesis by each of its open constraints, C candidates per slot."""
        sentences, slots, _ = self.used.shape
        tokens = self.constraints.words[:, None, :].expand(-1, slots, -1)
        values = log_probs.view(sentences, slots, -1).gather(2, tokens).double()
        return expansion.ranked(values.masked_fill(~self._open(self.used), -torch.inf), tokens)

    def forbid(self, log_probs: Tensor) -> None:
        """Give -inf, in place, to words that are allowed only as constraints."""
        log_probs.index_fill_(1, self.constraints.reserved, -torch.inf)
        if self.constraints.limited:
            sentences, slots, _ = self.used.shape
            tokens = self.constraints.words[:, None, :].expand(-1, slots, -1)
            log_probs.view(sentences, slots, -1).scatter_(2, tokens, -torch.inf)
            # PAD stands for "no constraint" in some rows: forbid it in all of them.
            log_probs[:, PAD] = -torch.inf


@dataclass(frozen=True)
class SearchBatch:
    """The B sentences of a search.

    lengths: B, number of source positions; attention_mask: B S, True at positions that can be attended to;
    start_labels: each target feature's label before the first step; draws: B K T float64, uniform numbers for
    sampling.
    """

    lengths: Tensor
    attention_mask: Tensor
    start_labels: tuple[int, ...] = ()
    draws: Tensor | None = None

    @property
    def count(self) -> int:
        """B."""
        return len(self.lengths)

    def start_tokens(self, slots: int) -> Tensor:
        """The tokens before the first step, R F: `<s>` and the first labels."""
        rows = self.count * slots
        columns = [self.lengths.new_full((rows, 1), number) for number in (BOS, *self.start_labels)]
        return torch.cat(columns, dim=1)


@dataclass(frozen=True)
class SearchResult:
    """n_best paths per sentence, best first, and the trace of every step."""

    paths: list[list[Path]]
    traces: list[Trace]


@torch.inference_mode()
def beam_search(
    scorer: Scorer, sources: SearchBatch, settings: SearchSettings, constraints: Constraints | None = None
) -> SearchResult:
    """Search the n_best best continuations of `<s>` for every sentence.

    scorer: has `settings.slots(levels)` rows per sentence; `levels` are those of the constraints.
    """
    return _Search(scorer, sources, settings, constraints).run()


class _Search:
    """The state of one search: the sentences still alive, their beams, and the traces of the steps."""

    def __init__(
        self, scorer: Scorer, sources: SearchBatch, settings: SearchSettings, constraints: Constraints | None
    ) -> None:
        self._scorer = scorer
        self._sources = sources
        self._settings = settings
        self._normalisation = ScoreNormalisation(settings)
        self._grid = None if constraints is None else _Grid.start(constraints, settings.beam_size)
        self._slots = settings.slots(1 if constraints is None else constraints.levels)
        device = sources.lengths.device
        mask = sources.attention_mask if settings.coverage_norm != 0 else None
        self._beam = Beam.first(sources.count, self._slots, mask, settings, device)
        self._repeatable: Tensor | None = None
        if settings.repeatable:
            self._repeatable = to_device(torch.tensor(settings.repeatable), device)
        self._alive = torch.arange(sources.count, device=device)
        # The n best that have ended; and the n best so far, live ones among them.
        self._finished = Endings.none(sources.count, settings.n_best, device)
        self._results = Endings.none(sources.count, settings.n_best, device)
        self._traces: list[Trace] = []

    def run(self) -> SearchResult:
        """Step until every sentence is done."""
        tokens = self._sources.start_tokens(self._slots)
        for step in range(1, self._settings.max_length + 2):
            scores = self._scorer.step(tokens)
            self._beam = self._beam.with_attention(scores.attention)
            chosen = self._extend(scores.log_probs, step)
            normalised = self._normalised(chosen, step)
            done = self._retire(chosen, normalised, step)
            self._traces.append(
                Trace(
                    sentences=self._alive,
                    tokens=chosen.tokens,
                    parents=chosen.parents,
                    totals=chosen.totals,
                    scores=self._beam.scores,
                    normalised=normalised,
                    features=scores.features,
                    attention=scores.attention,
                    copying=scores.copying,
                )
            )
            living = (~done).nonzero().squeeze(1)  # the only synchronisation with the device in a step
            if len(living) == 0:
                break
            offsets = torch.arange(len(done), device=done.device)[:, None] * self._slots
            rows = (chosen.parents + offsets).flatten()
            self._scorer.reorder(rows)
            tokens = torch.cat([chosen.tokens.reshape(-1, 1), scores.features[rows]], dim=1)
            if len(living) < len(done):
                tokens = tokens.view(len(done), self._slots, -1)[living].flatten(0, 1)
                self._keep(living)
        return SearchResult(self._results.paths(self._traces, self._widths()), self._traces)

    def _widths(self) -> Tensor:
        """The number of positions up to the last one that attention can reach, B."""
        places = torch.arange(1, self._sources.attention_mask.shape[1] + 1, device=self._alive.device)
        return (self._sources.attention_mask * places).amax(dim=1)

    def _extend(self, log_probs: Tensor, step: int) -> Candidates:
        """Refill the slots of the beam."""
        expansion, grid = Expansion(self._beam, self._settings, step), self._grid
        forced = None if grid is None else grid.forced(expansion, log_probs)
        if grid is not None:
            grid.forbid(log_probs)
        expansion.restrict(log_probs, self._repeatable)
        if self._settings.sampling is not None:
            chosen = expansion.sampled(log_probs, self._draws(step))
        else:
            pool = expansion.continuations(log_probs, self._sources.lengths[self._alive])
            if grid is None or forced is None:
                chosen = expansion.choose(pool)
            else:
                chosen = grid.choose(pool, forced, expansion)
                self._grid = grid.extended(chosen)
        self._beam = self._beam.extended(chosen)
        return chosen

    def _draws(self, step: int) -> Tensor:
        """The uniform numbers of the living sentences in this step, B K."""
        assert self._sources.draws is not None
        return self._sources.draws[self._alive, :, step - 1]

    def _retire(self, chosen: Candidates, normalised: Tensor, step: int) -> Tensor:
        """Update the n best finished hypotheses of each sentence; return which sentences are done, B.

        ranks: B K, after `step`.
        """
        beam, last = self._beam, step > self._settings.max_length
        ended = (beam.ended if self._stays else chosen.tokens == EOS) | last
        best, done = self._finished.merged(normalised, ended, step)
        if self._stays:
            done = ended.all(dim=1)
        else:
            self._finished = self._finished.added(normalised.masked_fill(~ended, -torch.inf), step)
            self._beam = beam.without(ended)
        self._results.overwrite(self._alive, best)
        return done | torch.isinf(beam.scores).all(dim=1)  # with all slots dead there is nothing to continue

    def _normalised(self, chosen: Candidates, step: int) -> Tensor:
        """Scores by which hypotheses are ranked after `step`, B K."""
        normalised = self._normalisation.hypotheses(self._beam, step)
        if step > self._settings.max_length and self._grid is not None:
            return self._without_unsatisfied(normalised, self._grid.satisfied(chosen))
        return normalised

    def _without_unsatisfied(self, normalised: Tensor, satisfied: Tensor) -> Tensor:
        """The ranks, B K, of hypotheses that the length limit ends.

        Hypotheses that do not satisfy all constraints count only where a sentence has no other.
        """
        found = self._finished.normalised[:, 0] > -torch.inf
        others = found | (satisfied & (normalised > -torch.inf)).any(dim=1)
        return normalised.masked_fill(~satisfied & others[:, None], -torch.inf)

    @property
    def _stays(self) -> bool:
        return self._settings.finished == "stay"

    def _keep(self, living: Tensor) -> None:
        """Drop the sentences that are done."""
        self._scorer.keep(living)
        self._beam = self._beam.keep(living)
        self._finished = self._finished.keep(living)
        self._alive = self._alive[living]
        if self._grid is not None:
            self._grid = self._grid.keep(living)
