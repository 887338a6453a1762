"""onmt/modules/generator.py: prediction among some words only."""

import pytest
import torch

from onmt.constants import PAD
from onmt.modules.generator import Generator

WORDS = torch.tensor([PAD, 2, 3, 5, 8])
TARGETS = torch.tensor([[[5, 1], [8, 2], [3, 4]], [[2, 3], [PAD, PAD], [PAD, PAD]]])  # B T F


@pytest.fixture
def generator() -> Generator:
    made = Generator(4, (10, 6))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(generator=draw)
    return made


@pytest.fixture
def outputs() -> torch.Tensor:
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(2))


def expected_loss(generator: Generator, outputs: torch.Tensor, sentence: int) -> torch.Tensor:
    """Word by word: the softmax is over the chosen words; the features' is over all of theirs."""
    total = torch.zeros(())
    for step, (word, feature) in enumerate(TARGETS[sentence].tolist()):
        if word != PAD:
            scores = generator.logits(outputs[sentence, step])
            total = total + scores[WORDS].logsumexp(0) - scores[word]
            total = total - torch.log_softmax(generator.logits(outputs[sentence, step], 1), 0)[feature]
    return total


def test_the_loss_is_over_the_given_words(generator: Generator, outputs: torch.Tensor) -> None:
    total, losses = generator.negative_log_likelihood(outputs, TARGETS, WORDS)
    expected = torch.stack([expected_loss(generator, outputs, sentence) for sentence in (0, 1)])
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(total, expected.sum())


def test_all_words_are_the_usual_loss(generator: Generator, outputs: torch.Tensor) -> None:
    usual = generator.negative_log_likelihood(outputs, TARGETS)[1]
    assert torch.equal(generator.negative_log_likelihood(outputs, TARGETS, torch.arange(10))[1], usual)


def test_other_words_get_no_gradient(generator: Generator, outputs: torch.Tensor) -> None:
    generator.negative_log_likelihood(outputs, TARGETS, WORDS)[0].backward()
    for gradient in (generator.weights[0].grad, generator.biases[0].grad):
        assert gradient is not None
        touched = gradient.reshape(10, -1).abs().amax(1) > 0
        assert touched.nonzero()[:, 0].tolist() == WORDS.tolist()


def test_predictions_are_among_the_words(generator: Generator, outputs: torch.Tensor) -> None:
    scores = generator.logits(outputs)
    outside = [word for word in range(10) if word not in WORDS.tolist()]
    scores[..., outside] = -torch.inf
    assert torch.equal(generator.predict(outputs, WORDS), scores.argmax(-1))
    assert torch.equal(generator.predict(outputs), generator.logits(outputs).argmax(-1))
