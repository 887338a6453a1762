"""Copying: probabilities, losses and gradients against the formulas of See et al. 2017 in numpy."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from onmt.constants import BOS, EOS, PAD, SPECIAL_WORDS, UNK
from onmt.data.dataset import Batch, CopyIds
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import OptionError
from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes, spec_from_options, with_copying, with_coverage
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.noise import Noise, TrainingStep
from onmt.spec.model import ModelSpec

SOURCE = Vocabulary([*SPECIAL_WORDS, *"abcdefgh"])
TARGET = Vocabulary([*SPECIAL_WORDS, *"xdcbzyw"])  # shares b, c and d with the source
SIZES = DataSizes((len(SOURCE),), (len(TARGET),))
V = len(TARGET)
LENGTHS, TARGETS = [5, 3], [4, 6]
CELL = {"rnn_cell": {"cell_params": {"num_units": 6}}}
KINDS = ["general", "concat", "no feed", "google"]
Floats = npt.NDArray[np.float64]


def spec(kind: str) -> ModelSpec:
    if kind == "google":
        params = {
            "embedding.dim": 5,
            "attention.params": {"num_units": 4},
            "encoder.params": CELL,
            "decoder.params": CELL,
        }
        return with_copying(spec_of(read_model("AttentionSeq2Seq", params), SIZES))
    score = "concat" if kind == "concat" else "general"
    options = Seq2SeqModelOptions(
        rnn_size=6,
        word_vec_size=5,
        layers=1,
        dropout=0.0,
        global_attention=score,  # type: ignore[arg-type]
        input_feed=kind != "no feed",
    )
    return with_copying(spec_from_options(options, SIZES))


def model_of(wanted: ModelSpec) -> Seq2Seq:
    model = build_model(wanted)
    assert isinstance(model, Seq2Seq)
    model.use_vocabularies(Vocabularies((SOURCE,), (TARGET,)))
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.data.uniform_(-1, 1, generator=generator)
    model.settle()
    return model.double()


def batch() -> Batch:
    """Two sentences whose sources have an unknown word each; the first source also repeats a word.

    The targets hold words of their source, <unk> and other words.
    """
    src = torch.tensor([[*SOURCE.ids("bcbah")], [UNK, *SOURCE.ids("dg"), PAD, PAD]])
    src[0, 4] = UNK
    tgt = torch.tensor(
        [[BOS, *TARGET.ids("bxc"), EOS, PAD, PAD], [BOS, *TARGET.ids("d"), UNK, *TARGET.ids("wyd"), EOS]]
    )
    return Batch(
        src=src[..., None],
        src_lengths=torch.tensor(LENGTHS),
        tgt_input=tgt[:, :-1, None],
        tgt_output=tgt[:, 1:, None],
        size=2,
        src_words=sum(LENGTHS),
        tgt_words=sum(TARGETS),
        indices=torch.arange(2),
    )


def sigmoid(value: float) -> float:
    return 1 / (1 + np.exp(-value))


def probabilities_by_hand(
    model: Seq2Seq, data: Batch, words_at: list[list[int]], size: int
) -> list[list[Floats]]:
    """Return the probabilities of all `size` ids of the extended vocabulary, as [step][sentence].

    `words_at` has for each sentence the extended id of the word at each memory position.
    """
    assert data.tgt_input is not None
    decoder, gate = model.decoder, model.decoder.copy_gate
    assert gate is not None
    encoding = model.encode(data.src, data.src_lengths)
    memory, state = encoding.memory.numpy(), model.start(encoding)
    weight, bias = (
        parameter.numpy() for parameter in (model.generator.weights[0], model.generator.biases[0])
    )
    steps = []
    for t in range(data.tgt_input.shape[1]):
        embedded = decoder.embeddings(data.tgt_input[:, t])
        inputs = embedded if state.feed is None else torch.cat([embedded, state.feed], dim=1)
        query = decoder.stack.step(inputs, state.hidden, None)[0].numpy()
        step = decoder.step(data.tgt_input[:, t], state)
        assert step.attention is not None
        rows = []
        for row, words in enumerate(words_at):
            attention = step.attention[row].numpy()
            context = attention @ memory[row]
            logits = weight @ step.output[row].numpy() + bias
            generated = np.exp(logits) / np.exp(logits).sum()
            joined = np.concatenate([context, query[row], inputs[row].numpy()])
            p_gen = sigmoid(float(gate.gate_weight.numpy() @ joined) + float(gate.gate_bias))
            total = np.zeros(size)
            total[:V] += p_gen * generated
            for position, word in enumerate(words):
                total[word] += (1 - p_gen) * attention[position]
            rows.append(total)
        steps.append(rows)
        state = step.state
    return steps


def known_words(kind: str) -> list[list[int]]:
    """Return for each sentence the target id of the source word at each memory position.

    The google dialect appends an end symbol to the source and reverses it.
    """
    rows = [[*TARGET.ids("bcba"), UNK], [UNK, *TARGET.ids("dg")]]
    return [[EOS, *row[::-1]] for row in rows] if kind == "google" else rows


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_loss_by_hand(kind: str) -> None:
    model, data = model_of(spec(kind)), batch()
    assert data.tgt_output is not None
    steps = probabilities_by_hand(model, data, known_words(kind), V)
    expected = np.zeros(2)
    for t, rows in enumerate(steps):
        for row, total in enumerate(rows):
            assert total.sum() == pytest.approx(1, abs=1e-9)
            if t < TARGETS[row]:
                expected[row] -= np.log(total[int(data.tgt_output[row, t, 0])])
    loss = model.loss(data, None)
    np.testing.assert_allclose(loss.per_sentence.numpy(), expected, rtol=1e-9)
    assert float(loss.total) == pytest.approx(expected.sum(), rel=1e-9)
    np.testing.assert_allclose(model.score(data).numpy(), -expected, rtol=1e-9)


def extended(kind: str) -> tuple[CopyIds, list[list[int]]]:
    """Return the copies of a translation and the extended ids at each memory position.

    In a translation the source words that the target vocabulary lacks have ids from V on, per sentence.
    """
    source = [[*TARGET.ids("bcb"), V, V + 1], [V, *TARGET.ids("d"), V + 1]]
    target = [[*TARGET.ids("bxc"), EOS], [*TARGET.ids("d"), V, *TARGET.ids("wyd"), EOS]]
    padded = torch.tensor([source[0], [*source[1], PAD, PAD]])
    copies = CopyIds(padded, torch.tensor([[*target[0], PAD, PAD], target[1]]), V + 2)
    return copies, [[EOS, *row[::-1]] for row in source] if kind == "google" else source


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_steps_of_a_search_by_hand(kind: str) -> None:
    model, data = model_of(spec(kind)), batch()
    copies, words_at = extended(kind)
    assert data.tgt_input is not None
    assert copies.target is not None
    steps = probabilities_by_hand(model, data, words_at, V + 2)
    state = model.start(model.encode(data.src, data.src_lengths, copies=copies))
    scores = np.zeros(2)
    for t, rows in enumerate(steps):
        tokens = data.tgt_input[:, t]
        if t == 2:  # the decoder must read a copied word as <unk>
            tokens = torch.tensor([[int(tokens[0])], [V]])
        step = model.step(tokens, state)
        for row, total in enumerate(rows):
            np.testing.assert_allclose(step.log_probs[0][row].exp().numpy(), total, rtol=1e-9, atol=1e-15)
            if t < TARGETS[row]:
                scores[row] += np.log(total[int(copies.target[row, t])])
        assert step.copying is not None
        assert ((step.copying > 0) & (step.copying < 1)).all()
        state = step.state
    known = Batch(**{**data.__dict__, "copies": copies})
    np.testing.assert_allclose(model.score(known).numpy(), scores, rtol=1e-9)
    assert scores[1] < float(model.score(data)[1])  # <unk> stands for all unknown words, V for one of them


@pytest.mark.parametrize("covered", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient(kind: str, covered: bool) -> None:
    """The gradient along a random direction equals finite differences of the loss."""
    model = model_of(with_coverage(spec(kind)) if covered else spec(kind))
    data = batch()
    parameters = list(model.parameters())
    model.loss(data, TrainingStep(Noise(torch.Generator()))).total.backward()
    generator = torch.Generator().manual_seed(4)
    directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
    slope = 0.0
    for parameter, direction in zip(parameters, directions, strict=True):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        direction[parameter.grad == 0] = 0  # the padding row matters, but has no gradient by design
        slope += float((parameter.grad * direction).sum())
    with torch.no_grad():
        values = []
        for step in (1e-5, -2e-5):
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=step)
            values.append(float(model.loss(data, None).total))
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_dropped_words_can_still_be_copied() -> None:
    options = Seq2SeqModelOptions(rnn_size=6, word_vec_size=5, layers=1, dropout_words=0.9)
    model, data = model_of(with_copying(spec_from_options(options, SIZES))), batch()
    noise = TrainingStep(Noise(torch.Generator().manual_seed(1)))
    encoding = model._encode(data.src, data.src_lengths, data.lengths_on_host, None, noise)
    assert encoding.copies is not None
    assert encoding.copies.ids.tolist() == [
        [*known_words("general")[0]],
        [*known_words("general")[1], PAD, PAD],
    ]


def test_a_file_of_before_copies_nothing() -> None:
    plain = spec_from_options(Seq2SeqModelOptions(rnn_size=6), SIZES)
    stored = plain.to_state()
    del stored["decoder"]["copies"]
    assert ModelSpec.from_state(stored) == plain
    names = {name for name, _ in model_of(with_copying(plain)).named_parameters()}
    added = names - {name for name, _ in model_of(plain).named_parameters()}
    assert added == {"decoder.copy_gate.gate_weight", "decoder.copy_gate.gate_bias"}


@pytest.mark.parametrize(
    ("flags", "sizes", "complaint"),
    [
        ({"attention": "none"}, SIZES, "a decoder with attention"),
        ({}, DataSizes((), SIZES.tgt, src_vector_size=3), "source words"),
        ({"encoder_type": "pdbrnn"}, SIZES, "one memory position per source word"),
    ],
)
def test_what_cannot_copy(flags: dict[str, str], sizes: DataSizes, complaint: str) -> None:
    options = Seq2SeqModelOptions(rnn_size=6, **flags)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=f"^-copy_attn needs {complaint}"):
        with_copying(spec_from_options(options, sizes))
