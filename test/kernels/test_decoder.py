"""The hand-derived decoder equals the plain loop over its steps, in values and in gradients."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from onmt.kernels.products import Products, multiply_with
from onmt.modules.decoder import Decoder
from onmt.modules.embeddings import Embeddings
from onmt.modules.encoding import Encoding, padding_mask
from onmt.modules.noise import Noise
from onmt.spec.layers import CellSpec, StackSpec
from onmt.spec.model import AttentionSpec, DecoderSpec, EmbeddingSpec, TableSpec

STEPS, BATCH, SOURCE, HIDDEN, WORD = 4, 3, 5, 6, 4
CELLS = ("lstm", "gru", "gru_reset_before")
SCORES = ("general", "dot", "concat", "bahdanau", "projected_dot", "last", "none")
DROPOUT: dict[str, Any] = {
    "input_dropout": 0.3,
    "layer_dropout": 0.3,
    "recurrent_dropout": 0.2,
    "output_dropout": 0.2,
}


def decoder_of(spec: DecoderSpec, dtype: torch.dtype = torch.float64) -> Decoder:
    decoder = Decoder(spec, HIDDEN, HIDDEN, Embeddings(spec.embedding)).to(dtype)
    generator = torch.Generator().manual_seed(1)
    for parameter in decoder.parameters():
        torch.nn.init.uniform_(parameter, -0.6, 0.6, generator=generator)
    return decoder


def spec_of(cell: str = "lstm", layers: int = 2, word: int = WORD, **others: Any) -> DecoderSpec:
    fields = {name: others.pop(name) for name in list(others) if name in StackSpec.__dataclass_fields__}
    kind = CellSpec(kind=cell)  # type: ignore[arg-type]
    return DecoderSpec(
        embedding=EmbeddingSpec(tables=(TableSpec(size=9, dim=word),)),
        stack=StackSpec(cell=kind, layers=layers, hidden_size=HIDDEN, **fields),
        **others,
    )


def check(spec: DecoderSpec, dtype: torch.dtype = torch.float64, tolerance: float = 1e-9) -> None:
    """Check that kernel and plain loop give the same outputs and gradients under the same masks."""
    decoder = decoder_of(spec, dtype)
    assert decoder.stack.has_kernel
    torch.manual_seed(2)
    memory = torch.randn(BATCH, SOURCE, HIDDEN, dtype=dtype, requires_grad=True)
    lengths = torch.tensor([5, 2, 3])
    states = tuple(
        torch.randn(BATCH, width, dtype=dtype, requires_grad=True) for width in spec.stack.state_widths
    )
    encoding = Encoding(memory, lengths, padding_mask(lengths, SOURCE), states)
    words = torch.randint(4, 9, (STEPS, BATCH, 1))
    masks = decoder.draw_masks(Noise(torch.Generator().manual_seed(3)), STEPS, BATCH)
    variables = [memory, *states, *(p for p in decoder.parameters())]
    weights = torch.randn(BATCH, STEPS, decoder.output_size, dtype=dtype)

    def run(plain: bool) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        embedded, state = decoder.embeddings(words), decoder.start(encoding, states)
        forward = decoder.forward_plain if plain else decoder.forward_kernel
        outputs = forward(embedded, state, masks)
        return outputs, torch.autograd.grad((outputs * weights).sum(), variables, allow_unused=True)

    outputs, grads = run(plain=False)
    expected, expected_grads = run(plain=True)
    torch.testing.assert_close(outputs, expected, rtol=tolerance, atol=tolerance)
    names = ["memory", *map(str, range(len(states))), *(name for name, _ in decoder.named_parameters())]
    for name, grad, other in zip(names, grads, expected_grads, strict=True):
        if other is None or grad is None:
            assert grad is None or not grad.any(), name
            assert other is None or not other.any(), name
            continue
        torch.testing.assert_close(
            grad, other, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize(("cell", "score"), list(itertools.product(CELLS, SCORES)))
def test_every_cell_and_attention(cell: str, score: str) -> None:
    check(spec_of(cell, attention=AttentionSpec(score=score, units=5), **DROPOUT))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("residual", "dense", "word", "layers"),
    [
        *itertools.product(["none", "lower"], [False], [WORD, 2], [1, 3, 4]),
        *itertools.product(["add", "mean"], [False, True], [WORD, 2], [1, 2, 3]),
    ],
)
@pytest.mark.parametrize("variational", [False, True])
def test_every_residual_connection(
    residual: str, dense: bool, word: int, layers: int, variational: bool
) -> None:
    spec = spec_of("lstm", layers, word, residual=residual, residual_dense=dense, **DROPOUT)
    check(replace(spec, stack=replace(spec.stack, variational=variational), output_dropout=0.3))


@pytest.mark.parametrize(("residual", "word"), [("none", 4), ("lower", 3), ("concat", 4), ("mean", 5)])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("mix", ["tanh", "tanh_bias", "identity"])
def test_the_context_is_fed(residual: str, word: int, dense: bool, mix: str) -> None:
    attention = AttentionSpec(score="bahdanau", units=5)
    check(
        spec_of(
            "gru",
            2,
            word,
            residual=residual,
            residual_dense=dense,
            feed="context",
            mix=mix,
            attention=attention,
        )
    )


@pytest.mark.parametrize("mix", ["tanh_bias", "identity"])
@pytest.mark.parametrize("score", ["general", "none", "last"])
def test_the_output_is_fed(mix: str, score: str) -> None:
    check(spec_of("lstm", 1, mix=mix, attention=AttentionSpec(score=score)))  # type: ignore[arg-type]


def test_an_input_as_wide_as_the_layers_joins_the_first_output() -> None:
    check(spec_of("lstm", 2, 6, residual="lower", **DROPOUT), torch.float32, 1e-5)
    narrow_word = spec_of("gru", 3, HIDDEN, residual="lower", **DROPOUT)
    decoder = decoder_of(narrow_word)
    assert not decoder.stack.joins_input(0)
    assert decoder.stack.joins_input(1)


@pytest.mark.parametrize("cell", CELLS)
def test_float32(cell: str) -> None:
    check(spec_of(cell, **DROPOUT), torch.float32, 1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_narrow_products_stay_close(cell: str) -> None:
    decoder = decoder_of(spec_of(cell, attention=AttentionSpec(score="concat")), torch.float32)
    torch.manual_seed(2)
    memory = torch.randn(BATCH, SOURCE, HIDDEN)
    states = tuple(torch.randn(BATCH, width) for width in decoder.spec.stack.state_widths)
    encoding = Encoding(memory, torch.tensor([5, 5, 5]), None, states)
    words = torch.randint(4, 9, (STEPS, BATCH, 1))
    results = []
    for dtype in (None, torch.bfloat16):
        multiply_with(decoder, Products(dtype))
        outputs = decoder.forward_kernel(
            decoder.embeddings(words), decoder.start(encoding, states), decoder.draw_masks(None, STEPS, BATCH)
        )
        decoder.zero_grad()
        outputs.square().sum().backward()
        grads = [p.grad for p in decoder.parameters() if p.grad is not None]
        assert outputs.dtype == torch.float32
        assert all(grad.dtype == torch.float32 for grad in grads)
        results.append([outputs.detach(), *grads])
    assert not torch.equal(results[0][0], results[1][0])
    for exact, narrow in zip(*results, strict=True):
        assert (exact - narrow).norm() <= 0.03 * exact.norm() + 1e-6
