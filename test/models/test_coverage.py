"""Coverage: scores and coverage loss against numpy, gradients, and searches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from onmt.constants import BOS, PAD
from onmt.data.dataset import Batch
from onmt.errors import OptionError
from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes, spec_from_options, with_coverage
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.noise import Noise, TrainingStep
from onmt.spec.model import ModelSpec

SIZES = DataSizes((12,), (13,))
LENGTHS, TARGETS = [5, 3], [4, 6]
CELL = {"rnn_cell": {"cell_params": {"num_units": 6}}}
DIALECTS = ["general", "dot", "concat", "AttentionLayerBahdanau", "AttentionLayerDot"]


def spec(kind: str, **flags: object) -> ModelSpec:
    if not kind.startswith("Attention"):
        options = Seq2SeqModelOptions(
            rnn_size=6, word_vec_size=5, layers=1, dropout=0.0, global_attention=kind, **flags
        )
        return with_coverage(spec_from_options(options, SIZES))
    params = {
        "embedding.dim": 5,
        "attention.class": kind,
        "attention.params": {"num_units": 4},
        "encoder.params": CELL,
        "decoder.params": CELL,
    }
    return with_coverage(spec_of(read_model("AttentionSeq2Seq", params), SIZES))


def model_of(wanted: ModelSpec) -> Seq2Seq:
    model = build_model(wanted)
    assert isinstance(model, Seq2Seq)
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.data.uniform_(-1, 1, generator=generator)
    model.settle()
    return model.double()


def batch() -> Batch:
    generator = torch.Generator().manual_seed(9)
    src = torch.randint(4, 12, (2, 5, 1), generator=generator)
    tgt = torch.randint(4, 13, (2, 7, 1), generator=generator)
    tgt[:, 0] = BOS
    for row, (length, target) in enumerate(zip(LENGTHS, TARGETS, strict=True)):
        src[row, length:] = PAD
        tgt[row, target + 1 :] = PAD
    return Batch(
        src=src,
        src_lengths=torch.tensor(LENGTHS),
        tgt_input=tgt[:, :-1],
        tgt_output=tgt[:, 1:],
        size=2,
        src_words=sum(LENGTHS),
        tgt_words=sum(TARGETS),
        indices=torch.arange(2),
    )


def weights_by_hand(model: Seq2Seq, query: np.ndarray, keys: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Return the attention weights of one sentence in numpy, from a query H and projected keys S U."""
    attention = model.decoder.attention
    assert attention is not None
    w = attention.coverage_weight.detach().numpy()
    if attention.spec.score == "concat":
        query = attention.weight.detach().numpy()[:, : len(query)] @ query
    elif attention.spec.score in ("bahdanau", "projected_dot"):
        projection = attention.project_query
        query = projection.weight.detach().numpy() @ query + projection.bias.detach().numpy()
    keys = keys + covered[:, None] * w
    if attention.spec.score in ("concat", "bahdanau"):
        scores = np.tanh(query + keys) @ attention.score_weight.detach().numpy()
    else:
        scores = keys @ query
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


@pytest.mark.parametrize("kind", DIALECTS)
@torch.no_grad()
def test_attention_and_loss_by_hand(kind: str) -> None:
    model, data = model_of(spec(kind)), batch()
    assert data.tgt_input is not None
    decoder = model.decoder
    assert decoder.attention is not None
    encoding = model.encode(data.src, data.src_lengths)
    memory, keys = encoding.memory.numpy(), decoder.attention.keys(encoding).numpy()
    state = model.start(encoding)
    overlap = 0.0
    covered = [np.zeros(int(length)) for length in encoding.lengths]
    for t in range(data.tgt_input.shape[1]):
        embedded = decoder.embeddings(data.tgt_input[:, t])
        inputs = embedded if state.feed is None else torch.cat([embedded, state.feed], dim=1)
        query = decoder.stack.step(inputs, state.hidden, None)[0].numpy()
        step = decoder.step(data.tgt_input[:, t], state)
        assert step.attention is not None
        for row, length in enumerate(encoding.lengths.tolist()):
            expected = weights_by_hand(model, query[row], keys[row, :length], covered[row])
            np.testing.assert_allclose(step.attention[row, :length].numpy(), expected, atol=1e-12)
            assert not step.attention[row, length:].any()
            if t < TARGETS[row]:
                overlap += np.minimum(expected, covered[row]).sum()
            covered[row] = covered[row] + expected
            context = expected @ memory[row, :length]
            pointer_log_probs = np.concatenate([context, query[row]])
            assert decoder.mix_weight is not None
            bias = 0.0 if decoder.mix_bias is None else decoder.mix_bias.numpy()
            output = np.tanh(decoder.mix_weight.numpy() @ pointer_log_probs + bias)
            np.testing.assert_allclose(step.output[row].numpy(), output, atol=1e-12)
        state = step.state
    found = model.loss(data, TrainingStep(Noise(torch.Generator()), coverage_weight=0.7))
    torch.testing.assert_close(found.total, model.loss(data, None).total)  # without coverage loss
    decoded = model._decoded(data, None)
    assert decoded.overlap is not None
    assert data.tgt_output is not None
    counted = decoded.overlap * (data.tgt_output[..., 0] != PAD)
    assert float(counted.sum()) == pytest.approx(overlap, rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "feeds"), [*((kind, True) for kind in DIALECTS), *((kind, False) for kind in DIALECTS[:3])]
)
def test_the_gradient_is_that_of_both_losses(kind: str, feeds: bool) -> None:
    """The gradient along a random direction equals finite differences of NLL + weight * overlap."""
    model = model_of(spec(kind, **({} if feeds else {"input_feed": False})))
    data, weight = batch(), 0.7
    assert data.tgt_output is not None
    real = data.tgt_output[..., 0] != PAD
    parameters = list(model.parameters())
    model.loss(data, TrainingStep(Noise(torch.Generator()), coverage_weight=weight)).total.backward()
    generator = torch.Generator().manual_seed(4)
    directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
    slope = 0.0
    for parameter, direction in zip(parameters, directions, strict=True):
        assert parameter.grad is not None
        direction[parameter.grad == 0] = 0  # the padding row matters, but has no gradient by design
        slope += float((parameter.grad * direction).sum())

    @torch.no_grad()
    def value() -> float:
        overlap = model._decoded(data, None).overlap
        assert overlap is not None
        return float(model.loss(data, None).total + weight * (overlap * real).sum())

    values = []
    for step in (1e-5, -2e-5):
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.data.add_(direction, alpha=step)
        values.append(value())
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-5)


@torch.no_grad()
def test_rows_of_a_search_keep_their_coverage() -> None:
    model, data = model_of(spec("general")), batch()
    assert data.tgt_input is not None
    encoding = model.encode(data.src, data.src_lengths)
    first = model.step(data.tgt_input[:, 0], model.start(encoding)).expand(2)
    assert first.state.coverage is not None
    assert torch.equal(first.state.coverage[0::2], first.state.coverage[1::2])
    tokens = torch.tensor([[4], [5], [6], [7]])
    second = model.step(tokens, first.state)
    assert second.state.coverage is not None
    assert second.attention is not None
    assert first.attention is not None
    torch.testing.assert_close(second.state.coverage, first.attention + second.attention)
    swapped = second.state.reorder(torch.tensor([1, 1, 2, 3])).keep(torch.tensor([0]))
    assert swapped.coverage is not None
    assert torch.equal(swapped.coverage, second.state.coverage[[1, 1]])


def test_without_the_flag_nothing_has_coverage() -> None:
    wanted = spec("concat")
    assert wanted.decoder is not None
    plain = replace(
        wanted, decoder=replace(wanted.decoder, attention=replace(wanted.decoder.attention, coverage=False))
    )
    names = {name for name, _ in model_of(wanted).named_parameters()}
    assert names - {name for name, _ in model_of(plain).named_parameters()} == {
        "decoder.attention.coverage_weight"
    }
    stored = plain.to_state()
    del stored["decoder"]["attention"]["coverage"]  # as in files written before coverage existed
    assert ModelSpec.from_state(stored) == plain


def test_coverage_needs_attention() -> None:
    options = Seq2SeqModelOptions(rnn_size=6, attention="none")
    with pytest.raises(OptionError, match="-coverage_attn needs a decoder with attention"):
        with_coverage(spec_from_options(options, SIZES))
    with pytest.raises(OptionError, match="-coverage_attn needs a decoder with attention"):
        with_coverage(spec_of(read_model("BasicSeq2Seq", {}), SIZES))


def test_where_attention_is_spread_alike_the_overlap_is_known() -> None:
    """If all attention weights are 1/S, the overlap of step t is min(1/S, t/S) * S: 0 at first, then 1."""
    model, data = model_of(spec("dot")), batch()
    for parameter in model.parameters():
        parameter.data.zero_()
    overlap = model._decoded(data, None).overlap
    assert overlap is not None
    expected = torch.ones(2, 6, dtype=torch.float64)
    expected[:, 0] = 0
    torch.testing.assert_close(overlap.detach(), expected)
