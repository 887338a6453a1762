"""Inputs as vectors: embedding tables of words and features, and inputs that need none."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onmt.constants import PAD
from onmt.spec.model import EmbeddingSpec, ImageSpec, SourceSpec, VectorSpec


class Embeddings(nn.Module):
    """Word vectors concatenated with feature vectors (OpenNMT-lua onmt/modules/WordEmbedding.lua,
    FeaturesEmbedding.lua).

    The padding word is the zero vector and is never trained; feature tables have no such row.
    """

    def __init__(self, spec: EmbeddingSpec) -> None:
        super().__init__()
        self.spec = spec
        self.words = nn.Parameter(torch.empty(spec.tables[0].size, spec.tables[0].dim))
        self.features = nn.ParameterList(torch.empty(table.size, table.dim) for table in spec.tables[1:])
        if spec.frozen_columns >= spec.tables[0].dim:
            self.words.requires_grad_(False)
        elif spec.frozen_columns:
            self.words.register_hook(self._without_frozen_columns)

    @property
    def output_size(self) -> int:
        """Width of the joined vector."""
        return self.spec.output_size

    def forward(self, ids: Tensor) -> Tensor:
        """ids ...F -> vectors ...E."""
        words = F.embedding(ids[..., 0], self.words, padding_idx=PAD)
        if not self.features:
            return words
        features = [F.embedding(ids[..., 1 + index], table) for index, table in enumerate(self.features)]
        if self.spec.feature_merge == "sum":
            features = [torch.stack(features).sum(0)]
        return torch.cat([words, *features], dim=-1)

    def zero_padding(self) -> None:
        """Set the vector of the padding word to zero, as after every initialisation."""
        with torch.no_grad():
            self.words[PAD].zero_()

    def _without_frozen_columns(self, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[:, : self.spec.frozen_columns] = 0
        return gradient


class VectorInputs(nn.Module):
    """Source positions that are vectors already; they pass unchanged."""

    def __init__(self, spec: VectorSpec) -> None:
        super().__init__()
        self.output_size = spec.output_size

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors ...D -> the same."""
        return vectors


class ImageInputs(nn.Module):
    """Images whose colours from 0 to 255 are scaled to numbers from -1 to 1
    (seq2seq/encoders/image_encoder.py).
    """

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.output_size = spec.output_size

    def forward(self, images: Tensor) -> Tensor:
        """images B 3 height width uint8 -> the same shape, float."""
        return images.float() / 127.5 - 1


def build_source(spec: SourceSpec) -> Embeddings | VectorInputs | ImageInputs:
    """Return the module that turns the source, as read from the data, into an encoder's input."""
    if isinstance(spec, ImageSpec):
        return ImageInputs(spec)
    return Embeddings(spec) if isinstance(spec, EmbeddingSpec) else VectorInputs(spec)
