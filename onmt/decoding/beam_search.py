"""Beam search over a batch of sentences; greedy search is a beam of one.

The loop asks a Scorer for scores, extends the beam by a pure step, retires what has ended and drops sentences
that are done. It never asks what model it drives. Lua: BeamSearcher.lua, Beam.lua, DecoderAdvancer.lua.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from onmt.constants import BOS, EOS
from onmt.decoding.constraints import pruning
from onmt.decoding.grid import Constraints, Grid
from onmt.decoding.hypotheses import Endings, Path, Trace, merge, read_back
from onmt.decoding.scoring import Scorer
from onmt.decoding.step import Candidates, Ranking, SearchSettings, choose, continuations, first_beam


@dataclass(frozen=True)
class Sources:
    """What the search needs to know of the B sentences.

    lengths: B, source positions; attended: B S, True where attention can go; start_labels: the label that
    each target feature has before the first step.
    """

    lengths: Tensor
    attended: Tensor
    start_labels: tuple[int, ...] = ()

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
        self._grid = None if constraints is None else Grid.start(constraints, settings.beam_size)
        self._slots = rows_per_sentence(settings, constraints)
        device = sources.lengths.device
        mask = sources.attended if settings.coverage_norm != 0 else None
        self._beam = first_beam(sources.count, self._slots, mask, device)
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
        lengths = self._sources.lengths[self._alive]
        prune = pruning(self._beam, step, self._settings)
        if self._grid is None:
            pool = continuations(self._beam, log_probs, lengths, self._ranking, self._settings, step)
            chosen = choose(pool, self._settings, prune)
        else:
            chosen = self._grid.choose(
                self._beam, log_probs, lengths, self._ranking, self._settings, step, prune
            )
            self._grid = self._grid.extended(chosen)
        self._beam = self._beam.extended(chosen)
        return chosen

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
