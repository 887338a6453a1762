"""Word and feature tables."""

import torch

from onmt.modules.embeddings import Embeddings
from onmt.spec.model import EmbeddingSpec, TableSpec

TABLES = (TableSpec(size=6, dim=4), TableSpec(size=5, dim=2), TableSpec(size=5, dim=2))
IDS = torch.tensor([[[4, 1, 2], [0, 0, 0], [5, 3, 3]]])


def filled(spec: EmbeddingSpec) -> Embeddings:
    embeddings = Embeddings(spec)
    for parameter in embeddings.parameters():
        parameter.data.uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
    embeddings.zero_padding()
    return embeddings


def test_concat_joins_and_sum_adds_features() -> None:
    words, first, second = (
        filled(EmbeddingSpec(tables=TABLES)).words,
        *filled(EmbeddingSpec(tables=TABLES)).features,
    )
    joined = filled(EmbeddingSpec(tables=TABLES))(IDS)
    added = filled(EmbeddingSpec(tables=TABLES, feature_merge="sum"))(IDS)
    torch.testing.assert_close(joined[0, 2], torch.cat([words[5], first[3], second[3]]))
    torch.testing.assert_close(added[0, 2], torch.cat([words[5], first[3] + second[3]]))
    assert joined.shape[-1] == EmbeddingSpec(tables=TABLES).output_size == 8
    assert added.shape[-1] == EmbeddingSpec(tables=TABLES, feature_merge="sum").output_size == 6


def test_padding_never_learns_but_its_features_do() -> None:
    embeddings = filled(EmbeddingSpec(tables=TABLES))
    embeddings(IDS).sum().backward()
    assert embeddings.words.grad is not None
    assert not embeddings.words.grad[0].any()
    assert embeddings.words.grad[4].all()
    assert embeddings.features[0].grad is not None
    assert embeddings.features[0].grad[0].all()


def test_frozen_columns_get_no_gradient() -> None:
    some = filled(EmbeddingSpec(tables=TABLES, frozen_columns=3))
    some(IDS).sum().backward()
    assert some.words.grad is not None
    assert some.words.grad[4].tolist() == [0, 0, 0, 1]
    assert not filled(EmbeddingSpec(tables=TABLES, frozen_columns=4)).words.requires_grad
