"""Finished hypotheses: when a sentence is done, and how paths are read back from the steps of a search."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import EOS
from onmt.data.dataset import to_device


@dataclass(frozen=True)
class Endings:
    """Ends of hypotheses, N per sentence: rank, step (from 1) and slot, each B N."""

    ranks: Tensor
    steps: Tensor
    slots: Tensor

    @classmethod
    def none(cls, sentences: int, count: int, device: torch.device) -> "Endings":
        """No hypothesis yet: every rank is -inf."""
        ranks = torch.full((sentences, count), -torch.inf, dtype=torch.float64, device=device)
        zeros = torch.zeros(sentences, count, dtype=torch.int64, device=device)
        return cls(ranks, zeros, zeros.clone())

    def keep(self, sentences: Tensor) -> "Endings":
        """Only these sentences."""
        return Endings(self.ranks[sentences], self.steps[sentences], self.slots[sentences])

    def overwrite(self, sentences: Tensor, others: "Endings") -> None:
        """Put in place the endings of `others`, one row for each of these sentences."""
        self.ranks.index_copy_(0, sentences, others.ranks)
        self.steps.index_copy_(0, sentences, others.steps)
        self.slots.index_copy_(0, sentences, others.slots)

    def added(self, ranks: Tensor, step: int) -> "Endings":
        """The N best of these and of hypotheses ending in `step`: ranks, B K, -inf where slot k holds none.

        Equal ranks stay in the order in which they came.
        """
        slots = torch.arange(ranks.shape[1], device=ranks.device).expand_as(ranks)
        all_ranks = torch.cat([self.ranks, ranks], dim=1)
        order = all_ranks.sort(dim=1, descending=True, stable=True).indices[:, : self.ranks.shape[1]]
        all_steps = torch.cat([self.steps, torch.full_like(slots, step)], dim=1)
        all_slots = torch.cat([self.slots, slots], dim=1)
        return Endings(all_ranks.gather(1, order), all_steps.gather(1, order), all_slots.gather(1, order))


def merge(stored: Endings, live: Tensor, ended: Tensor, step: int) -> tuple[Endings, Tensor]:
    """The best N of the stored hypotheses and the live ones; B flags that say where all of these have ended.

    live: B K, ranks after `step`; ended: B K. Lua's rule (Beam.lua): take the better of the two next ones in
    turn, the stored one only if it is strictly better.
    """
    sentences, count = stored.ranks.shape
    live, order = live.sort(dim=1, descending=True, stable=True)
    ended = ended.gather(1, order)
    next_stored = torch.zeros(sentences, 1, dtype=torch.int64, device=live.device)
    next_live = torch.zeros_like(next_stored)
    done = torch.ones(sentences, dtype=torch.bool, device=live.device)
    ranks, steps, slots = [], [], []
    for _ in range(count):
        stored_rank, live_rank = stored.ranks.gather(1, next_stored), live.gather(1, next_live)
        from_stored = stored_rank > live_rank
        done = done & (from_stored | ended.gather(1, next_live)).squeeze(1)
        ranks.append(torch.where(from_stored, stored_rank, live_rank))
        steps.append(torch.where(from_stored, stored.steps.gather(1, next_stored), step))
        stored_slot, live_slot = stored.slots.gather(1, next_stored), order.gather(1, next_live)
        slots.append(torch.where(from_stored, stored_slot, live_slot))
        next_stored = next_stored + from_stored
        next_live = next_live + ~from_stored
    return Endings(torch.cat(ranks, 1), torch.cat(steps, 1), torch.cat(slots, 1)), done


@dataclass(frozen=True)
class Trace:
    """The record of one step for the B sentences that were alive in it.

    sentences: B, their numbers; tokens, parents: B K; totals: B K float64, sums of log-probabilities, -inf in
    dead slots; scores: as totals, but -inf also where a hypothesis ended and left the beam; ranks: B K
    float64, the totals normalised, with which hypotheses compete; features: R F-1, attention: R S and
    copying: R of the rows *before* the step chose among their continuations.
    """

    sentences: Tensor
    tokens: Tensor
    parents: Tensor
    totals: Tensor
    scores: Tensor
    ranks: Tensor
    features: Tensor
    attention: Tensor | None
    copying: Tensor | None = None


@dataclass(frozen=True)
class Path:
    """One result of the search, in ids.

    tokens: word ids without `</s>`; features: labels (ids) per step, `</s>`'s included, one tuple per step;
    score: normalised if norms are on; attention: T S float32, a row per word, None without attention;
    copying: T float32, the probability of copying at each word, None where the model cannot.
    """

    tokens: list[int]
    features: list[tuple[int, ...]]
    score: float
    attention: npt.NDArray[np.float32] | None
    copying: npt.NDArray[np.float32] | None = None


def read_back(traces: list[Trace], endings: Endings, widths: Tensor) -> list[list[Path]]:
    """Follow the parents from every ending, B N, back to the first step. widths: B, positions of attention to
    keep.
    """
    count = endings.ranks.shape[1]
    steps_left = [
        field for trace in traces for field in (trace.sentences, trace.tokens, trace.parents, trace.features)
    ]
    ranks, ends, last_slots, kept, *fields = _on_host(
        [endings.ranks, endings.steps, endings.slots, widths, *steps_left]
    )
    scores, lasts, slots = ranks.flatten().tolist(), ends.flatten(), last_slots.flatten().copy()
    owners = np.repeat(np.arange(len(ranks)), count)
    tokens = np.full((len(owners), len(traces)), EOS, dtype=np.int64)
    features = np.zeros((len(owners), len(traces), traces[0].features.shape[1]), dtype=np.int64)
    looked: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for step in range(len(traces) - 1, -1, -1):
        alive, step_tokens, step_parents, step_features = fields[4 * step : 4 * step + 4]
        paths = np.nonzero(lasts > step)[0]
        places = np.searchsorted(alive, owners[paths])
        tokens[paths, step] = step_tokens[places, slots[paths]]
        slots[paths] = step_parents[places, slots[paths]]
        rows = places * step_tokens.shape[1] + slots[paths]
        features[paths, step] = step_features[rows]
        looked.append((paths, rows))
    looked.reverse()
    all_weights = _along_paths([trace.attention for trace in traces], looked, len(owners))
    all_copying = _along_paths(
        [None if trace.copying is None else trace.copying[:, None] for trace in traces], looked, len(owners)
    )
    found = [
        _path(
            tokens[path, :last].tolist(),
            features[path, :last],
            scores[path],
            None if all_weights is None else all_weights[path, :, : int(kept[owners[path]])],
            None if all_copying is None else all_copying[path, :, 0],
        )
        for path, last in enumerate(lasts.tolist())
    ]
    return [found[first : first + count] for first in range(0, len(found), count)]


def _on_host(tensors: list[Tensor]) -> list[npt.NDArray[Any]]:
    """Tensors of 64-bit numbers as arrays; one transfer instead of one for each."""
    values = torch.cat([tensor.flatten().view(torch.int64) for tensor in tensors]).cpu().numpy()
    parts = np.split(values, np.cumsum([tensor.numel() for tensor in tensors])[:-1])
    types = [np.float64 if tensor.is_floating_point() else np.int64 for tensor in tensors]
    return [
        part.view(kind).reshape(tensor.shape)
        for part, kind, tensor in zip(parts, types, tensors, strict=True)
    ]


def _along_paths(
    rows_of_steps: list[Tensor | None],
    looked: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    paths: int,
) -> npt.NDArray[np.float32] | None:
    """The rows along every path, paths T X, zero after its end; None where steps have nothing.

    rows_of_steps: R X of every step; looked: for each step the paths that take it, and their rows.
    """
    first = rows_of_steps[0]
    if first is None:
        return None
    found = first.new_zeros(paths, len(rows_of_steps), first.shape[1])
    indices = torch.from_numpy(np.concatenate([np.stack(pair) for pair in looked], axis=1))
    parts = to_device(indices, first.device).split([len(own) for own, _ in looked], dim=1)
    for step, (of_step, (own, rows)) in enumerate(zip(rows_of_steps, parts, strict=True)):
        assert of_step is not None
        found[own, step] = of_step[rows]
    return found.cpu().numpy()


def _path(
    tokens: list[int],
    features: npt.NDArray[np.int64],
    score: float,
    attention: npt.NDArray[np.float32] | None,
    copying: npt.NDArray[np.float32] | None,
) -> Path:
    # The last token is `</s>`, or the one with which the length limit cut the hypothesis: dropped either way.
    words = tokens[:-1]
    if EOS in words:  # hypotheses that stay in the beam repeat `</s>` until the search ends
        words = words[: words.index(EOS)]
    steps = len(words) + 1
    return Path(
        words,
        [tuple(labels) for labels in features[:steps].tolist()],
        score,
        None if attention is None else attention[: len(words)].copy(),
        None if copying is None else copying[: len(words)].copy(),
    )


@dataclass(frozen=True, eq=False)
class History:
    """The whole search of one sentence, T steps of K slots: the fields of `Trace`, each T K.

    extra_words: those of ids from the target vocabulary's size on, where the source's words can be copied.
    """

    tokens: npt.NDArray[np.int64]
    parents: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    ranks: npt.NDArray[np.float64]
    extra_words: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Where a slot holds a hypothesis, T K."""
        return ~np.isneginf(self.totals)


def histories(traces: list[Trace], sentences: int) -> list[History]:
    """The history of the search for each sentence."""
    steps_of: list[list[tuple[npt.NDArray[Any], ...]]] = [[] for _ in range(sentences)]
    kept = _on_host(
        [
            field
            for trace in traces
            for field in (
                trace.sentences,
                trace.tokens,
                trace.parents,
                trace.totals,
                trace.scores,
                trace.ranks,
            )
        ]
    )
    for step in range(len(traces)):
        alive, *fields = kept[6 * step : 6 * step + 6]
        for sentence, rows in zip(alive.tolist(), zip(*fields, strict=True), strict=True):
            steps_of[sentence].append(rows)
    return [History(*map(np.stack, zip(*steps, strict=True))) for steps in steps_of]
