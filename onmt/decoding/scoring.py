"""Score the next token of every row with a model, whatever else is in the batch.

A scorer holds the state of all rows. Rows of one sentence are adjacent, `beam` of them per sentence; the
search tells the scorer which rows survive and which sentences have left.

Scores do not depend on the batch, to the last bit. The order of summation inside a matrix product, and which
elements of a tensor take a kernel's scalar path, depend on the shapes: products of one to three rows,
softmaxes narrower than a vector register, layers without padding and the last elements of a tensor differ in
their last bits from the same rows inside a large, padded batch. So every batch ends in fillers that take
these places and whose results are dropped. Measured for 32-bit products on the CPU; a GPU may choose by the
exact shape.
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

    log_probs: R V; features: R F-1, the best label of each target feature; attention: R S, or None without
    attention; copying: R, the probability of copying, None where the model cannot.
    """

    log_probs: Tensor
    features: Tensor
    attention: Tensor | None
    copying: Tensor | None = None


class Scorer(Protocol):
    """Anything that can continue hypotheses."""

    def step(self, tokens: Tensor) -> _Scores:
        """Read the last tokens, R F (words, then features), and score the next ones."""
        ...

    def reorder(self, rows: Tensor) -> None:
        """Row r goes on from what is row rows[r] now; `rows`: R, each within its own sentence."""
        ...

    def keep(self, sentences: Tensor) -> None:
        """Only these sentences stay, in this order."""
        ...


class _Stepper(Protocol):
    """A model that goes one token further: a seq2seq model or a language model."""

    def step(self, tokens: Tensor, state: DecoderState) -> Step:
        """tokens R F -> log-probabilities of the next tokens."""
        ...


class ModelScorer:
    """Scores of one model. `state` has one row per sentence, of which `beam` rows are made after the first
    step: before it they are all alike.
    """

    def __init__(self, model: _Stepper, state: DecoderState, beam: int) -> None:
        self._model = model
        self._state = state
        self._beam = beam
        self._expanded = False

    def step(self, tokens: Tensor) -> _Scores:
        """See Scorer."""
        output = self.advance(tokens)
        return _scores(output.log_probs, output.attention, output.copying)

    def advance(self, tokens: Tensor) -> Step:
        """Read the last tokens, R F; predictions for all rows."""
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
    """log_probs: R V of the words and of each target feature; attention: R S; copying: R."""
    words, *features = log_probs
    if not features:
        none = torch.zeros(len(words), 0, dtype=torch.int64, device=words.device)
        return _Scores(words, none, attention, copying)
    labels = torch.stack([scores.argmax(dim=1) for scores in features], dim=1)
    return _Scores(words, labels, attention, copying)


Average = Literal["mean", "log_mean"]
"""What an ensemble averages: probabilities or log-probabilities."""


def averaged(log_probs: Sequence[Tensor], average: Average) -> Tensor:
    """Log-probabilities of M models, of one shape, as one: log(1/M sum_m p_m), or 1/M sum_m log p_m, which
    is not normalised again.
    """
    stacked = torch.stack(list(log_probs))
    if average == "log_mean":
        return stacked.mean(dim=0)
    return stacked.logsumexp(dim=0) - math.log(len(stacked))


class EnsembleScorer:
    """Averaged predictions of several models: of words, of features, and attention of those `attending`."""

    def __init__(self, scorers: Sequence[ModelScorer], average: Average, attending: Sequence[int]) -> None:
        """attending: places of the models whose attention counts; theirs is over the same positions."""
        self._scorers = scorers
        self._average = average
        self._attending = attending

    def step(self, tokens: Tensor) -> _Scores:
        """See Scorer."""
        outputs = [scorer.advance(tokens) for scorer in self._scorers]
        log_probs = [
            averaged(of_models, self._average)
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
    """Shallow fusion: log p(word) + weight * log p_LM(word); features and attention are the translation
    model's.

    As in Lua the language model has read `<s>`, features too, once before the search gives it the first
    `<s>`. `state` is the language model's fresh state of one row per sentence; `features`: target features.
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
        self._inner = inner
        self._weight = weight
        self._beam = beam
        hidden = state.hidden[0]
        start = torch.full((len(hidden), 1 + features), BOS, device=hidden.device)
        self._language_model = ModelScorer(language_model, language_model.step(start, state).state, beam)

    def step(self, tokens: Tensor) -> _Scores:
        """See Scorer."""
        scores = self._inner.step(tokens)
        fluency = self._language_model.step(tokens).log_probs
        return _Scores(scores.log_probs + self._weight * fluency, scores.features, scores.attention)

    def reorder(self, rows: Tensor) -> None:
        """See Scorer."""
        self._inner.reorder(rows)
        self._language_model.reorder(rows)

    def keep(self, sentences: Tensor) -> None:
        """See Scorer."""
        self._inner.keep(sentences)
        rows = sentences[:, None] * self._beam + torch.arange(self._beam, device=sentences.device)
        self._language_model.reorder(rows.flatten())  # its state knows rows only, not sentences


class RestrictedModel:
    """A translation model of which only the words `allowed` (ids, ascending) can come: its output layer is
    cut to them, so their probabilities sum to one; the others get -inf.
    """

    def __init__(self, model: Seq2Seq, allowed: Tensor) -> None:
        self._model = model
        self._allowed = allowed
        self._size = len(model.generator.weights[0])
        self._generator = model.generator.cut(allowed)

    def step(self, tokens: Tensor, state: DecoderState) -> Step:
        """See Stepper."""
        output = self._model.step(tokens, state, self._generator)
        among, *features = output.log_probs
        words = among.new_full((len(among), self._size), -torch.inf)
        words[:, self._allowed] = among
        return Step((words, *features), output.attention, output.state)


_FILLERS: Final = 3  # sentences
_SMALLEST: Final = 16**3
"""Multiplications of a product from which on torch always takes the same library for it."""
_POSITIONS: Final = 32  # sources end at a multiple of this


def fillers_for(model: Seq2Seq | LanguageModel) -> int:
    """The number of fillers that a batch needs: more for models with smaller products."""
    sizes = [parameter.numel() for parameter in model.parameters() if parameter.dim() > 1]
    if isinstance(model, Seq2Seq):
        encoder = model.spec.encoder
        positions = _POSITIONS
        if isinstance(encoder, PyramidalEncoderSpec):
            positions = max(1, _POSITIONS // encoder.reduction ** (encoder.stack.layers - 1))
        sizes.append(model.decoder.memory_size * positions)
    return max(_FILLERS, _SMALLEST // min(sizes) + 1)


def with_fillers(sources: Sequence[Source], count: int) -> list[Source]:
    """The sources, none of them empty, and behind them fillers that are longer than all of these."""
    longest = max(sources, key=len)
    length = (len(longest) // _POSITIONS + 1) * _POSITIONS
    return [*sources, *[_stretched(longest, length)] * count]


def with_repeated(sentences: Tensor, count: int) -> Tensor:
    """Indices of sentences, and behind them the last one again and again, as a filler of the search."""
    return torch.cat([sentences, sentences[-1:].expand(count)])


class BatchInvariantScorer:
    """A scorer whose inner one has the rows of `with_repeated` sentences, `beam` for each."""

    def __init__(self, inner: Scorer, beam: int, fillers: int) -> None:
        self._inner = inner
        self._beam = beam
        self._fillers = fillers

    def step(self, tokens: Tensor) -> _Scores:
        """See Scorer."""
        rows = len(tokens)
        scores = self._inner.step(torch.cat([tokens, tokens[-self._beam :].repeat(self._fillers, 1)]))
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
        fillers = torch.arange(self._fillers * self._beam, device=rows.device) + len(rows)
        self._inner.reorder(torch.cat([rows, fillers]))

    def keep(self, sentences: Tensor) -> None:
        """See Scorer."""
        self._inner.keep(with_repeated(sentences, self._fillers))


def _stretched(source: Source, length: int) -> Source:
    """A source of this length, made of the given one over and over."""
    places = [place % len(source) for place in range(length)]
    if source.picture is not None:
        return source
    if source.vectors is not None:
        return Source(vectors=source.vectors[places])
    return Source(
        tuple(source.words[place] for place in places),
        tuple(tuple(labels[place] for place in places) for labels in source.features),
    )
