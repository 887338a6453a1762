"""Initial parameters of google/seq2seq's models: within their part's bound, by Xavier's rule, or fixed."""

import torch
from torch import Tensor

from onmt.google.model import read_model, spec_of
from onmt.models.lua import DataSizes
from onmt.models.networks import build_model

PARAMS = {
    "embedding.dim": 12,
    "embedding.init_scale": 0.6,
    "attention.params": {"num_units": 30},
    "encoder.class": "ConvEncoder",
    "encoder.params": {"attention_cnn.units": 10, "attention_cnn.layers": 2, "output_cnn.units": 14},
    "decoder.params": {
        "rnn_cell": {"cell_class": "GRUCell", "cell_params": {"num_units": 9}},
        "init_scale": 0.3,
    },
}


def parameters() -> dict[str, Tensor]:
    model = build_model(spec_of(read_model("AttentionSeq2Seq", PARAMS), DataSizes((40,), (50,))))
    model.initialise(0.1, torch.Generator().manual_seed(1))
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def test_every_kind_of_layer_has_its_bound() -> None:
    found = parameters()
    bounds = {
        "source.words": 0.6,
        "decoder.embeddings.words": 0.6,
        "decoder.stack.layers.0.weight_ih": 0.3,
        "decoder.stack.layers.0.weight_hh": 0.3,
        "decoder.attention.score_weight": 0.3,
        "decoder.attention.project_key.weight": (6 / (10 + 30)) ** 0.5,
        "decoder.attention.project_query.weight": (6 / (9 + 30)) ** 0.5,
        "decoder.mix_weight": (6 / (9 + 14 + 9)) ** 0.5,
        "generator.weights.0": (6 / (9 + 50)) ** 0.5,
        "encoder.keys.weights.0": (6 / (3 * 12 + 3 * 10)) ** 0.5,  # a kernel of three positions
        "encoder.keys.weights.1": (6 / (3 * 10 + 3 * 10)) ** 0.5,
        "encoder.values.weights.0": (6 / (3 * 12 + 3 * 14)) ** 0.5,
    }
    for name, bound in bounds.items():
        assert 0.85 * bound < float(found[name].abs().max()) <= bound, name


def test_biases_are_zero_but_in_the_gates_of_a_gru() -> None:
    found = parameters()
    assert found.pop("decoder.stack.layers.0.bias_ih").tolist() == [1.0] * 18 + [0.0] * 9
    biases = [tensor for name, tensor in found.items() if "bias" in name]
    assert len(biases) == 2 + 5 + 4  # convolutions of keys and values; projections, mixture and generator
    assert not any(tensor.any() for tensor in biases)
