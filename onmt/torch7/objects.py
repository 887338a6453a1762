"""What a Torch7 file holds, as plain Python objects: nothing here has behaviour of its own."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Storage:
    """A flat run of numbers that tensors look into; tensors with the same Storage share memory.

    `array` has one dimension and is read-only, a view into the file's bytes where the encoding allows it.
    """

    class_name: str
    array: Array


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view into a Storage: `offset` (from 0) and `stride` count elements, not bytes."""

    class_name: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    storage: Storage | None  # None: an empty tensor that never had memory

    @property
    def elements(self) -> int:
        """Number of elements; 0 for Torch7's tensor without dimensions."""
        return math.prod(self.shape) if self.shape else 0

    @property
    def last(self) -> int:
        """The place in memory of the last element, of a tensor that has any."""
        reach = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return self.offset + reach

    @property
    def overlaps(self) -> bool:
        """Whether elements share places in memory, as expanded ones do: a copy may outgrow the file."""
        return self.elements > (0 if self.storage is None else self.storage.array.size)

    def numpy(self) -> Array:
        """A read-only array of the tensor's shape over the memory of its storage; shape (0,) if it is empty.

        A tensor that `overlaps` may be too large for numpy: a file chooses its shape freely.
        """
        if self.storage is None or self.elements == 0:
            return np.zeros(0, dtype=np.float32)
        flat = self.storage.array
        strides = tuple(step * flat.itemsize for step in self.stride)
        return np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, strides, writeable=False)


@dataclass(frozen=True, eq=False)
class LuaFunction:
    """A serialised function. It is recorded as present, never decoded and never run."""


@dataclass(eq=False)
class Table:
    """A Lua table, a `tds.Hash` or a `tds.Vec`. As in Lua, the keys 1 and 1.0 are the same."""

    entries: dict["Key", "Value"] = field(default_factory=dict)

    def get(self, key: "Key", default: "Value" = None) -> "Value":
        """The value under `key`, else `default`: a missing key and nil are the same thing in Lua."""
        return self.entries.get(key, default)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def items(self) -> Iterator[tuple["Key", "Value"]]:
        """All pairs, in the order of the file, which for Lua has no meaning."""
        return iter(self.entries.items())

    def sequence(self) -> list["Value"]:
        """The values under 1, 2, 3... up to the first gap, as Lua's `ipairs` walks them."""
        values: list[Value] = []
        while (value := self.entries.get(float(len(values) + 1))) is not None:
            values.append(value)
        return values


@dataclass(eq=False)
class TorchObject:
    """An instance of a Torch class (`nn.Linear`, `onmt.Generator`...) with the fields it was saved with."""

    class_name: str
    version: int
    fields: Table = field(default_factory=Table)

    def get(self, name: str) -> "Value":
        """The field `name`, or None."""
        return self.fields.get(name)


@dataclass(frozen=True)
class BooleanKey:
    """A boolean used as a table key: Python would take a bare True for 1."""

    value: bool


Key: TypeAlias = str | float | BooleanKey | Table | TorchObject | Tensor | Storage | LuaFunction
Value: TypeAlias = bool | str | float | Table | TorchObject | Tensor | Storage | LuaFunction | None
