"""onmt/modules/generator.py: prediction restricted to a subset of the vocabulary."""

import itertools

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
    """Return a sentence's loss with the softmax over WORDS for words, over all labels for features."""
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


@pytest.mark.parametrize("words", [None, torch.tensor([0, 3, 4, 6])])
def test_label_smoothing_of_words_and_features(words: torch.Tensor | None) -> None:
    """Features are smoothed over their vocabulary, words over those that may be predicted."""
    generator = Generator(4, (7, 5)).double()
    random = torch.Generator().manual_seed(1)
    for parameter in generator.parameters():
        parameter.data.uniform_(-1, 1, generator=random)
    outputs = torch.randn(2, 3, 4, generator=random, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[[3, 4], [6, 0], [4, 2]], [[4, 1], [3, 3], [PAD, PAD]]])
    total, losses = generator.negative_log_likelihood(outputs, targets, words, smoothing=0.2)
    assert float(losses.sum()) == pytest.approx(float(total.detach()))
    plain = generator.negative_log_likelihood(outputs, targets, words)[0]
    torch.testing.assert_close(total, plain)
    expected = torch.zeros((), dtype=torch.float64)
    for index in range(2):
        scores = torch.log_softmax(generator.logits(outputs, index, words if index == 0 else None), dim=-1)
        ids = torch.arange(7) if words is None or index else words
        for row, column in itertools.product(range(2), range(3)):
            wanted = int(targets[row, column, index])
            if wanted != PAD:
                gold = scores[row, column, int((ids == wanted).nonzero())]
                expected = expected - 0.8 * gold - 0.2 * scores[row, column].mean()
    variables = [outputs, *generator.parameters()]
    found = torch.autograd.grad(total, variables)
    for fast, by_hand in zip(found, torch.autograd.grad(expected, variables), strict=True):
        torch.testing.assert_close(fast, by_hand, rtol=1e-9, atol=1e-12)
