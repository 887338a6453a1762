"""Dropout and residual connections in stacks of recurrent layers, checked cell by cell."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from onmt.modules.noise import Noise
from onmt.modules.rnn import RecurrentLayer, RecurrentStack, StackMasks
from onmt.spec.layers import CellSpec, StackSpec

STEPS, BATCH, WIDTH, LAYERS = 4, 3, 6, 3

Residual = Literal["none", "lower", "add", "mean", "concat"]


def stack_of(residual: Residual = "none", dense: bool = False, variational: bool = False) -> RecurrentStack:
    spec = StackSpec(
        cell=CellSpec(kind="gru_reset_before"),
        layers=LAYERS,
        hidden_size=WIDTH,
        input_dropout=0.3,
        layer_dropout=0.4,
        recurrent_dropout=0.2,
        output_dropout=0.5,
        variational=variational,
        residual=residual,
        residual_dense=dense,
    )
    stack = RecurrentStack(spec, WIDTH).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(2)
    for parameter in stack.parameters():
        parameter.uniform_(-0.7, 0.7, generator=generator)
    return stack


def masks_of(stack: RecurrentStack) -> StackMasks:
    masks = stack.draw_masks(Noise(torch.Generator().manual_seed(3)), STEPS, BATCH)
    assert masks is not None
    return masks


def joined(residual: Residual, output: Tensor, dropped: Tensor, earlier: list[Tensor], top: bool) -> Tensor:
    if residual == "lower":
        return output if top else output + dropped
    if residual == "concat":
        return torch.cat([output, *earlier], dim=-1)
    shares = {"none": 0.0, "add": 1.0, "mean": 1 / len(earlier)}
    return output + shares[residual] * sum(earlier)


def one_step(
    stack: RecurrentStack, x: Tensor, states: list[Tensor], masks: StackMasks, t: int
) -> tuple[Tensor, list[Tensor]]:
    """Return the stack's output and states after a step, computed cell by cell with the masks of step t."""
    earlier, following = [x], []
    for index, layer in enumerate(stack.layers):
        assert isinstance(layer, RecurrentLayer)
        kept, recurrent, after = masks.inputs[index], masks.recurrent[index], masks.outputs[index]
        assert kept is not None
        assert recurrent is not None
        assert after is not None
        [state] = layer.step(earlier[-1] * kept[t], (states[index],), recurrent[t])
        following.append(state)
        inputs = earlier if stack.spec.residual_dense else earlier[-1:]
        top = index == LAYERS - 1
        earlier.append(joined(stack.spec.residual, state * after[t], earlier[-1] * kept[t], inputs, top))
    return earlier[-1], following


@pytest.mark.parametrize(
    ("residual", "dense"),
    [
        ("none", False),
        ("lower", False),
        *((kind, dense) for kind in ("add", "mean", "concat") for dense in (False, True)),
    ],
)
def test_every_layer_drops_its_own_and_keeps_its_state(residual: Residual, dense: bool) -> None:
    stack = stack_of(residual, dense)
    masks = masks_of(stack)
    inputs = torch.randn(STEPS, BATCH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    together, final = stack(inputs, stack.zero_states(BATCH), None, masks)
    by_cell, stepped = list(stack.zero_states(BATCH)), stack.zero_states(BATCH)
    for t, x in enumerate(inputs):
        expected, by_cell = one_step(stack, x, by_cell, masks, t)
        output, stepped = stack.step(x, stepped, masks.at(t))
        torch.testing.assert_close(output, expected)
        torch.testing.assert_close(together[t], expected)
    for state, other, wanted in zip(final, stepped, by_cell, strict=True):
        torch.testing.assert_close(state, wanted)
        torch.testing.assert_close(other, wanted)


@pytest.mark.parametrize("residual", ["none", "lower", "add", "mean", "concat"])
def test_a_sentence_ends_where_its_words_end(residual: Residual) -> None:
    stack = stack_of(residual)
    inputs = torch.randn(STEPS, BATCH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    lengths = torch.tensor([2, 4, 1])
    outputs, _ = stack(inputs, stack.zero_states(BATCH), lengths, None)
    for row, length in enumerate(lengths.tolist()):
        alone, _ = stack(inputs[:length, row : row + 1], stack.zero_states(1), None, None)
        torch.testing.assert_close(outputs[:length, row], alone[:, 0])
        assert not outputs[length:, row].any()


def test_masks_of_each_layer() -> None:
    spec = stack_of().spec
    for variational, length in ((False, STEPS), (True, 1)):
        masks = masks_of(stack_of(variational=variational))
        shares = (
            (masks.inputs, [spec.input_dropout, spec.layer_dropout, spec.layer_dropout]),
            (masks.recurrent, [spec.recurrent_dropout] * LAYERS),
            (masks.outputs, [spec.output_dropout] * LAYERS),
        )
        for of_layers, dropped in shares:
            for mask, share in zip(of_layers, dropped, strict=True):
                assert mask is not None
                assert len(mask) == length
                assert set(mask.flatten().tolist()) == {0.0, 1 / (1 - share)}
                assert all(not torch.equal(mask[0], other) for other in mask[1:])
