"""The linear-chain CRF against sums and maxima over all tag sequences."""

import itertools
import math

import torch

from onmt.constants import EOS
from onmt.modules.generator import OTHER_THAN_END, Transitions

TAGS = 5
LENGTHS = torch.tensor([3, 1, 2])


def case() -> tuple[Transitions, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    chain = Transitions(TAGS).double()
    for parameter in chain.parameters():
        parameter.data.uniform_(-1, 1, generator=generator)
    return chain, torch.log_softmax(torch.randn(3, 3, TAGS, generator=generator, dtype=torch.float64), -1)


def score_by_hand(chain: Transitions, emissions: torch.Tensor, tags: tuple[int, ...]) -> float:
    """Return the score of a tag sequence whose last tag belongs to the step after the sentence's end."""
    total = float(chain.start[tags[0]])
    for t, tag in enumerate(tags):
        if t > 0:
            total += float(chain.between[tags[t - 1], tag])
        ended = t == len(tags) - 1
        total += (0.0 if tag == EOS else OTHER_THAN_END) if ended else float(emissions[t, tag])
    return total


def test_loss_is_partition_minus_gold() -> None:
    chain, emissions = case()
    chain.requires_grad_(False)
    gold = torch.tensor([[1, 4, 2], [3, 0, 0], [4, 4, 0]])
    losses = chain.negative_log_likelihood(emissions, gold, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        paths = itertools.product(range(TAGS), repeat=length + 1)
        partition = math.log(sum(math.exp(score_by_hand(chain, emissions[row], path)) for path in paths))
        own = score_by_hand(chain, emissions[row], (*gold[row, :length].tolist(), EOS))
        torch.testing.assert_close(losses[row], torch.tensor(partition - own, dtype=torch.float64))


def test_viterbi_finds_the_best_path_of_emissions_and_moves() -> None:
    chain, emissions = case()
    chain.requires_grad_(False)
    best = chain.viterbi(emissions, LENGTHS)
    chain.start.zero_()
    for row, length in enumerate(LENGTHS.tolist()):
        paths = itertools.product(range(TAGS), repeat=length + 1)
        end = {tag: 0.0 if tag == EOS else OTHER_THAN_END for tag in range(TAGS)}
        _, expected = max(
            (score_by_hand(chain, emissions[row], path) - end[path[-1]], path) for path in paths
        )
        assert best[row, :length].tolist() == list(expected[:length])


def test_normalised_rows_are_distributions() -> None:
    chain, _ = case()
    chain.normalise()
    torch.testing.assert_close(chain.between.exp().sum(1), torch.ones(TAGS, dtype=torch.float64))
    torch.testing.assert_close(chain.start.exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_gradients_in_float64() -> None:
    chain, emissions = case()
    gold = torch.tensor([[1, 4, 2], [3, 0, 0], [4, 4, 0]])
    emissions.requires_grad_()

    def loss(scores: torch.Tensor, start: torch.Tensor, between: torch.Tensor) -> torch.Tensor:
        chain_of = {"start": start, "between": between}
        return torch.func.functional_call(
            _Loss(chain), {f"chain.{k}": v for k, v in chain_of.items()}, (scores, gold)
        )

    assert torch.autograd.gradcheck(loss, (emissions, chain.start, chain.between))


class _Loss(torch.nn.Module):
    def __init__(self, chain: Transitions) -> None:
        super().__init__()
        self.chain = chain

    def forward(self, emissions: torch.Tensor, tags: torch.Tensor) -> torch.Tensor:
        return self.chain.negative_log_likelihood(emissions, tags, LENGTHS)
