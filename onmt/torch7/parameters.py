"""Which tensor of a Lua model becomes which parameter of ours, and how its numbers are rearranged."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from onmt.torch7.modules import StructureError, parameter
from onmt.torch7.objects import Array, Tensor, TorchObject

Arrange: TypeAlias = Callable[[Array], Array]


def unchanged(array: Array) -> Array:
    """The same arrangement."""
    return array


def lstm_gates(array: Array) -> Array:
    """Rows of the gates from Lua's order (in, forget, out, cell) to torch's (in, forget, cell, out)."""
    entry, forget, out, cell = np.split(array, 4)
    return np.concatenate([entry, forget, cell, out])


def flat(array: Array) -> Array:
    """A vector."""
    return array.reshape(-1)


def convolution(kernel: int) -> Arrange:
    """From Lua's frames side by side (out, kernel * in) to torch's (out, in, kernel); a bias stays."""

    def arrange(array: Array) -> Array:
        if array.ndim == 1:
            return array
        return array.reshape(array.shape[0], kernel, -1).transpose(0, 2, 1)

    return arrange


@dataclass(frozen=True)
class LuaParameter:
    """A trained tensor as the file holds it.

    part: the sub-model it belongs to (encoder, decoder, bridge, generator, criterion); Lua trains each as one
    flat vector. trained: whether the tensor is in that vector.
    """

    part: str
    tensor: Tensor
    arrange: Arrange = unchanged
    trained: bool = True

    def value(self) -> Array:
        """The numbers in our arrangement, float32, a copy."""
        return np.array(self.arrange(self.tensor.numpy()), dtype=np.float32)

    def slice_of(self, vector: Tensor) -> Array:
        """The same places of another flat vector of the sub-model (an optimiser's), in our arrangement."""
        view = replace(self.tensor, offset=self.tensor.offset + vector.offset, storage=vector.storage)
        if vector.storage is None or view.last >= vector.storage.array.size:
            raise StructureError(f"an optimiser's vector that does not fit the parameters of the {self.part}")
        return np.array(self.arrange(view.numpy()), dtype=np.float32)


@dataclass
class Collector:
    """Gathers the parameters of one sub-model under our names."""

    part: str
    parameters: dict[str, LuaParameter] = field(default_factory=dict)

    def add(self, name: str, tensor: Tensor, arrange: Arrange = unchanged, trained: bool = True) -> None:
        """Note that `tensor` becomes our parameter `name`."""
        self.parameters[name] = LuaParameter(self.part, tensor, arrange, trained)

    def linear(
        self, layer: TorchObject, weight: str, bias: str | None, arrange: Arrange = unchanged
    ) -> Tensor:
        """Note a layer's weight (outputs x inputs), and its bias if `bias` names ours; returns the weight."""
        matrix = parameter(layer, "weight", 2)
        self.add(weight, matrix, arrange)
        if bias is not None:
            vector = parameter(layer, "bias", 1)
            if vector.shape[0] != matrix.shape[0]:
                rows = matrix.shape[0]
                raise StructureError(f"a {layer.class_name} with {rows} rows and {vector.shape[0]} biases")
            self.add(bias, vector, arrange)
        elif isinstance(layer.get("bias"), Tensor):
            raise StructureError(f"a {layer.class_name} with a bias where OpenNMT has none")
        return matrix
