"""A step of each LSTM variant against numpy, and sequences of the cells that have no kernel."""

import itertools

import numpy as np
import pytest
import torch
from recurrent_checks import check_as_if_alone
from torch import Tensor

from onmt.modules.noise import Noise
from onmt.modules.rnn import RecurrentLayer, RecurrentStack, clipped, lstm_step
from onmt.spec.layers import CellSpec, StackSpec

STEPS, BATCH, INPUT, HIDDEN, OUTPUT = 5, 3, 4, 3, 2

FUNCTIONS = {
    "identity": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.where(x > 0, x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
CELLS = {
    "peepholes": CellSpec(peepholes=True),
    "clipped": CellSpec(cell_clip=0.3),
    "projected": CellSpec(projection=OUTPUT),
    "projected, clipped": CellSpec(projection=OUTPUT, projection_clip=0.2),
    "all at once": CellSpec(
        forget_bias=0.5,
        single_bias=True,
        activation="sigmoid",
        peepholes=True,
        cell_clip=0.6,
        projection=OUTPUT,
        projection_clip=0.3,
    ),
    "lstm relu": CellSpec(activation="relu"),
    "gru relu": CellSpec(kind="gru", activation="relu"),
    "gru_reset_before identity": CellSpec(kind="gru_reset_before", activation="identity"),
    "plain sigmoid": CellSpec(kind="tanh", activation="sigmoid"),
}


@pytest.mark.parametrize(
    ("activation", "peepholes", "cell_clip", "projected", "projection_clip"),
    list(itertools.product(FUNCTIONS, [False, True], [0.0, 0.2], [False, True], [0.0, 0.1])),
)
def test_the_formulas(
    activation: str, peepholes: bool, cell_clip: float, projected: bool, projection_clip: float
) -> None:
    draw = np.random.default_rng(1)
    gates, c = draw.normal(size=(BATCH, 4 * HIDDEN)), 2 * draw.normal(size=(BATCH, HIDDEN))
    weights, projection = draw.normal(size=(3, HIDDEN)), draw.normal(size=(OUTPUT, HIDDEN))
    sigmoid, act = FUNCTIONS["sigmoid"], FUNCTIONS[activation]
    i, f, g, o = np.split(gates, 4, axis=1)
    seen = weights if peepholes else np.zeros_like(weights)
    new_c = sigmoid(f + seen[1] * c) * c + sigmoid(i + seen[0] * c) * act(g)
    if cell_clip:
        assert (abs(new_c) > cell_clip).any()
        new_c = np.clip(new_c, -cell_clip, cell_clip)
    h = sigmoid(o + seen[2] * new_c) * act(new_c)
    if projected:
        h = h @ projection.T
        if projection_clip:
            assert (abs(h) > projection_clip).any()
            h = np.clip(h, -projection_clip, projection_clip)
    cell = CellSpec(
        activation=activation,  # type: ignore[arg-type]
        peepholes=peepholes,
        cell_clip=cell_clip,
        projection=OUTPUT if projected else 0,
        projection_clip=projection_clip,
    )
    computed = lstm_step(
        cell,
        torch.from_numpy(gates),
        torch.from_numpy(c),
        torch.from_numpy(weights) if peepholes else None,
        torch.from_numpy(projection) if projected else None,
    )
    np.testing.assert_allclose(computed[0], new_c, rtol=1e-12)
    np.testing.assert_allclose(computed[1], h, rtol=1e-12)


def test_clipping() -> None:
    values = torch.tensor([-3.0, 0.5, 3.0])
    assert clipped(values, 0.0) is values
    assert clipped(values, 1.5).tolist() == [-1.5, 0.5, 1.5]
    for kind in (torch.float16, torch.bfloat16, torch.float32):
        assert clipped(values.to(kind), 1e300).tolist() == [-3.0, 0.5, 3.0]


def case(cell: CellSpec) -> tuple[RecurrentLayer, Tensor, tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(3)
    layer = RecurrentLayer(cell, INPUT, HIDDEN).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.7, 0.7, generator=generator)
    inputs = torch.randn(STEPS, BATCH, INPUT, dtype=torch.float64, generator=generator, requires_grad=True)
    states = tuple(
        torch.randn(state.shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for state in layer.zero_states(BATCH)
    )
    return layer, inputs, states


@pytest.mark.parametrize("name", CELLS)
def test_a_sequence_is_step_after_step(name: str) -> None:
    layer, inputs, states = case(CELLS[name])
    outputs, final = layer(inputs, states, None)
    for part, output in zip(inputs, outputs, strict=True):
        states = layer.step(part, states)
        torch.testing.assert_close(output, states[-1])
    for state, wanted in zip(final, states, strict=True):
        torch.testing.assert_close(state, wanted)


@pytest.mark.parametrize("name", CELLS)
def test_a_sentence_is_computed_as_if_alone(name: str) -> None:
    layer, inputs, states = case(CELLS[name])
    lengths = torch.tensor([5, 2, 3])
    check_as_if_alone(layer, inputs, states, lengths)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_in_float64(name: str) -> None:
    layer, inputs, states = case(CELLS[name])
    lengths = torch.tensor([3, 1, 2])
    mask = torch.tensor([0.0, 2.0], dtype=torch.float64).repeat(3)[: layer.output_size].expand(1, BATCH, -1)

    def run(sequence: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        count = layer.cell.states
        names = [name for name, _ in layer.named_parameters()]
        outputs, final = torch.func.functional_call(
            layer, dict(zip(names, others[count:], strict=True)), (sequence, others[:count], lengths, mask)
        )
        return (outputs, *final)

    variables = (inputs[:3].detach().requires_grad_(), *states, *layer.parameters())
    assert torch.autograd.gradcheck(run, variables)


def test_dropout_masks_have_the_width_of_what_they_drop() -> None:
    spec = StackSpec(
        cell=CellSpec(projection=OUTPUT),
        layers=2,
        hidden_size=HIDDEN,
        layer_dropout=0.5,
        recurrent_dropout=0.5,
        output_dropout=0.5,
    )
    stack = RecurrentStack(spec, INPUT)
    masks = stack.draw_masks(Noise(torch.Generator().manual_seed(1)), STEPS, BATCH)
    assert masks is not None
    found = [
        mask.shape[-1] for mask in (masks.inputs[1], *masks.recurrent, *masks.outputs) if mask is not None
    ]
    assert found == [OUTPUT] * 5
    outputs, states = stack(torch.ones(STEPS, BATCH, INPUT), stack.zero_states(BATCH), None, masks)
    assert outputs.shape == (STEPS, BATCH, OUTPUT)
    assert [state.shape[-1] for state in states] == [HIDDEN, OUTPUT] * 2
