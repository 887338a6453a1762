"""onmt/models/loading.py: weights come back; a spec that is too large for them allocates no memory."""

from dataclasses import replace

import pytest
import torch

from onmt.errors import CheckpointError
from onmt.models.base import stored_tensors
from onmt.models.loading import restore_model
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import build_model
from onmt.models.options import Seq2SeqModelOptions

SPEC = spec_from_options(Seq2SeqModelOptions(rnn_size=4, word_vec_size=4, layers=1), DataSizes((9,), (9,)))


def weights() -> dict[str, torch.Tensor]:
    return {name: torch.ones_like(tensor) for name, tensor in stored_tensors(build_model(SPEC)).items()}


def test_weights_come_back() -> None:
    model = restore_model(SPEC, weights(), "m.pt")
    assert all((parameter == 1).all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layers": 10**9}, "has 1000000000 layers, but"),
        ({"hidden_size": 10**7}, "no model can be built"),
    ],
)
def test_a_description_too_large_for_its_weights(change: dict[str, int], told: str) -> None:
    assert SPEC.decoder is not None
    decoder = replace(SPEC.decoder, stack=replace(SPEC.decoder.stack, **change))
    with pytest.raises(CheckpointError, match=f"m.pt: .*{told}"):
        restore_model(replace(SPEC, decoder=decoder), weights(), "m.pt")


def test_a_vocabulary_too_large_for_its_weights() -> None:
    with pytest.raises(CheckpointError, match="but the file"):
        restore_model(replace(SPEC, outputs=(10**12,)), weights(), "m.pt")


def test_a_weight_that_repeats_one_number() -> None:
    found = weights()
    name = "generator.weights.0"
    found[name] = torch.ones(1).expand(10**6, 10**6)
    with pytest.raises(CheckpointError, match=f"'{name}' is larger than its data"):
        restore_model(SPEC, found, "m.pt")
