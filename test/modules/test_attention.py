"""Attention against its formulas, computed position by position."""

import math

import pytest
import torch

from onmt.modules.attention import Attention
from onmt.modules.encoding import Encoding, padding_mask
from onmt.spec.model import AttentionSpec

H = 3
LENGTHS = torch.tensor([4, 2])


def filled(score: str) -> tuple[Attention, Encoding, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    attention = Attention(AttentionSpec(score=score), H, H)  # type: ignore[arg-type]
    for parameter in attention.requires_grad_(False).parameters():
        parameter.data.uniform_(-1, 1, generator=generator)
    mask = padding_mask(LENGTHS, 4)
    memory = torch.randn(2, 4, H, generator=generator) * mask[..., None]
    query = torch.randn(2, 5, H, generator=generator)
    return attention, Encoding(memory, LENGTHS, mask, ()), query


def score_by_hand(attention: Attention, query: torch.Tensor, position: torch.Tensor) -> float:
    if attention.spec.score == "dot":
        return float(query @ position)
    if attention.spec.score == "general":
        return float(position @ (attention.weight @ query))
    joined = torch.tanh(attention.weight @ torch.cat([query, position]))
    return float(attention.score_weight @ joined + attention.score_bias)


@pytest.mark.parametrize("score", ["general", "dot", "concat"])
def test_weights_and_context_by_hand(score: str) -> None:
    attention, encoding, query = filled(score)
    context, weights = attention(query, attention.keys(encoding), encoding.memory, encoding.mask)
    assert weights is not None
    for row, length in enumerate(LENGTHS.tolist()):
        for q in range(query.shape[1]):
            scores = [score_by_hand(attention, query[row, q], encoding.memory[row, s]) for s in range(length)]
            exponentials = [math.exp(value) for value in scores]
            expected = torch.tensor(
                [value / sum(exponentials) for value in exponentials] + [0.0] * (4 - length)
            )
            torch.testing.assert_close(weights[row, q], expected)
            torch.testing.assert_close(context[row, q], expected @ encoding.memory[row])


def test_last_reads_each_sentences_own_end() -> None:
    attention, encoding, query = filled("last")
    context, weights = attention(query, attention.keys(encoding), encoding.memory, encoding.mask)
    assert weights is None
    for row, length in enumerate(LENGTHS.tolist()):
        for q in range(query.shape[1]):
            torch.testing.assert_close(context[row, q], encoding.memory[row, length - 1])
