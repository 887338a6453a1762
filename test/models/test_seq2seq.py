"""Combinations of encoder, cell, attention, input feed and dropout.

A sentence's result doesn't depend on its batch. The steps of a search equal the training pass. Gradients are
checked against finite differences.
"""

import itertools
from dataclasses import replace

import pytest
import torch

from onmt.constants import BOS, PAD
from onmt.data.dataset import Batch
from onmt.kernels.products import Products, multiply_with
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.noise import Noise, TrainingStep

SIZES = DataSizes((12, 7), (13, 6))
LENGTHS = [7, 3, 5]
TARGET_LENGTHS = [4, 6, 2]

ENCODERS = ["rnn", "brnn", "dbrnn", "pdbrnn", "gnmt", "cnn"]
CELLS = ["LSTM", "GRU"]
ATTENTIONS = ["general", "dot", "concat", "none"]


def options(encoder: str, **given: object) -> Seq2SeqModelOptions:
    chosen: dict[str, object] = {
        "encoder_type": encoder,
        "layers": 2,
        "rnn_size": 8,
        "cnn_size": 8,
        "word_vec_size": 5,
        "bridge": "dense" if encoder == "cnn" else "copy",
        "max_pos": 4,
    }
    return Seq2SeqModelOptions(**(chosen | given))  # type: ignore[arg-type]


def model_of(chosen: Seq2SeqModelOptions) -> Seq2Seq:
    model = build_model(spec_from_options(chosen, SIZES))
    model.initialise(0.3, torch.Generator().manual_seed(2))
    assert isinstance(model, Seq2Seq)
    return model


def batch(rows: list[int] | None = None) -> Batch:
    """Return a batch of three sentences of different lengths, or of some `rows` of these."""
    generator = torch.Generator().manual_seed(9)
    src = torch.randint(4, 7, (3, 7, 2), generator=generator)
    tgt = torch.randint(4, 6, (3, 7, 2), generator=generator)
    tgt[:, 0] = BOS
    for row, (length, target) in enumerate(zip(LENGTHS, TARGET_LENGTHS, strict=True)):
        src[row, length:] = PAD
        tgt[row, target + 1 :] = PAD
    chosen = rows if rows is not None else [0, 1, 2]
    lengths = torch.tensor(LENGTHS)[chosen]
    targets = torch.tensor(TARGET_LENGTHS)[chosen]
    longest, steps = int(lengths.max()), int(targets.max())
    return Batch(
        src=src[chosen, :longest],
        src_lengths=lengths,
        tgt_input=tgt[chosen, :steps],
        tgt_output=tgt[chosen, 1 : steps + 1],
        size=len(chosen),
        src_words=int(lengths.sum()),
        tgt_words=int(targets.sum()),
        indices=torch.tensor(chosen),
    )


def attention_flags(attention: str) -> dict[str, str]:
    return {"attention": "none"} if attention == "none" else {"global_attention": attention}


@pytest.mark.parametrize(
    ("encoder", "cell", "attention"), list(itertools.product(ENCODERS, CELLS, ATTENTIONS))
)
def test_a_sentence_is_computed_as_if_alone(encoder: str, cell: str, attention: str) -> None:
    model = model_of(options(encoder, rnn_type=cell, **attention_flags(attention)))
    together = model.loss(batch(), None).per_sentence
    for row in range(3):
        alone = model.loss(batch([row]), None).per_sentence
        torch.testing.assert_close(together[row : row + 1], alone, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("input_feed", [True, False])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_search_steps_equal_the_training_pass(attention: str, input_feed: bool) -> None:
    model = model_of(options("brnn", input_feed=input_feed, **attention_flags(attention)))
    data = batch()
    assert data.tgt_input is not None
    with torch.no_grad():
        encoding = model.encode(data.src, data.src_lengths)
        outputs = model.decoder(data.tgt_input, encoding, model.bridge(encoding.states), None)
        expected = model.generator(outputs)
        state = model.start(encoding).expand(2)
        for t in range(data.tgt_input.shape[1]):
            step = model.step(data.tgt_input[:, t].repeat_interleave(2, dim=0), state)
            state = step.state.reorder(torch.tensor([1, 0, 3, 3, 4, 5]))
            for index in range(2):
                torch.testing.assert_close(step.log_probs[index][::2], expected[index][:, t])
                torch.testing.assert_close(step.log_probs[index][1::2], expected[index][:, t])
        kept = state.keep(torch.tensor([2, 0]))
        tokens = data.tgt_input[:, 0].repeat_interleave(2, dim=0)
        before = model.step(tokens, state).log_probs[0].reshape(3, 2, -1)
        after = model.step(tokens[:4], kept).log_probs[0].reshape(2, 2, -1)
    torch.testing.assert_close(after[0], before[2])
    torch.testing.assert_close(after[1], before[0])


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("kind", ["naive", "variational"])
def test_dropout_draws_from_the_steps_generator_only(encoder: str, kind: str) -> None:
    model = model_of(options(encoder, dropout=0.5, dropout_type=kind, dropout_words=0.3))
    state = torch.get_rng_state()

    def total(seed: int) -> float:
        noise = Noise(torch.Generator().manual_seed(seed))
        return float(model.loss(batch(), TrainingStep(noise)).total.detach())

    assert total(1) == total(1)
    assert total(1) != total(2)
    assert total(1) != float(model.loss(batch(), None).total.detach())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_in_float64(encoder: str, cell: str) -> None:
    """The gradient along a random direction equals finite differences of the loss under the same masks."""
    model = model_of(options(encoder, rnn_type=cell, dropout=0.4, dropout_type="variational")).double()
    parameters = list(model.parameters())
    generator = torch.Generator().manual_seed(4)
    directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]

    def total() -> torch.Tensor:
        return model.loss(batch(), TrainingStep(Noise(torch.Generator().manual_seed(3)))).total

    gradients = torch.autograd.grad(total(), parameters)
    slope = 0.0
    for gradient, direction in zip(gradients, directions, strict=True):
        direction[gradient == 0] = 0  # the padding row matters, but has no gradient by design
        slope += float((gradient * direction).sum())
    with torch.no_grad():
        values = []
        for step in (1e-5, -2e-5):
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=step)
            values.append(float(total()))
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_scheduled_sampling_feeds_the_models_own_words() -> None:
    model = model_of(options("rnn", dropout=0.0))
    noise = Noise(torch.Generator().manual_seed(0))
    gold = model.loss(batch(), TrainingStep(noise, 1.0)).total
    torch.testing.assert_close(gold, model.loss(batch(), None).total)
    own = model.loss(batch(), TrainingStep(noise, 0.0)).total
    data = batch()
    assert data.tgt_input is not None
    fed = data.tgt_input.clone()
    with torch.no_grad():
        encoding = model.encode(data.src, data.src_lengths)
        state = model.start(encoding)
        for t in range(fed.shape[1]):
            step = model.step(fed[:, t], state)
            state = step.state
            if t + 1 < fed.shape[1]:
                fed[:, t + 1, 0] = step.log_probs[0].argmax(-1)
        by_hand = model.loss(replace(data, tgt_input=fed), None).total
    torch.testing.assert_close(own.detach(), by_hand, rtol=1e-4, atol=1e-4)


def test_score_counts_words_only() -> None:
    model = model_of(options("brnn"))
    data = batch()
    assert data.tgt_output is not None
    words = data.tgt_output.clone()
    words[..., 1] = PAD
    expected = -model.loss(replace(data, tgt_output=words), None).per_sentence
    torch.testing.assert_close(model.score(data).float(), expected)


@pytest.mark.parametrize(("encoder", "cell"), list(itertools.product(ENCODERS, CELLS)))
def test_narrow_products_change_little_and_keep_the_types(encoder: str, cell: str) -> None:
    model = model_of(options(encoder, rnn_type=cell, dropout=0.3))
    results = []
    for dtype in (None, torch.bfloat16):
        multiply_with(model, Products(dtype))
        model.zero_grad()
        loss = model.loss(batch(), TrainingStep(Noise(torch.Generator().manual_seed(4))))
        loss.total.backward()
        results.append([loss.total.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    assert not torch.equal(results[0][0], results[1][0])
    for exact, narrow in zip(*results, strict=True):
        assert narrow.dtype == torch.float32
        assert (exact - narrow).norm() < 0.05 * exact.norm() + 1e-6
