"""Load stored tensors: models of this program or of OpenNMT Lua, word vectors, weights of Inception V3."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from onmt.checkpoint import load_checkpoint, load_tensors
from onmt.data.vocabulary import Vocabularies
from onmt.errors import CheckpointError, DataError, OptionError
from onmt.files import saved_beside, saved_models
from onmt.kernels.products import Products, multiply_with
from onmt.models.base import Model, stored_tensors
from onmt.models.networks import build_model
from onmt.modules.embeddings import Embeddings
from onmt.modules.inception_encoder import InceptionEncoder, InceptionV3
from onmt.spec.model import EmbeddingSpec, ModelSpec


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for use, with the vocabularies and options from its file."""

    path: str
    model: Model
    vocabularies: Vocabularies
    options: Mapping[str, Any]
    data_type: str

    @property
    def spec(self) -> ModelSpec:
        """The description of the model."""
        return self.model.spec


_SLACK: Final = 1 << 20
"""Number of weights for which memory may be allocated before the file is known to hold them."""


def find_model(path: str) -> str:
    """Return the file that `path` means: a name ending in `.t7` that does not exist stands for the `.pt` of
    the same stem.

    Raises CheckpointError if neither exists.
    """
    if Path(path).is_file():
        return path
    twin = Path(path).with_suffix(".pt")
    if Path(path).suffix == ".t7" and twin.is_file():
        return str(twin)
    raise CheckpointError(f"{path}: there is no such model file")


def read_content(path: str) -> dict[str, Any]:
    """Return the content of a model file in the layout of our checkpoints; a `.t7` file is converted.

    Raises CheckpointError for a file that is damaged or not a model, and for weights that are not finite.
    """
    content = read_any_content(path)
    refuse_weights_not_finite(content["weights"], path)
    return content


def find_newest(path: str) -> str:
    """As `find_model`; for a folder, or the `-save_model` of a training, return its newest model that is
    whole.

    Raises CheckpointError if there is none.
    """
    if not Path(path).is_dir():
        with suppress(CheckpointError):
            return find_model(path)
    newest = next(whole_models(saved_models(path)), None)
    if newest is None:
        raise CheckpointError(f"{path}: there is no intact model of that name or in that folder")
    return str(newest)


def read_any_content(path: str) -> dict[str, Any]:
    """As `read_content`, but weights may have numbers that are not finite."""
    path = find_model(path)
    if Path(path).suffix == ".t7":
        from onmt.torch7.convert import convert_model

        return convert_model(path)
    try:
        return load_checkpoint(path)
    except CheckpointError as error:
        whole = next(whole_models(saved_beside(path)), None)
        if whole is None:
            raise
        raise CheckpointError(f"{error}; the newest intact model of that training is '{whole}'") from error


def whole_models(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that can be used: complete models with finite weights."""
    for path in paths:
        with suppress(CheckpointError):
            refuse_weights_not_finite(load_checkpoint(path)["weights"], str(path))
            yield path


def refuse_weights_not_finite(weights: Mapping[str, torch.Tensor], path: str) -> None:
    """Raise CheckpointError if a weight is not finite: the model would compute nothing but NaN."""
    name = first_not_finite(weights)
    if name is not None:
        raise CheckpointError(
            f"{path}: the model is useless, '{name}' has numbers that are not finite: its training went "
            "wrong; take a model that was saved before"
        )


def first_not_finite(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Return the name of the first tensor with a number that is not finite; synchronises with the device
    once.
    """
    checked = [(name, tensor) for name, tensor in tensors.items() if tensor.is_floating_point()]
    if not checked:
        return None
    flags = torch.stack([tensor.isfinite().all() for _, tensor in checked]).tolist()
    return next((name for (name, _), finite in zip(checked, flags, strict=True) if not finite), None)


def load_model(path: str, device: torch.device, products: Products | None = None) -> LoadedModel:
    """Read, build and fill a model that computes its products by `products` (None: in float32).

    Raises CheckpointError if file, description and weights do not fit together.
    """
    content = read_content(path)
    model = restore_model(ModelSpec.from_state(content["spec"]), content["weights"], path)
    vocabularies = Vocabularies.from_state(content["vocabularies"])
    model.use_vocabularies(vocabularies)
    model = model.to(device)
    if products is not None:
        multiply_with(model, products)
    return LoadedModel(
        path=path,
        model=model,
        vocabularies=vocabularies,
        options=content["options"],
        data_type=content["data_type"],
    )


def restore_model(spec: ModelSpec, weights: Mapping[str, torch.Tensor], path: str) -> Model:
    """Build a model with these weights, on the CPU. Raises CheckpointError, naming `path`, if the weights are
    not those of the spec.
    """
    _check_size(spec, weights, path)
    model = build_model(spec)
    wanted = stored_tensors(model)
    if wanted.keys() != weights.keys():
        name = sorted(wanted.keys() ^ weights.keys())[0]
        raise CheckpointError(
            f"{path}: the weights do not fit the model that the file describes: see '{name}'"
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            if weights[name].shape != tensor.shape:
                shapes = f"{tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
                raise CheckpointError(f"{path}: the weight '{name}' has shape {shapes}")
            tensor.copy_(weights[name])
    return model


def _check_size(spec: ModelSpec, weights: Mapping[str, torch.Tensor], path: str) -> None:
    """Raise CheckpointError if the described model would be larger than the weights in the file.

    This is checked before memory is allocated by the description's sizes. The number of layers is checked
    first: every layer has a weight of its own.
    """
    layers = max(_numbers_called("layers", spec.to_state()), default=0)
    if layers > len(weights):
        raise CheckpointError(f"{path}: the model described has {layers} layers, but {len(weights)} weights")
    for name, weight in weights.items():
        if weight.untyped_storage().nbytes() < weight.numel() * weight.element_size():
            raise CheckpointError(f"{path}: the weight '{name}' is larger than its data")
    try:
        with torch.device("meta"):
            wanted = sum(tensor.numel() for tensor in stored_tensors(build_model(spec)).values())
    except Exception as error:  # parts that do not fit together raise various errors
        raise CheckpointError(f"{path}: no model can be built as the file describes it") from error
    found = sum(weight.numel() for weight in weights.values())
    if wanted > 2 * found + _SLACK:  # smaller gaps are reported by name, later
        raise CheckpointError(f"{path}: the model described has {wanted} weights, but the file {found}")


def _numbers_called(name: str, state: object) -> Iterator[int]:
    """Yield all integers under this key in nested dicts and lists."""
    if isinstance(state, Mapping):
        for key, value in state.items():
            if key == name and isinstance(value, int):
                yield value
            yield from _numbers_called(name, value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _numbers_called(name, value)


_UNUSED: Final = ("AuxLogits.", "fc.")  # parts that classify images
_LAST: Final = "Mixed_7c"


def load_image_weights(model: Model, path: str) -> None:
    """Fill the image network of a model from the file `-image_weights`.

    Weights of layers after the model's last endpoint, and of the classifier, are ignored. Raises OptionError
    for a model that reads no images, CheckpointError for a file that does not fit.
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
    except Exception as error:  # invalid bytes make torch raise any kind of error
        raise CheckpointError(f"{path}: this is no file of weights that PyTorch can read") from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise CheckpointError(f"{path}: it must hold names and weights, as a state_dict does")
    return content


def read_word_vectors(path: str, rows: int, columns: int) -> Tensor:
    """Read the tensor in a `.pt` or Lua `.t7` file: `rows` x at most `columns`, as float32. Raises DataError
    for another shape.
    """
    vectors = read_tensor(path)
    if vectors.dim() != 2 or vectors.shape[0] != rows or vectors.shape[1] > columns:
        shape = " x ".join(str(size) for size in vectors.shape)
        raise DataError(
            f"{path}: {shape} word vectors do not fit {rows} words with vectors of {columns} numbers"
        )
    return vectors.to(torch.float32)


def with_pretrained_columns(spec: EmbeddingSpec, vectors: Tensor) -> EmbeddingSpec:
    """Return the description of a table whose left columns are `vectors`."""
    return replace(spec, pretrained_columns=vectors.shape[1])


def fill(embeddings: Embeddings, vectors: Tensor) -> None:
    """Copy the vectors into the left columns; the padding word stays the zero vector."""
    with torch.no_grad():
        embeddings.words[:, : vectors.shape[1]] = vectors
    embeddings.zero_padding()


def read_tensor(path: str) -> Tensor:
    """Read the tensor in a `.pt` file or a Lua `.t7` file. Raises CheckpointError if there is none."""
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
    """Read the only tensor of a file that Lua's `torch.save('x.t7', tensor)` wrote, as float32.

    Raises CheckpointError for any other content.
    """
    from onmt.torch7.objects import Tensor as LuaTensor
    from onmt.torch7.reader import read_t7

    value = read_t7(path)
    if not isinstance(value, LuaTensor) or value.overlaps:
        raise CheckpointError(f"{path}: this file holds something else than one tensor of word vectors")
    return torch.tensor(value.numpy(), dtype=torch.float32)
