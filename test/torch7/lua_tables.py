"""Access to the tables that a `.t7` file of a model holds, and to converted models."""

import numpy as np
import torch

from onmt.spec.model import ModelSpec
from onmt.torch7.objects import Storage, Table, Tensor, TorchObject, Value


def dig(value: Value, *names: str | float) -> Value:
    """Return the value under a path of table keys and module fields."""
    for name in names:
        value = (value.fields if isinstance(value, TorchObject) else value).get(name)
    return value


def network(root: Table, part: str = "encoder") -> TorchObject:
    return dig(root, "models", part, "modules", 1.0)


def find(value: Value, class_name: str) -> TorchObject:
    """Return the first module of a class in a network, a list of modules or an encoder's table."""
    if isinstance(value, TorchObject) and value.class_name == class_name:
        return value
    inside = value.get("modules") if isinstance(value, TorchObject) or "modules" in value else value
    for child in inside.sequence() if isinstance(inside, Table) else ():
        if (found := find(child, class_name)) is not None:
            return found
    return None


def layers_of(root: Table, part: str = "encoder") -> Table:
    """Return the list of modules in the graph of a network's recurrent layers."""
    return dig(find(network(root, part), "onmt.LSTM"), "modules", 1.0, "modules")


def float_tensor(array: np.ndarray) -> Tensor:
    strides = tuple(step // array.itemsize for step in array.strides)
    return Tensor("torch.FloatTensor", array.shape, strides, 0, Storage("torch.FloatStorage", array.ravel()))


def spec_of(content: dict) -> ModelSpec:
    return ModelSpec.from_state(content["spec"])


def equal_weights(one: dict, other: dict) -> bool:
    return one["weights"].keys() == other["weights"].keys() and all(
        torch.equal(one["weights"][name], other["weights"][name]) for name in one["weights"]
    )
