"""What encoders are, of every dialect. No torch here; shape letters as in `onmt/models/spec.py`."""

from dataclasses import dataclass
from typing import Literal

from onmt.models.recurrent_spec import StackSpec

Merge = Literal["concat", "sum"]


@dataclass(frozen=True, kw_only=True)
class RecurrentEncoderSpec:
    """`rnn`: one stack. `brnn`: two independent stacks. `gnmt`: one bidirectional layer, then a stack of the
    remaining layers.
    """

    kind: Literal["rnn", "brnn", "gnmt"]
    stack: StackSpec
    merge: Merge = "sum"


@dataclass(frozen=True, kw_only=True)
class PyramidalEncoderSpec:
    """Bidirectional layers on each other; between them `reduction` adjacent frames become one (1: `dbrnn`).

    `reduction_merge`: join the frames (`concat`), add them (`sum`), or add frames a whole length/reduction
    apart, as Lua's trained models did (`strided_sum`).
    """

    kind: Literal["pyramid"] = "pyramid"
    stack: StackSpec
    merge: Merge = "sum"
    reduction: int = 1
    reduction_merge: Literal["concat", "sum", "strided_sum"] = "concat"


@dataclass(frozen=True, kw_only=True)
class ConvolutionalEncoderSpec:
    """Convolutions that look `kernel` - 1 positions ahead; `positions` > 0 adds a learned table of that many
    positions.
    """

    kind: Literal["cnn"] = "cnn"
    layers: int
    kernel: int
    hidden_size: int
    positions: int = 0
    input_dropout: float = 0.0
    layer_dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PositionSpec:
    """Fixed position encodings for at most `count` positions, multiplied with the word vectors or added to
    them.
    """

    count: int
    combine: Literal["multiply", "add"] = "multiply"


@dataclass(frozen=True, kw_only=True)
class ConvolutionsSpec:
    """`layers` convolutions of `units` filters, each seeing `kernel` positions around its own."""

    units: int
    kernel: int
    layers: int


@dataclass(frozen=True, kw_only=True)
class TwinConvolutionalEncoderSpec:
    """Two stacks of convolutions over the same inputs: one makes what attention compares, the other what it
    averages.
    """

    kind: Literal["conv"] = "conv"
    keys: ConvolutionsSpec
    values: ConvolutionsSpec
    positions: PositionSpec | None = None
    input_dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PoolingEncoderSpec:
    """Word vectors are what attention averages; pooled over `size` neighbours they are what it compares."""

    kind: Literal["pooling"] = "pooling"
    pool: Literal["average", "max"]
    size: int
    positions: PositionSpec | None = None
    input_dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class InceptionEncoderSpec:
    """Inception v3 over an image, up to `endpoint` (named as in TF-slim)."""

    kind: Literal["inception"] = "inception"
    endpoint: str


EncoderSpec = (
    RecurrentEncoderSpec
    | PyramidalEncoderSpec
    | ConvolutionalEncoderSpec
    | TwinConvolutionalEncoderSpec
    | PoolingEncoderSpec
    | InceptionEncoderSpec
)
