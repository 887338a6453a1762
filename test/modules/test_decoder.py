"""The training pass over gold words against the decoder's single steps, with the same dropout masks."""

from typing import Any

import pytest
import torch

from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes
from onmt.models.networks import Seq2Seq, build_model
from onmt.modules.noise import Noise, TrainingStep

CELL: dict[str, Any] = {
    "cell_params": {"num_units": 6},
    "num_layers": 2,
    "dropout_input_keep_prob": 0.6,
    "dropout_output_keep_prob": 0.7,
}


def training() -> TrainingStep:
    return TrainingStep(Noise(torch.Generator().manual_seed(6)))


@pytest.mark.parametrize("name", ["BasicSeq2Seq", "AttentionSeq2Seq"])  # all steps at once; step by step
def test_each_step_has_its_own_dropout(name: str) -> None:
    params = {"embedding.dim": 5, **{f"{part}.params": {"rnn_cell": CELL} for part in ("encoder", "decoder")}}
    model = build_model(spec_of(read_model(name, params), DataSizes((9,), (9,))))
    model.initialise(0.1, torch.Generator().manual_seed(5))
    assert isinstance(model, Seq2Seq)
    tokens = torch.tensor([[2, 4, 5, 6], [2, 7, 8, 4]])[..., None]
    with torch.no_grad():
        encoding = model.encode(torch.tensor([[4, 5, 6], [7, 8, 0]])[..., None], torch.tensor([3, 2]))
        states = model.bridge(encoding.states)
        outputs = model.decoder(tokens, encoding, states, training())
        assert not torch.allclose(outputs, model.decoder(tokens, encoding, states, None))
        masks = model.decoder.draw_masks(training().noise, 4, 2)
        state = model.decoder.start(encoding, states)
        for t in range(4):
            output, _, state, *_ = model.decoder.step(tokens[:, t], state, masks.at(t))
            torch.testing.assert_close(outputs[:, t], output)
