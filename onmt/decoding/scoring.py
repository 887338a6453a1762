"""Score the next token of every row with a model; with `Fillers`, independently of the rest of the batch.

A scorer holds the state of all rows. Rows of one sentence are adjacent, `beam` of them per sentence; the
search tells the scorer which rows survive and which sentences are done.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import torch
from torch import Tensor

from onmt.constants import BOS
from onmt.decoding.inputs import Source
from onmt.models.base import Step
from onmt.models.networks import LanguageModel, Seq2Seq
from onmt.modules.decoder import DecoderState
from onmt.spec.layers import PyramidalEncoderSpec


@dataclass(frozen=True)
class _Scores:
    """One step of R rows.

    log_probs: R V; features: R F-1, the best label of each target feature; attention: R S, None without
    attention; copying: R, the probability of copying, None where the model cannot.
    """

    log_probs: Tensor
    features: Tensor
    attention: Tensor | None
    copying: Tensor | None = None


class Scorer(Protocol):
    """Scores the continuations of hypotheses."""

    def step(self, tokens: Tensor) -> _Scores:
        """Read the last tokens, R F (words, then features), and score the next ones."""
        ...

    def reorder(self, rows: Tensor) -> None:
        """Replace the state of row r by that of row rows[r], a row of the same sentence; rows: R."""
        ...

    def keep(self, sentences: Tensor) -> None:
        """Keep these sentences only, in this order."""
        ...


class _Stepper(Protocol):
    """A seq2seq model or a language model, as far as it predicts next tokens."""

    def step(self, tokens: Tensor, state: DecoderState) -> Step:
        """Read tokens, R F; predict the next ones."""
        ...


class ModelScorer:
    """Scores of one model."""

    def __init__(self, model: _Stepper, state: DecoderState, beam: int) -> None:
        """state: a row per sentence. It gets `beam` rows after the first step: before, they are all equal."""
        self._model = model
        self._state = state
        self._beam = beam
        self._expanded = False

    def step(self, tokens: Tensor) -> _Scores:
        """See Scorer."""
        output = self.advance(tokens)
        return _scores(output.log_probs, output.attention, output.copying)

    def advance(self, tokens: Tensor) -> Step:
        """Read the last tokens, R F; return the predictions for all rows."""
        output = self._model.step(tokens if self._expanded else tokens[:: self._beam], self._state)
        if not self._expanded:
            output = output.expand(self._beam)
            self._expanded = True
        self._state = output.state
        return output

    def reorder(self, rows: Tensor) -> None:
        """See Scorer."""
        self._state = self._state.reorder(rows)

    def keep(self, sentences: Tensor) -> None:
        """See Scorer."""
        self._state = self._state.keep(sentences)


def _scores(log_probs: Sequence[Tensor], attention: Tensor | None, copying: Tensor | None = None) -> _Scores:
    """Scores with the best labels. log_probs: R V of words and of each target feature."""
    words, *features = log_probs
    if not features:
        none = torch.zeros(len(words), 0, dtype=torch.int64, device=words.device)
        return _Scores(words, none, attention, copying)
    labels = torch.stack([scores.argmax(dim=1) for scores in features], dim=1)
    return _Scores(words, labels, attention, copying)


Average = Literal["mean", "log_mean"]
"""An ensemble averages probabilities or log-probabilities."""


class EnsembleScorer:
    """Averaged predictions of several models, and averaged attention of those `attending`."""

    def __init__(self, scorers: Sequence[ModelScorer], average: Average, attending: Sequence[int]) -> None:
        """attending: indices of the models to take attention from; theirs is over the same positions."""
        self._scorers = scorers
        self._average = average
        self._attending = attending

    @staticmethod
    def averaged(log_probs: Sequence[Tensor], average: Average) -> Tensor:
        """Average log-probabilities of M models, all of one shape.

        "mean": log(1/M sum_m p_m); "log_mean": 1/M sum_m log p_m, which is not normalised again.
        """
        stacked = torch.stack(list(log_probs))
        if average == "log_mean":
            return stacked.mean(dim=0)
        return stacked.logsumexp(dim=0) - math.log(len(stacked))

    def step(self, tokens: Tensor) -> _Scores:
        """See Scorer."""
        outputs = [scorer.advance(tokens) for scorer in self._scorers]
        log_probs = [
            self.averaged(of_models, self._average)
            for of_models in zip(*(output.log_probs for output in outputs), strict=True)
        ]
        seen = [outputs[place].attention for place in self._attending]
        weights = [attention for attention in seen if attention is not None]
        return _scores(log_probs, torch.stack(weights).mean(dim=0) if weights else None)

    def reorder(self, rows: Tensor) -> None:
        """See Scorer."""
        for scorer in self._scorers:
            scorer.reorder(rows)

    def keep(self, sentences: Tensor) -> None:
        """See Scorer."""
        for scorer in self._scorers:
            scorer.keep(sentences)


class FusedScorer:
    """Shallow fusion: log p(word) + weight * log p_LM(word).

    Features and attention are the translation model's. As in Lua the language model reads `<s>`, as every
    feature's label too, once before the search gives it the first `<s>`.
    """

    def __init__(
        self,
        inner: Scorer,
        language_model: _Stepper,
        state: DecoderState,
        *,
        weight: float,
        features: int,
        beam: int,
    ) -> None:
        """state: the language model's fresh one, a row per sentence; features: number of target features."""
        self._inner = inner
        self._weight = weight
        self._beam = beam
        hidden = state.hidden[0]
        start = torch.full((len(hidden), 1 + features), BOS, device=hidden.device)
        self._language_model = ModelScorer(language_model, language_model.step(start, state).state, beam)

    def step(self, tokens: Tensor) -> _Scores:
        """See Scorer."""
        scores = self._inner.step(tokens)
        lm_log_probs = self._language_model.step(tokens).log_probs
        return _Scores(scores.log_probs + self._weight * lm_log_probs, scores.features, scores.attention)

    def reorder(self, rows: Tensor) -> None:
        """See Scorer."""
        self._inner.reorder(rows)
        self._language_model.reorder(rows)

    def keep(self, sentences: Tensor) -> None:
        """See Scorer."""
        self._inner.keep(sentences)
        rows = sentences[:, None] * self._beam + torch.arange(self._beam, device=sentences.device)
        self._language_model.reorder(rows.flatten())  # its state has rows only, no sentences


class RestrictedModel:
    """A translation model that generates only the words `allowed` (ids, ascending).

    Its output layer is cut to them, so their probabilities sum to one; the others get -inf.
    """

    def __init__(self, model: Seq2Seq, allowed: Tensor) -> None:
        self._model = model
        self._allowed = allowed
        self._size = len(model.generator.weights[0])
        self._generator = model.generator.cut(allowed)

    def step(self, tokens: Tensor, state: DecoderState) -> Step:
        """See _Stepper."""
        output = self._model.step(tokens, state, self._generator)
        among, *features = output.log_probs
        words = among.new_full((len(among), self._size), -torch.inf)
        words[:, self._allowed] = among
        return Step((words, *features), output.attention, output.state)


_FILLERS: Final = 3  # sentences
_SMALLEST: Final = 16**3
"""From this number of multiplications on, torch uses the same library for every matrix product."""
_POSITIONS: Final = 32  # the fillers' length is a multiple of this


@dataclass(frozen=True)
class Fillers:
    """The `count` sentences at the end of a batch that make results independent of the rest of the batch.

    The order of summation inside a matrix product, and which elements of a tensor take a kernel's scalar
    path, depend on the shapes: products of one to three rows, softmaxes narrower than a vector register,
    layers without padding and the last elements of a tensor differ in their last bits from the same rows
    inside a large, padded batch. Fillers take these places and their results are dropped, so the other
    results are the same to the last bit in whatever batch. Measured for 32-bit products on the CPU; a GPU may
    choose its algorithm by the exact shape.
    """

    count: int

    @classmethod
    def of(cls, models: Sequence[Seq2Seq | LanguageModel]) -> "Fillers":
        """The fillers that a batch for these models needs: the smaller their products, the more."""
        return cls(max(map(_fillers_of, models)))

    def append_to(self, sources: Sequence[Source]) -> list[Source]:
        """The sources, none of them empty, followed by fillers that are longer than all of these."""
        longest = max(sources, key=len)
        length = (len(longest) // _POSITIONS + 1) * _POSITIONS
        return [*sources, *[_stretched(longest, length)] * self.count]

    def repeat_last(self, sentences: Tensor) -> Tensor:
        """Indices of sentences, followed by the last one `count` times: the fillers of the search."""
        return torch.cat([sentences, sentences[-1:].expand(self.count)])

    def wrap(self, inner: Scorer, beam: int) -> Scorer:
        """A scorer without the fillers' rows; inner has `beam` rows for each sentence and each filler."""
        return _FilledScorer(inner, beam, self)


def _fillers_of(model: Seq2Seq | LanguageModel) -> int:
    """The number of fillers that a batch for one model needs."""
    sizes = [parameter.numel() for parameter in model.parameters() if parameter.dim() > 1]
    if isinstance(model, Seq2Seq):
        encoder = model.spec.encoder
        positions = _POSITIONS
        if isinstance(encoder, PyramidalEncoderSpec):
            positions = max(1, _POSITIONS // encoder.reduction ** (encoder.stack.layers - 1))
        sizes.append(model.decoder.memory_size * positions)
    return max(_FILLERS, _SMALLEST // min(sizes) + 1)


class _FilledScorer:
    """See `Fillers.wrap`."""

    def __init__(self, inner: Scorer, beam: int, fillers: Fillers) -> None:
        self._inner = inner
        self._beam = beam
        self._fillers = fillers

    def step(self, tokens: Tensor) -> _Scores:
        """See Scorer."""
        rows = len(tokens)
        scores = self._inner.step(torch.cat([tokens, tokens[-self._beam :].repeat(self._fillers.count, 1)]))
        attention = scores.attention
        return replace(
            scores,
            log_probs=scores.log_probs[:rows],
            features=scores.features[:rows],
            attention=None if attention is None else attention[:rows],
            copying=None if scores.copying is None else scores.copying[:rows],
        )

    def reorder(self, rows: Tensor) -> None:
        """See Scorer."""
        fillers = torch.arange(self._fillers.count * self._beam, device=rows.device) + len(rows)
        self._inner.reorder(torch.cat([rows, fillers]))

    def keep(self, sentences: Tensor) -> None:
        """See Scorer."""
        self._inner.keep(self._fillers.repeat_last(sentences))


def _stretched(source: Source, length: int) -> Source:
    """A source of this length that repeats the given one."""
    places = [place % len(source) for place in range(length)]
    if source.picture is not None:
        return source
    if source.vectors is not None:
        return Source(vectors=source.vectors[places])
    return Source(
        tuple(source.words[place] for place in places),
        tuple(tuple(labels[place] for place in places) for labels in source.features),
    )
