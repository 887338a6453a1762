"""GPU kernels, on stand-ins for CUDA's operations, give the CPU's results."""

from typing import Any

import pytest
import torch
from device_operations import STAND_INS
from pretended_gpu import pretended_gpu
from pretended_tensors import GpuTensor, host_of
from torch import Tensor

from onmt.kernels.cells import STEPS
from onmt.kernels.fused_cells import FusedGruSteps, FusedLstmSteps, steps_of
from onmt.kernels.recurrent import pack
from onmt.modules.rnn import RecurrentLayer
from onmt.spec.layers import CellSpec

STEPS_, BATCH, INPUT, HIDDEN = 6, 4, 5, 7
LENGTHS = torch.tensor([3, 6, 1, 4])


def on_gpu(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cuda").requires_grad_(tensor.requires_grad)


def layer_of(kind: str, forget_bias: float = 0.0) -> RecurrentLayer:
    layer = RecurrentLayer(CellSpec(kind=kind, forget_bias=forget_bias), INPUT, HIDDEN).double()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)
    return layer


def run(layer: RecurrentLayer, device: str, mask: Tensor | None, *, uneven: bool) -> list[Tensor]:
    """Return outputs, last states and all gradients of a layer on a device, as CPU tensors."""
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(STEPS_, BATCH, INPUT, generator=generator, dtype=torch.float64)
    states = [
        torch.randn(BATCH, HIDDEN, generator=generator, dtype=torch.float64) for _ in range(layer.cell.states)
    ]
    leaves = [tensor.to(device).requires_grad_() for tensor in (inputs, *states)]
    lengths = LENGTHS.to(device) if uneven else None
    packing = None if lengths is None else pack(lengths, LENGTHS, STEPS_)
    recurrent_mask = None if mask is None else mask.to(device)
    outputs, final = layer(leaves[0], tuple(leaves[1:]), lengths, recurrent_mask, packing)
    (outputs.square().sum() + sum(state.sum() for state in final)).backward()
    grads = [part.grad for part in (*leaves, *layer.parameters())]
    return [host_of(tensor) for tensor in (outputs, *final, *grads) if tensor is not None]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize(
    ("kind", "forget_bias"), [("lstm", 0.0), ("lstm", 1.0), ("gru", 0.0), ("gru_reset_before", 0.0)]
)
def test_a_layer_computes_what_it_computes_on_the_cpu(
    kind: str, uneven: bool, masked: bool, forget_bias: float
) -> None:
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(STEPS_, BATCH, HIDDEN, generator=generator, dtype=torch.float64) if masked else None
    expected = run(layer_of(kind, forget_bias), "cpu", mask, uneven=uneven)
    with pretended_gpu() as session:
        found = run(layer_of(kind, forget_bias).to("cuda"), "cuda", mask, uneven=uneven)
        assert session.ledger.count("loose weights") == 0
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_uneven_sentences_are_one_call_of_cudnn() -> None:
    with pretended_gpu() as session:
        run(layer_of("lstm").to("cuda"), "cuda", None, uneven=True)
        assert session.ledger.operations("launch")["cudnn forward"] == 1


def test_nothing_is_packed_where_that_gains_nothing() -> None:
    assert pack(LENGTHS, LENGTHS, STEPS_) is None
    with pretended_gpu():
        lengths = LENGTHS.to("cuda")
        assert pack(lengths, None, STEPS_) is None
        assert pack(lengths, torch.tensor([0, 6, 1, 4]), STEPS_) is None
        packing = pack(lengths, LENGTHS, STEPS_)
        assert packing is not None
        assert packing.batch_sizes.tolist() == [4, 3, 3, 2, 1, 1]
        assert host_of(packing.order).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize(("kind", "gates", "fused"), [("lstm", 4, FusedLstmSteps), ("gru", 3, FusedGruSteps)])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_fused_steps_and_plain_ones_agree(
    kind: str, gates: int, fused: type, dtype: torch.dtype | None
) -> None:
    generator = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    projected, weight = draw(3, BATCH, gates * HIDDEN), draw(gates * HIDDEN, HIDDEN)
    weight = weight if dtype is None else weight.to(dtype)
    bias = draw(gates * HIDDEN) if kind == "gru" else None
    states = tuple(draw(BATCH, HIDDEN) for _ in range(2 if kind == "lstm" else 1))
    given = draw(BATCH, HIDDEN)

    def through(cells: Any, place: Any) -> list[Tensor]:
        narrow = []
        for t in range(3):
            previous = cells.output(t)
            narrow.append(previous if dtype is None else previous.to(dtype))
            cells.forward(t, previous, narrow[-1], None)
        cells.start_backward(
            cells.all_outputs()[:-1], None, tuple(torch.zeros_like(s) for s in cells.states())
        )
        grad = place(given)
        for t in (2, 1, 0):
            grad = cells.backward(t, grad)
        weight_grads = [part for part in cells.weight_grads(torch.stack(narrow)) if part is not None]
        results = [cells.all_outputs(), *cells.states(), grad, cells.input_grads, *weight_grads]
        return [host_of(result) for result in [*results, *cells.state_grads()]]

    expected = through(STEPS[kind](projected.clone(), weight, bias, states), lambda tensor: tensor)
    with pretended_gpu():
        moved = (projected.to("cuda"), weight.to("cuda"), None if bias is None else bias.to("cuda"))
        cells = steps_of(kind, *moved, tuple(state.to("cuda") for state in states))
        assert type(cells) is fused
        found = through(cells, lambda tensor: tensor.to("cuda"))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=1e-5 if dtype is None else 2e-2, atol=1e-5 if dtype is None else 2e-2
        )


def test_stand_ins_have_the_names_and_arguments_of_torchs_operations() -> None:
    for name in STAND_INS:
        assert hasattr(torch.ops.aten, name.removeprefix("aten::")), name


def test_weights_stay_themselves_when_they_move_into_one_chunk() -> None:
    plain = layer_of("gru")
    with pretended_gpu():
        moved = layer_of("gru").to("cuda")
        for name, part in moved.named_parameters():
            assert isinstance(part, GpuTensor)
            torch.testing.assert_close(host_of(part), dict(plain.named_parameters())[name].detach())
