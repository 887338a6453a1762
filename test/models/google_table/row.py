"""What a row of the table says."""

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
"""What each model is given unless a row says otherwise: a network for images that takes no time to build."""


@dataclass(frozen=True)
class Row:
    """A parameter of one model, or of one part of it: path ("encoder.params", "rnn_cell", "num_layers").

    `seen`: which of the observations looks at it. `then`: what that sees with the default, and with the
    other value. `beside`: what else must be given for it to matter. `inert`: why nothing may change.
    `refused`: instead of changing something, the other value is refused with these words.
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
    """The same row of several models; `path` with spaces between its levels."""
    levels, then = tuple(path.split(" ")), (before, after)
    return [Row(model, levels, default, other, seen, then, **more) for model in models]
