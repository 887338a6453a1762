"""The base of all networks: parameters and their initial values, word dropout, the choice of the encoder."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from onmt.constants import EOS, PAD
from onmt.data.dataset import Batch
from onmt.data.vocabulary import Vocabularies
from onmt.modules.convolutional_encoders import ConvolutionalEncoder, PoolingEncoder, TwinConvolutionalEncoder
from onmt.modules.decoder import DecoderState
from onmt.modules.embeddings import Embeddings
from onmt.modules.generator import Loss, Transitions
from onmt.modules.inception_encoder import BatchNormalisation, InceptionEncoder
from onmt.modules.noise import TrainingStep
from onmt.modules.recurrent_encoders import PyramidalEncoder, RecurrentEncoder
from onmt.modules.rnn import RecurrentLayer
from onmt.spec.layers import (
    ConvolutionalEncoderSpec,
    EncoderSpec,
    InceptionEncoderSpec,
    PoolingEncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    TwinConvolutionalEncoderSpec,
)
from onmt.spec.model import InitialisationSpec, ModelSpec, PolicySpec


def initialise_like_tensorflow(
    model: nn.Module, spec: InitialisationSpec, generator: torch.Generator
) -> None:
    """Draw all parameters of a sequence-to-sequence model as google/seq2seq does.

    Embedding tables, recurrent kernels and the vectors of attention scores, coverage and copying: uniform
    within the bound of their part. Parameters that are a dense layer or a convolution in the original:
    Xavier's rule, U(-x, x) with x = sqrt(6 / (inputs + outputs)); a convolution counts inputs and outputs
    once per position of its window. Biases: zero, except for one in the gates of a GRU.
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
                    if part in ("score_weight", "coverage_weight", "gate_weight"):
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


class Step(NamedTuple):
    """One step of a search. log_probs: R V per output (words, then features); attention: R S, None without
    attention; copying: R, the probability of copying a word, None if the model cannot copy.
    """

    log_probs: tuple[Tensor, ...]
    attention: Tensor | None
    state: DecoderState
    copying: Tensor | None = None

    def expand(self, beam: int) -> "Step":
        """Repeat every row `beam` times: from R to R x beam rows."""
        attention = self.attention
        return Step(
            tuple(scores.repeat_interleave(beam, dim=0) for scores in self.log_probs),
            None if attention is None else attention.repeat_interleave(beam, dim=0),
            self.state.expand(beam),
            None if self.copying is None else self.copying.repeat_interleave(beam, dim=0),
        )


class Model(nn.Module):
    """A model that can be trained."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec

    def loss(self, batch: Batch, step: TrainingStep | None) -> Loss:
        """Return the summed loss of a batch. `step` None evaluates: no dropout, no sampling."""
        raise NotImplementedError

    def counts(self, batch: Batch) -> tuple[int, int]:
        """Return `words` and `divisor` of the loss of a batch, see `Loss`."""
        raise NotImplementedError

    def use_vocabularies(self, vocabularies: Vocabularies) -> None:
        """Give the model the words of its ids. Only a model that copies needs them."""

    def initialise(self, scale: float, generator: torch.Generator) -> None:
        """Draw all parameters from U(-scale, scale), or for scale 0 from Torch7's module defaults; then
        `settle` them.

        Torch7's defaults: U(-x, x), x = 1 / sqrt(inputs of the layer), and N(0, 1) for tables. If the spec
        has an initialisation of its own, that is used instead.
        """
        if self.spec.initialisation is not None:
            initialise_like_tensorflow(self, self.spec.initialisation, generator)
            self.settle()
            return
        with torch.no_grad():
            for module in self.modules():
                for parameter in module.parameters(recurse=False):
                    if scale > 0:
                        parameter.uniform_(-scale, scale, generator=generator)
                    elif isinstance(module, Embeddings | ConvolutionalEncoder) and parameter.dim() == 2:
                        parameter.normal_(generator=generator)
                    else:
                        bound = 1 / math.sqrt(_fan_in(module, parameter))
                        parameter.uniform_(-bound, bound, generator=generator)
        self.settle()

    def settle(self) -> None:
        """Restore the invariants of initialised parameters: zero padding rows, normalised transitions."""
        for module in self.modules():
            if isinstance(module, Embeddings | ConvolutionalEncoder):
                module.zero_padding()
            elif isinstance(module, Transitions):
                module.normalise()


def stored_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return by name the tensors of a model's file: parameters, and running statistics of normalisations."""
    found: dict[str, Tensor] = dict(module.named_parameters())
    for name, part in module.named_modules():
        if isinstance(part, BatchNormalisation):
            found |= {f"{name}.{statistic}": values for statistic, values in part.named_buffers()}
    return found


def _fan_in(module: nn.Module, parameter: Tensor) -> int:
    if parameter.dim() > 1:
        return parameter[0].numel()
    if isinstance(module, RecurrentLayer):
        weight = module.weight_ih if parameter is module.bias_ih else module.weight_hh
        return weight.shape[1]
    siblings = [sibling for sibling in module.parameters(recurse=False) if sibling.dim() > 1]
    return siblings[0][0].numel() if siblings else parameter.numel()


def drop_words(src: Tensor, probability: float, step: TrainingStep | None) -> Tensor:
    """Replace some words of src B S F (ids above the special ones) by padding, the zero vector, during
    training only.

    One coin is drawn per position and distinct word, as in OpenNMT-lua's Batch:dropoutWords; features stay.
    """
    if step is None or probability <= 0:
        return src
    words = src[..., 0]
    groups = _groups(words)
    coins = step.noise.uniform((_coins_for(groups),), words.device)[groups]
    dropped = (coins < probability) & (words > EOS)
    return torch.cat([words.masked_fill(dropped, PAD)[..., None], src[..., 1:]], dim=-1)


def _groups(words: Tensor) -> Tensor:
    """Number the groups of equal words at equal positions, from 0 on: words B S -> group of each, B S."""
    if words.device.type == "cpu":
        keys = words + torch.arange(words.shape[1]) * (int(words.max()) + 1)
        return torch.unique(keys, return_inverse=True)[1]
    # torch.unique would make the host wait for the number of groups.
    keys = words + (torch.arange(words.shape[1], device=words.device) << 32)
    ordered, places = keys.flatten().sort()
    numbers = torch.zeros_like(ordered)
    numbers[1:] = (ordered[1:] != ordered[:-1]).cumsum(0)
    return torch.empty_like(numbers).scatter_(0, places, numbers).view_as(words)


def _coins_for(groups: Tensor) -> int:
    """Return the number of coins to draw: one per group. On a GPU one per word, since the host would have to
    wait for the number of groups.
    """
    return int(groups.max()) + 1 if groups.device.type == "cpu" else groups.numel()


def transform_source(
    src: Tensor, lengths: Tensor, policies: PolicySpec
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Transform the source as the policies say: add an end symbol, cut, reverse.

    src B S F right padded, lengths B -> src B S' F, lengths B, and order B S: the position in the new source
    of each old one, -1 if it was cut off. order is None if the source stays unchanged.
    """
    if not (policies.source_end_symbol or policies.source_limit or policies.source_reverse):
        return src, lengths, None
    batch, steps, outputs = src.shape
    positions = torch.arange(steps + 1, device=src.device)
    if policies.source_end_symbol:
        src = torch.cat([src, src.new_full((batch, 1, outputs), PAD)], dim=1)
        src = torch.where((positions == lengths[:, None])[..., None], EOS, src)
        lengths = lengths + 1
    if policies.source_limit:
        src = src[:, : policies.source_limit]
        lengths = lengths.clamp(max=policies.source_limit)
    positions = positions[: src.shape[1]]
    order = torch.arange(steps, device=src.device).expand(batch, steps)
    order = torch.where(order < lengths[:, None], order, -1)
    if policies.source_reverse:
        backwards = torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)
        src = src.gather(1, backwards[..., None].expand_as(src))
        order = torch.where(order >= 0, lengths[:, None] - 1 - order, -1)
    return torch.where((positions < lengths[:, None])[..., None], src, PAD), lengths, order


def transformed_lengths(lengths: Tensor | None, policies: PolicySpec) -> Tensor | None:
    """Return the lengths B, on the CPU, of a transformed source; None if nothing is padded."""
    if lengths is None:
        return None
    if policies.source_end_symbol:
        lengths = lengths + 1
    return lengths.clamp(max=policies.source_limit) if policies.source_limit else lengths


def in_original_order(attention: Tensor, order: Tensor) -> Tensor:
    """Map attention R S' over the transformed source to R S over the original one.

    order: B S, see `transform_source`; there are R / B rows per sentence.
    """
    rows = order.repeat_interleave(attention.shape[0] // order.shape[0], dim=0)
    return attention.gather(1, rows.clamp(min=0)) * (rows >= 0).to(attention.dtype)


_ENCODERS: Final[Mapping[type[Any], Callable[[Any, int], nn.Module]]] = {
    RecurrentEncoderSpec: RecurrentEncoder,
    PyramidalEncoderSpec: PyramidalEncoder,
    ConvolutionalEncoderSpec: ConvolutionalEncoder,
    TwinConvolutionalEncoderSpec: TwinConvolutionalEncoder,
    PoolingEncoderSpec: PoolingEncoder,
    InceptionEncoderSpec: lambda spec, _: InceptionEncoder(spec),
}


def build_encoder(spec: EncoderSpec, input_size: int) -> nn.Module:
    """Build the encoder module: forward(inputs B S I, lengths B, host_lengths, noise) -> Encoding; images are
    B 3 H W.
    """
    return _ENCODERS[type(spec)](spec, input_size)
