"""The weights of an image network from a file, as torchvision publishes them for `inception_v3`."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from onmt.checkpoint import load_tensors
from onmt.errors import CheckpointError, OptionError
from onmt.models.base import Model, stored_tensors
from onmt.modules.encoders.inception import InceptionEncoder, InceptionV3

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
