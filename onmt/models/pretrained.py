"""Word vectors that an embedding table starts from."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from onmt.checkpoint import load_tensors
from onmt.errors import CheckpointError, DataError
from onmt.models.spec import EmbeddingSpec
from onmt.modules.embeddings import Embeddings


def read_word_vectors(path: str, rows: int, columns: int) -> Tensor:
    """The tensor in a `.pt` or Lua `.t7` file: `rows` x at most `columns`, float32. Raises DataError
    otherwise.
    """
    vectors = read_tensor(path)
    if vectors.dim() != 2 or vectors.shape[0] != rows or vectors.shape[1] > columns:
        shape = " x ".join(str(size) for size in vectors.shape)
        raise DataError(
            f"{path}: {shape} word vectors do not fit {rows} words with vectors of {columns} numbers"
        )
    return vectors.to(torch.float32)


def with_pretrained_columns(spec: EmbeddingSpec, vectors: Tensor) -> EmbeddingSpec:
    """The description of a table whose left columns are `vectors`."""
    return replace(spec, pretrained_columns=vectors.shape[1])


def fill(embeddings: Embeddings, vectors: Tensor) -> None:
    """Copy the vectors into the left columns; the padding word stays the zero vector."""
    with torch.no_grad():
        embeddings.words[:, : vectors.shape[1]] = vectors
    embeddings.zero_padding()


def read_tensor(path: str) -> Tensor:
    """The tensor in a `.pt` file or a Lua `.t7` file. Raises CheckpointError if there is none."""
    if Path(path).suffix == ".t7":
        from onmt.torch7.tensors import read_tensor

        return read_tensor(path)
    try:
        tensor = load_tensors(path)
    except CheckpointError:
        raise
    except Exception:
        raise CheckpointError(f"{path}: this is not a tensor saved by torch (or a .t7 tensor)") from None
    if not isinstance(tensor, Tensor):
        raise CheckpointError(
            f"{path}: this file holds a {type(tensor).__name__}, not a tensor of word vectors"
        )
    return tensor
