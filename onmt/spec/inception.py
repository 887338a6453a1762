"""Inception v3 (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision") as tables.

Layers are named as in torchvision's `inception_v3`, so that its published weights fit. Endpoints are named as
in TF-slim's `inception_v3_base`, which google/seq2seq uses. Torch-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Layer:
    """A convolution with batch normalisation. `padded`: the image is padded, so that stride 1 keeps its
    size.
    """

    name: str
    channels: int
    window: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


@dataclass(frozen=True)
class Branch:
    """A branch of a block: optional pooling over 3 x 3, then layers in sequence.

    `fork`: layers that all read the output of `layers`; their outputs are concatenated.
    """

    layers: tuple[Layer, ...] = ()
    pool: Literal["average", "max", "none"] = "none"
    fork: tuple[Layer, ...] = ()

    def channels(self, inputs: int) -> int:
        """Channels of the output, for an input with this many."""
        if self.fork:
            return sum(layer.channels for layer in self.fork)
        return self.layers[-1].channels if self.layers else inputs


@dataclass(frozen=True)
class Stage:
    """The block between two endpoints: branches that read the same input and whose outputs are concatenated.

    `shrinks`: window and stride by which the image gets smaller; (1, 1): it keeps its size.
    """

    branches: tuple[Branch, ...]
    shrinks: tuple[int, int] = (1, 1)

    def channels(self, inputs: int) -> int:
        """Channels of the output, for an input with this many."""
        return sum(branch.channels(inputs) for branch in self.branches)

    def size(self, inputs: int) -> int:
        """Height or width of the output; 0 or less if the input is too small."""
        window, stride = self.shrinks
        return (inputs - window) // stride + 1


_ROW, _COLUMN = (1, 7), (7, 1)
_POOLING: Final = Stage((Branch(pool="max"),), shrinks=(3, 2))


def _single(layer: Layer) -> Stage:
    shrinks = (1, 1) if layer.padded else (layer.window[0], layer.stride)
    return Stage((Branch((layer,)),), shrinks)


def _windows_of_5(pooled: int) -> Stage:
    """Branches of 5 x 5, and of 3 x 3 twice; `pooled`: channels of the pooling branch."""
    small = (Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, (5, 5)))
    twice = (
        Layer("branch3x3dbl_1", 64),
        Layer("branch3x3dbl_2", 96, (3, 3)),
        Layer("branch3x3dbl_3", 96, (3, 3)),
    )
    return Stage(
        (
            Branch((Layer("branch1x1", 64),)),
            Branch(small),
            Branch(twice),
            Branch((Layer("branch_pool", pooled),), pool="average"),
        )
    )


def _first_halving() -> Stage:
    twice = (
        Layer("branch3x3dbl_1", 64),
        Layer("branch3x3dbl_2", 96, (3, 3)),
        Layer("branch3x3dbl_3", 96, (3, 3), stride=2, padded=False),
    )
    once = Layer("branch3x3", 384, (3, 3), stride=2, padded=False)
    return Stage((Branch((once,)), Branch(twice), Branch(pool="max")), shrinks=(3, 2))


def _windows_of_7(inner: int) -> Stage:
    """Branches of 7 x 7 as a row and a column, once and twice; `inner`: channels inside the branches."""
    once = (
        Layer("branch7x7_1", inner),
        Layer("branch7x7_2", inner, _ROW),
        Layer("branch7x7_3", 192, _COLUMN),
    )
    twice = (
        Layer("branch7x7dbl_1", inner),
        Layer("branch7x7dbl_2", inner, _COLUMN),
        Layer("branch7x7dbl_3", inner, _ROW),
        Layer("branch7x7dbl_4", inner, _COLUMN),
        Layer("branch7x7dbl_5", 192, _ROW),
    )
    return Stage(
        (
            Branch((Layer("branch1x1", 192),)),
            Branch(once),
            Branch(twice),
            Branch((Layer("branch_pool", 192),), pool="average"),
        )
    )


def _second_halving() -> Stage:
    once = (Layer("branch3x3_1", 192), Layer("branch3x3_2", 320, (3, 3), stride=2, padded=False))
    wide = (
        Layer("branch7x7x3_1", 192),
        Layer("branch7x7x3_2", 192, _ROW),
        Layer("branch7x7x3_3", 192, _COLUMN),
        Layer("branch7x7x3_4", 192, (3, 3), stride=2, padded=False),
    )
    return Stage((Branch(once), Branch(wide), Branch(pool="max")), shrinks=(3, 2))


def _forked() -> Stage:
    """Branches of 3 x 3 as a row and a column side by side."""
    once = Branch(
        (Layer("branch3x3_1", 384),),
        fork=(Layer("branch3x3_2a", 384, (1, 3)), Layer("branch3x3_2b", 384, (3, 1))),
    )
    twice = Branch(
        (Layer("branch3x3dbl_1", 448), Layer("branch3x3dbl_2", 384, (3, 3))),
        fork=(Layer("branch3x3dbl_3a", 384, (1, 3)), Layer("branch3x3dbl_3b", 384, (3, 1))),
    )
    pooled = Branch((Layer("branch_pool", 192),), pool="average")
    return Stage((Branch((Layer("branch1x1", 320),)), once, twice, pooled))


STAGES: Final[Mapping[str, Stage]] = {
    "Conv2d_1a_3x3": _single(Layer("Conv2d_1a_3x3", 32, (3, 3), stride=2, padded=False)),
    "Conv2d_2a_3x3": _single(Layer("Conv2d_2a_3x3", 32, (3, 3), padded=False)),
    "Conv2d_2b_3x3": _single(Layer("Conv2d_2b_3x3", 64, (3, 3))),
    "MaxPool_3a_3x3": _POOLING,
    "Conv2d_3b_1x1": _single(Layer("Conv2d_3b_1x1", 80)),
    "Conv2d_4a_3x3": _single(Layer("Conv2d_4a_3x3", 192, (3, 3), padded=False)),
    "MaxPool_5a_3x3": _POOLING,
    "Mixed_5b": _windows_of_5(32),
    "Mixed_5c": _windows_of_5(64),
    "Mixed_5d": _windows_of_5(64),
    "Mixed_6a": _first_halving(),
    "Mixed_6b": _windows_of_7(128),
    "Mixed_6c": _windows_of_7(160),
    "Mixed_6d": _windows_of_7(160),
    "Mixed_6e": _windows_of_7(192),
    "Mixed_7a": _second_halving(),
    "Mixed_7b": _forked(),
    "Mixed_7c": _forked(),
}
"""The stages in order, by the endpoint after each."""

_COLOURS: Final = 3


def stages_to(endpoint: str) -> Mapping[str, Stage]:
    """Return the stages up to an endpoint, included."""
    names = list(STAGES)
    return {name: STAGES[name] for name in names[: names.index(endpoint) + 1]}


def channels_at(endpoint: str) -> int:
    """Return the number of channels at an endpoint."""
    channels = _COLOURS
    for stage in stages_to(endpoint).values():
        channels = stage.channels(channels)
    return channels


def grid_at(endpoint: str, height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of the grid at an endpoint, for an image of this size in pixels; (0, 0) if it
    is too small.
    """
    for stage in stages_to(endpoint).values():
        height, width = stage.size(height), stage.size(width)
        if height < 1 or width < 1:
            return 0, 0
    return height, width
