"""Finished hypotheses: when a sentence is done, and how paths are read back from the steps of a search."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import EOS
from onmt.data.dataset import to_device

_Ids = npt.NDArray[np.int64]
_Visited = list[tuple[_Ids, _Ids]]


@dataclass(frozen=True)
class Endings:
    """The last steps of finished hypotheses, N per sentence: rank, step (from 1) and slot, each B N."""

    normalised: Tensor
    steps: Tensor
    slots: Tensor

    @classmethod
    def none(cls, sentences: int, count: int, device: torch.device) -> "Endings":
        """No hypothesis yet: every rank is -inf."""
        normalised = torch.full((sentences, count), -torch.inf, dtype=torch.float64, device=device)
        zeros = torch.zeros(sentences, count, dtype=torch.int64, device=device)
        return cls(normalised, zeros, zeros.clone())

    def keep(self, sentences: Tensor) -> "Endings":
        """The endings of these sentences only."""
        return Endings(self.normalised[sentences], self.steps[sentences], self.slots[sentences])

    def overwrite(self, sentences: Tensor, others: "Endings") -> None:
        """Replace the rows of these sentences by those of `others`, in place."""
        self.normalised.index_copy_(0, sentences, others.normalised)
        self.steps.index_copy_(0, sentences, others.steps)
        self.slots.index_copy_(0, sentences, others.slots)

    def added(self, normalised: Tensor, step: int) -> "Endings":
        """The N best of these endings and of those in `step`.

        ranks: B K, -inf where slot k's hypothesis did not end. Equal ranks keep the order of their steps.
        """
        slots = torch.arange(normalised.shape[1], device=normalised.device).expand_as(normalised)
        all_normalised = torch.cat([self.normalised, normalised], dim=1)
        order = all_normalised.sort(dim=1, descending=True, stable=True).indices[
            :, : self.normalised.shape[1]
        ]
        all_steps = torch.cat([self.steps, torch.full_like(slots, step)], dim=1)
        all_slots = torch.cat([self.slots, slots], dim=1)
        return Endings(
            all_normalised.gather(1, order), all_steps.gather(1, order), all_slots.gather(1, order)
        )

    def merged(self, live: Tensor, ended: Tensor, step: int) -> tuple["Endings", Tensor]:
        """Return the best N of these and the live hypotheses, and B flags: whether all of them have ended.

        live: B K, normalised scores after `step`; ended: B K. Merges two sorted lists and keeps the first N;
        of equal scores the live hypothesis comes first, as in Beam.lua.
        """
        sentences, count = self.normalised.shape
        live, order = live.sort(dim=1, descending=True, stable=True)
        ended = ended.gather(1, order)
        next_finished = torch.zeros(sentences, 1, dtype=torch.int64, device=live.device)
        next_live = torch.zeros_like(next_finished)
        done = torch.ones(sentences, dtype=torch.bool, device=live.device)
        normalised, steps, slots = [], [], []
        for _ in range(count):
            finished_score, live_score = self.normalised.gather(1, next_finished), live.gather(1, next_live)
            from_finished = finished_score > live_score
            done = done & (from_finished | ended.gather(1, next_live)).squeeze(1)
            normalised.append(torch.where(from_finished, finished_score, live_score))
            steps.append(torch.where(from_finished, self.steps.gather(1, next_finished), step))
            finished_slot, live_slot = self.slots.gather(1, next_finished), order.gather(1, next_live)
            slots.append(torch.where(from_finished, finished_slot, live_slot))
            next_finished = next_finished + from_finished
            next_live = next_live + ~from_finished
        return Endings(torch.cat(normalised, 1), torch.cat(steps, 1), torch.cat(slots, 1)), done

    def paths(self, traces: list["Trace"], widths: Tensor) -> list[list["Path"]]:
        """The hypotheses with these endings, N per sentence: follow their parents back to the first step.

        widths: B, the number of positions of attention to keep.
        """
        count = self.normalised.shape[1]
        fields = [
            field
            for trace in traces
            for field in (trace.sentences, trace.tokens, trace.parents, trace.features)
        ]
        normalised, ends, slots, kept, *on_host = _on_host(
            [self.normalised, self.steps, self.slots, widths, *fields]
        )
        sentence_of_path, last_steps = np.repeat(np.arange(len(normalised)), count), ends.flatten()
        steps = [on_host[first : first + 4] for first in range(0, len(on_host), 4)]
        tokens, features, visited = _follow_parents(steps, sentence_of_path, last_steps, slots.flatten())
        attention = _along_paths([trace.attention for trace in traces], visited, len(sentence_of_path))
        copying = _along_paths(
            [None if trace.copying is None else trace.copying[:, None] for trace in traces],
            visited,
            len(sentence_of_path),
        )
        found = [
            _path(
                tokens[path, :last].tolist(),
                features[path, :last],
                score,
                None if attention is None else attention[path, :, : int(kept[sentence_of_path[path]])],
                None if copying is None else copying[path, :, 0],
            )
            for path, (last, score) in enumerate(
                zip(last_steps.tolist(), normalised.flatten().tolist(), strict=True)
            )
        ]
        return [found[first : first + count] for first in range(0, len(found), count)]


@dataclass(frozen=True)
class Trace:
    """The record of one step for the B sentences that were alive in it.

    sentences: B, their numbers; tokens, parents: B K; totals: B K float64, sums of log-probabilities, -inf in
    dead slots; scores: as totals, but -inf also where a hypothesis ended and left the beam; ranks: B K
    float64, the normalised totals by which hypotheses are ranked; features: R F-1, attention: R S and
    copying: R of the rows *before* the step chose among their continuations.
    """

    sentences: Tensor
    tokens: Tensor
    parents: Tensor
    totals: Tensor
    scores: Tensor
    normalised: Tensor
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


def _on_host(tensors: list[Tensor]) -> list[npt.NDArray[Any]]:
    """Tensors of 64-bit numbers as arrays; one transfer instead of one for each."""
    values = torch.cat([tensor.flatten().view(torch.int64) for tensor in tensors]).cpu().numpy()
    parts = np.split(values, np.cumsum([tensor.numel() for tensor in tensors])[:-1])
    types = [np.float64 if tensor.is_floating_point() else np.int64 for tensor in tensors]
    return [
        part.view(kind).reshape(tensor.shape)
        for part, kind, tensor in zip(parts, types, tensors, strict=True)
    ]


def _follow_parents(
    steps: list[list[npt.NDArray[np.int64]]], sentence_of_path: _Ids, last_steps: _Ids, slots: _Ids
) -> tuple[_Ids, _Ids, _Visited]:
    """Return the tokens, paths x T, and labels, paths x T x F-1, of all paths, and the rows that they visit.

    steps: alive sentences, tokens, parents and labels of each step; owners, lasts, slots: every path's
    sentence, its last step (from 1) and its slot there. Tokens after the end of a path are `</s>`.
    """
    slots = slots.copy()
    tokens = np.full((len(sentence_of_path), len(steps)), EOS, dtype=np.int64)
    features = np.zeros((len(sentence_of_path), len(steps), steps[0][3].shape[1]), dtype=np.int64)
    visited: _Visited = []
    for step in range(len(steps) - 1, -1, -1):
        alive, step_tokens, step_parents, step_features = steps[step]
        paths = np.nonzero(last_steps > step)[0]
        places = np.searchsorted(alive, sentence_of_path[paths])
        tokens[paths, step] = step_tokens[places, slots[paths]]
        slots[paths] = step_parents[places, slots[paths]]
        rows = places * step_tokens.shape[1] + slots[paths]
        features[paths, step] = step_features[rows]
        visited.append((paths, rows))
    visited.reverse()
    return tokens, features, visited


def _along_paths(
    rows_of_steps: list[Tensor | None],
    visited: _Visited,
    paths: int,
) -> npt.NDArray[np.float32] | None:
    """The rows along every path, paths x T x X, zero after its end; None where steps have no rows.

    rows_of_steps: R X of every step; visited: for each step the paths that go through it, and their rows.
    """
    first = rows_of_steps[0]
    if first is None:
        return None
    found = first.new_zeros(paths, len(rows_of_steps), first.shape[1])
    indices = torch.from_numpy(np.concatenate([np.stack(pair) for pair in visited], axis=1))
    parts = to_device(indices, first.device).split([len(own) for own, _ in visited], dim=1)
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
    """The search of one sentence, T steps of K slots: fields as in `Trace`, each T K.

    extra_words: the words with ids beyond the target vocabulary, where the model copies source words.
    """

    tokens: npt.NDArray[np.int64]
    parents: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    normalised: npt.NDArray[np.float64]
    extra_words: tuple[str, ...] = field(default=(), kw_only=True)

    @classmethod
    def of_sentences(cls, traces: list[Trace], sentences: int) -> list["History"]:
        """The history of each of the sentences of a search."""
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
                    trace.normalised,
                )
            ]
        )
        for step in range(len(traces)):
            alive, *fields = kept[6 * step : 6 * step + 6]
            for sentence, rows in zip(alive.tolist(), zip(*fields, strict=True), strict=True):
                steps_of[sentence].append(rows)
        return [cls(*map(np.stack, zip(*steps, strict=True))) for steps in steps_of]

    @property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Whether a slot holds a hypothesis, T K."""
        return ~np.isneginf(self.totals)
