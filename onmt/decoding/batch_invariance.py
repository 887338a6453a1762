"""Results that are the same to the last bit in whatever batch a sentence is translated.

The order of summation inside a matrix product, and which elements of a tensor take a kernel's scalar path,
depend on the shapes: products of one to three rows, softmaxes narrower than a vector register, layers without
padding and the last elements of a tensor differ in their last bits from the same rows inside a large, padded
batch.
Here every batch ends in fillers that take these places; what they yield is dropped. Measured for 32-bit
products on the CPU; a GPU may choose by the exact shape.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from onmt.decoding.scoring import Scorer, Scores
from onmt.decoding.sentences import Source
from onmt.models.encoder_spec import PyramidalEncoderSpec
from onmt.models.seq2seq import Seq2Seq

_FILLERS: Final = 3  # sentences
_SMALLEST: Final = 16**3
"""Multiplications of a product from which on torch always takes the same library for it."""
_POSITIONS: Final = 32  # sources end at a multiple of this


def fillers_for(model: Seq2Seq) -> int:
    """How many fillers a batch needs: the more, the smaller the model's products are."""
    sizes = [parameter.numel() for parameter in model.parameters() if parameter.dim() > 1]
    encoder = model.spec.encoder
    positions = _POSITIONS
    if isinstance(encoder, PyramidalEncoderSpec):
        positions = max(1, _POSITIONS // encoder.reduction ** (encoder.stack.layers - 1))
    smallest = min(*sizes, model.decoder.memory_size * positions)
    return max(_FILLERS, _SMALLEST // smallest + 1)


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

    def step(self, tokens: Tensor) -> Scores:
        """See Scorer."""
        rows = len(tokens)
        scores = self._inner.step(torch.cat([tokens, tokens[-self._beam :].repeat(self._fillers, 1)]))
        attention = scores.attention
        return replace(
            scores,
            log_probs=scores.log_probs[:rows],
            features=scores.features[:rows],
            attention=None if attention is None else attention[:rows],
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
