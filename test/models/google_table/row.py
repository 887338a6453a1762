"""The rows of the table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BASIC = ("BasicSeq2Seq",)
ATTENTION = ("AttentionSeq2Seq",)
IMAGE = ("Image2Seq",)
TEXT = (*BASIC, *ATTENTION)
ATTENDING = (*ATTENTION, *IMAGE)
ALL = (*TEXT, *IMAGE)

BASE: Mapping[str, Mapping[str, Any]] = {
    "BasicSeq2Seq": {},
    "AttentionSeq2Seq": {},
    "Image2Seq": {
        "encoder.params": {"resize_height": 23, "resize_width": 31, "final_endpoint": "MaxPool_3a_3x3"}
    },
}
"""Parameters of each model unless a row sets others; Image2Seq has a small network, for speed."""


@dataclass(frozen=True)
class Row:
    """A parameter of a model or of a part; `path` is e.g. ("encoder.params", "rnn_cell", "num_layers").

    `seen`: name of the observation that shows its effect. `then`: observed values with the default and with
    the other value. `beside`: parameters that must be set for it to have an effect. `inert`: why the other
    value changes nothing. `refused`: the error message where the other value is refused instead.
    """

    model: str
    path: tuple[str, ...]
    default: Any
    other: Any
    seen: str
    then: tuple[Any, Any]
    beside: Mapping[str, Any] = field(default_factory=dict)
    inert: str = ""
    refused: str = ""

    def __str__(self) -> str:
        part = self.beside.get(self.path[0].replace(".params", ".class"), "") if len(self.path) > 1 else ""
        return " ".join((self.model, *self.path, *([part.split(".")[-1]] if part else [])))


def rows(
    models: tuple[str, ...],
    path: str,
    default: Any,
    other: Any,
    seen: str,
    before: Any,
    after: Any,
    **more: Any,
) -> list[Row]:
    """Return the same row for each of several models; `path` has spaces between its levels."""
    levels, then = tuple(path.split(" ")), (before, after)
    return [Row(model, levels, default, other, seen, then, **more) for model in models]
