"""Fill a new model with published values: word vectors, and the weights of Inception v3."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from onmt.checkpoint import load_tensors
from onmt.errors import CheckpointError, DataError, OptionError
from onmt.models.base import Model, stored_tensors
from onmt.modules.embeddings import Embeddings
from onmt.modules.encoders.inception import InceptionEncoder, InceptionV3
from onmt.spec.model import EmbeddingSpec

_UNUSED: Final = ("AuxLogits.", "fc.")  # parts that classify images
_LAST: Final = "Mixed_7c"


def load_image_weights(model: Model, path: str) -> None:
    """Fill the image network of a model from the file `-image_weights`.

    What the file has for layers behind the model's last endpoint, and for classifying, is left out. Raises
    OptionError for a model that reads no images, CheckpointError for a file that does not fit.
    """
    encoder = next((module for module in model.modules() if isinstance(module, InceptionEncoder)), None)
    if encoder is None:
        raise OptionError("-image_weights is for models that read images (-model Image2Seq)")
    found = _read(path)
    wanted = stored_tensors(encoder.network)
    known = stored_tensors(InceptionV3(_LAST)).keys()
    for name in found:
        if name not in known and not name.startswith(_UNUSED) and not name.endswith(".num_batches_tracked"):
            raise CheckpointError(f"{path}: '{name}' is no weight of Inception v3 as torchvision names them")
    with torch.no_grad():
        for name, tensor in wanted.items():
            if name not in found:
                raise CheckpointError(f"{path}: the weight '{name}' of Inception v3 is missing")
            if found[name].shape != tensor.shape:
                shapes = f"{tuple(found[name].shape)}, not {tuple(tensor.shape)}"
                raise CheckpointError(f"{path}: the weight '{name}' has shape {shapes}")
            tensor.copy_(found[name])


def _read(path: str) -> Mapping[str, Tensor]:
    try:
        content = load_tensors(path)
    except CheckpointError:
        raise
    except Exception as error:  # torch raises whatever comes of wrong bytes
        raise CheckpointError(f"{path}: this is no file of weights that PyTorch can read") from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise CheckpointError(f"{path}: it must hold names and weights, as a state_dict does")
    return content


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
        return _read_t7_tensor(path)
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


def _read_t7_tensor(path: str) -> Tensor:
    """The only tensor of a file that Lua's `torch.save('x.t7', tensor)` wrote, as float32.

    Raises CheckpointError for any other content.
    """
    from onmt.torch7.objects import Tensor as LuaTensor
    from onmt.torch7.reader import read_t7

    value = read_t7(path)
    if not isinstance(value, LuaTensor) or value.overlaps:
        raise CheckpointError(f"{path}: this file holds something else than one tensor of word vectors")
    return torch.tensor(value.numpy(), dtype=torch.float32)
