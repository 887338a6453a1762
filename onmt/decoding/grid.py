"""Grid beam search: hypotheses that must contain given words (Hokamp and Liu 2017, "Lexically constrained
decoding").

A sentence's slots form a grid: level l holds `beam` hypotheses that have been made to produce l of its C
constraints. Level l is refilled from its own hypotheses, continued freely, and from those of level l - 1,
continued by one of the constraints they still owe; `</s>` is allowed only on the level of the sentence's
number of constraints (Lua: BeamSearcher.lua). Slots are numbered level by level.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from onmt.constants import EOS, PAD
from onmt.decoding.step import Beam, Candidates, Prune, Ranking, SearchSettings, choose, continuations


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
class Grid:
    """Which constraints each hypothesis has met: used, B K C with K = levels x beam."""

    constraints: Constraints
    used: Tensor
    beam: int

    @classmethod
    def start(cls, constraints: Constraints, beam: int) -> "Grid":
        """Nothing met yet."""
        sentences, count = constraints.words.shape
        shape = (sentences, constraints.levels * beam, count)
        used = torch.zeros(shape, dtype=torch.bool, device=constraints.words.device)
        return cls(constraints, used, beam)

    @property
    def slots(self) -> int:
        """Slots per sentence."""
        return self.used.shape[1]

    def keep(self, sentences: Tensor) -> "Grid":
        """Only these sentences."""
        words = self.constraints.words[sentences]
        constraints = Constraints(words, self.constraints.limited, self.constraints.reserved)
        return Grid(constraints, self.used[sentences], self.beam)

    def extended(self, chosen: Candidates) -> "Grid":
        """The grid after its slots were refilled: a word meets the first constraint for it that is owed."""
        index = chosen.parents[:, :, None].expand_as(self.used)
        used = self.used.gather(1, index)
        met = self._owed(used) & (self.constraints.words[:, None, :] == chosen.tokens[:, :, None])
        return Grid(self.constraints, used | met, self.beam)

    def choose(
        self,
        beam: Beam,
        log_probs: Tensor,
        source_lengths: Tensor,
        ranking: Ranking,
        settings: SearchSettings,
        step: int,
        prune: Prune | None,
    ) -> Candidates:
        """The next hypotheses of every level, each level's best first; arguments as of `continuations`."""
        forced = self._forced(beam, log_probs, ranking, step)
        self._forbid(log_probs)
        free = continuations(beam, log_probs, source_lengths, ranking, settings, step)
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
        """Where a level's candidates are among those of all slots."""
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

    def _forced(self, beam: Beam, log_probs: Tensor, ranking: Ranking, step: int) -> Candidates:
        """Every hypothesis continued by each constraint it owes, C per slot."""
        sentences, slots, _ = self.used.shape
        tokens = self.constraints.words[:, None, :].expand(-1, slots, -1)
        values = log_probs.view(sentences, slots, -1).gather(2, tokens).double()
        totals = (beam.scores[:, :, None] + values).masked_fill(~self._owed(self.used), -torch.inf)
        ranks = ranking.candidates(totals, tokens, beam, step)
        parents = torch.arange(slots, device=totals.device)[None, :, None].expand_as(tokens)
        return Candidates(totals.flatten(1), ranks.flatten(1), tokens.flatten(1), parents.flatten(1))

    def _forbid(self, log_probs: Tensor) -> None:
        """Take from the free continuations what may come as a constraint only, in place."""
        log_probs.index_fill_(1, self.constraints.reserved, -torch.inf)
        if self.constraints.limited:
            sentences, slots, _ = self.used.shape
            tokens = self.constraints.words[:, None, :].expand(-1, slots, -1)
            log_probs.view(sentences, slots, -1).scatter_(2, tokens, -torch.inf)
            log_probs[
                :, PAD
            ] = -torch.inf  # stands for "no constraint" in some rows: forbid it in all of them
