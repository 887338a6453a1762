"""The best scores are those of torch.topk."""

import pytest
import torch

from onmt.kernels.cross_entropy import top_k


@pytest.mark.parametrize("count", [1, 2, 5, 17])
@pytest.mark.parametrize("width", [20, 2048, 10_240, 18_726, 40_031])
def test_the_best_are_those_of_topk(count: int, width: int) -> None:
    scores = torch.randn(6, width, generator=torch.Generator().manual_seed(width + count))
    scores[0, :20] = 9 + torch.arange(20) / 40  # best scores adjacent
    scores[1, 7 :: width // 10] = 9 + torch.arange(len(scores[1, 7 :: width // 10])) / 40  # and far apart
    scores[2, -3:] = torch.tensor([7.0, 9.0, 8.0])
    scores[3, 3:] = -torch.inf
    values, places = top_k(scores.clone(), count)
    assert torch.equal(values, scores.topk(count, dim=1).values)
    assert torch.equal(scores.gather(1, places), values)
    assert all(len(set(row)) == count for row in places.tolist())


def test_equal_scores_are_each_taken_once() -> None:
    _, places = top_k(torch.zeros(2, 50_000), 5)
    assert all(len(set(row)) == 5 for row in places.tolist())
