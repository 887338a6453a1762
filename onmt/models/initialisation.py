"""How google/seq2seq's parameters start: by kind of layer, not all alike."""

import torch
from torch import Tensor, nn

from onmt.models.spec import InitialisationSpec
from onmt.modules.embeddings import Embeddings
from onmt.modules.encoders.inception import BatchNormalisation
from onmt.modules.rnn import RecurrentLayer


def initialise_like_tensorflow(
    model: nn.Module, spec: InitialisationSpec, generator: torch.Generator
) -> None:
    """Draw all parameters of a sequence-to-sequence model.

    Tables, recurrent kernels and the attention's score vector: uniform within the bound of their part.
    Everything that is a dense layer or a convolution in the original: Xavier's rule, U(-x, x) with x = sqrt(6
    / (inputs + outputs)). Biases: zero, but one in the gates of a GRU.
    """
    with torch.no_grad():
        for name, module in model.named_modules():
            in_encoder = name.startswith("encoder")
            bound = spec.encoder if in_encoder else spec.decoder
            if isinstance(module, Embeddings):
                module.words.uniform_(-spec.embeddings, spec.embeddings, generator=generator)
            elif isinstance(module, RecurrentLayer):
                _initialise_cell(module, bound, generator)
            elif isinstance(module, BatchNormalisation):
                module.reset()
            else:
                for part, parameter in module.named_parameters(recurse=False):
                    if part == "score_weight":
                        parameter.uniform_(-bound, bound, generator=generator)
                    elif parameter.dim() > 1:
                        _xavier(parameter, generator)
                    else:
                        parameter.zero_()


def _initialise_cell(layer: RecurrentLayer, bound: float, generator: torch.Generator) -> None:
    for weight in (layer.weight_ih, layer.weight_hh, layer.peepholes, layer.projection):
        if weight is not None:
            weight.uniform_(-bound, bound, generator=generator)
    layer.bias_hh.zero_()
    layer.bias_ih.zero_()
    if layer.cell.kind in ("gru", "gru_reset_before"):
        layer.bias_ih[: 2 * layer.hidden_size] = 1.0


def _xavier(weight: Tensor, generator: torch.Generator) -> None:
    outputs, inputs = weight.shape[:2]
    window = weight[0, 0].numel()
    bound = (6 / (window * (inputs + outputs))) ** 0.5
    weight.uniform_(-bound, bound, generator=generator)
