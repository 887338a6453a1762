"""Choose an encoder, and transform its source as google/seq2seq does: end symbol, truncation, reversal."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from onmt.constants import EOS, PAD
from onmt.modules.encoders.convolutional import ConvolutionalEncoder, PoolingEncoder, TwinConvolutionalEncoder
from onmt.modules.encoders.inception import InceptionEncoder
from onmt.modules.encoders.recurrent import PyramidalEncoder, RecurrentEncoder
from onmt.spec.layers import (
    ConvolutionalEncoderSpec,
    EncoderSpec,
    InceptionEncoderSpec,
    PoolingEncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    TwinConvolutionalEncoderSpec,
)
from onmt.spec.model import PolicySpec


def transform_source(
    src: Tensor, lengths: Tensor, policies: PolicySpec
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The source as the encoder reads it.

    src B S F right padded, lengths B -> src B S' F, lengths B, and order B S: the position in the new source
    of each old one, -1 where it was cut off; None where the source stays as it is.
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
    """Lengths B on the CPU, None where nothing is padded, of sources that `transform_source` changed."""
    if lengths is None:
        return None
    if policies.source_end_symbol:
        lengths = lengths + 1
    return lengths.clamp(max=policies.source_limit) if policies.source_limit else lengths


def in_original_order(attention: Tensor, order: Tensor) -> Tensor:
    """attention R S' over the transformed source, order B S -> R S over the original one, R / B rows per
    sentence.
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
    """The encoder module: forward(inputs B S I, lengths B, host_lengths, noise) -> Encoding; images are B 3 H
    W.
    """
    return _ENCODERS[type(spec)](spec, input_size)
