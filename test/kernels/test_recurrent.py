"""The hand-derived recurrent sequences equal the step-by-step loop, in values and in gradients."""

import itertools

import pytest
import torch
from recurrent_checks import check_as_if_alone
from torch import Tensor

from onmt.modules.rnn import RecurrentLayer, running
from onmt.spec.layers import CellSpec

STEPS, BATCH, INPUT, HIDDEN = 5, 3, 4, 2


def layer_of(kind: str) -> RecurrentLayer:
    torch.manual_seed(1)
    layer = RecurrentLayer(CellSpec(kind=kind), INPUT, HIDDEN).double()  # type: ignore[arg-type]
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.7, 0.7)
    return layer


def case(
    kind: str, uneven: bool, masked: str
) -> tuple[RecurrentLayer, Tensor, tuple[Tensor, ...], Tensor | None, Tensor | None]:
    layer = layer_of(kind)
    inputs = torch.randn(STEPS, BATCH, INPUT, dtype=torch.float64, requires_grad=True)
    states = tuple(
        torch.randn(BATCH, HIDDEN, dtype=torch.float64, requires_grad=True) for _ in range(layer.cell.states)
    )
    lengths = torch.tensor([5, 2, 3]) if uneven else None
    rows = {"none": 0, "one": 1, "each": STEPS}[masked]
    mask = (
        torch.bernoulli(torch.full((rows, BATCH, HIDDEN), 0.6, dtype=torch.float64)) / 0.6 if rows else None
    )
    return layer, inputs, states, lengths, mask


@pytest.mark.parametrize(
    ("kind", "uneven", "masked"),
    list(itertools.product(["lstm", "gru", "gru_reset_before"], [False, True], ["none", "one", "each"])),
)
def test_sequence_equals_plain_loop(kind: str, uneven: bool, masked: str) -> None:
    layer, inputs, states, lengths, mask = case(kind, uneven, masked)
    variables = [inputs, *states, *layer.parameters()]
    keep = None if lengths is None else running(lengths, STEPS, inputs.dtype)

    outputs, final = layer(inputs, states, lengths, mask)
    projected = torch.nn.functional.linear(inputs, layer.weight_ih, layer.bias_ih)
    plain, plain_final = layer.forward_plain(projected, states, keep, mask)
    plain = plain if keep is None else plain * keep

    weights = torch.randn_like(outputs)
    total = (outputs * weights).sum() + sum(state.square().sum() for state in final)
    plain_total = (plain * weights).sum() + sum(state.square().sum() for state in plain_final)
    torch.testing.assert_close(outputs, plain)
    for fast, slow in zip(final, plain_final, strict=True):
        torch.testing.assert_close(fast, slow)
    for fast, slow in zip(
        torch.autograd.grad(total, variables), torch.autograd.grad(plain_total, variables), strict=True
    ):
        torch.testing.assert_close(fast, slow)


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru_reset_before"])
def test_gradients_in_float64(kind: str) -> None:
    layer, inputs, states, lengths, mask = case(kind, uneven=True, masked="each")

    def run(sequence: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        count = layer.cell.states
        names = [name for name, _ in layer.named_parameters()]
        outputs, final = torch.func.functional_call(
            layer, dict(zip(names, others[count:], strict=True)), (sequence, others[:count], lengths, mask)
        )
        return (outputs, *final)

    assert torch.autograd.gradcheck(run, (inputs, *states, *layer.parameters()))


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru_reset_before", "tanh"])
def test_a_sentence_is_computed_as_if_alone(kind: str) -> None:
    layer, inputs, states, lengths, _ = case(kind, uneven=True, masked="none")
    assert lengths is not None
    check_as_if_alone(layer, inputs, states, lengths)
