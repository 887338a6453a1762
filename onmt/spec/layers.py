"""Descriptions of recurrent cells, stacks of layers and encoders. Shape letters as in onmt/spec/model.py."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Final, Literal

from onmt.spec.inception import channels_at

CellKind = Literal["lstm", "gru", "gru_reset_before", "tanh"]
Merge = Literal["concat", "sum"]
Activation = Literal["identity", "tanh", "relu", "sigmoid"]


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One recurrent cell. `gru_reset_before` is TensorFlow's GRU, whose reset gate acts before the matrix
    product; `tanh` has no gates. `single_bias`: one bias vector, as in TensorFlow, instead of one for inputs
    and one for states. `activation` replaces the tanh of the textbook cell, also in the kind `tanh`.

    For LSTMs only: `forget_bias` is added to the forget gate at every step (1.0 in TensorFlow's cell). With
    `peepholes` the gates read the cell state. `cell_clip` limits the magnitude of the cell state. The output
    is mapped to a width of `projection`, with magnitudes of at most `projection_clip`. 0 turns each of these
    off.
    """

    kind: CellKind = "lstm"
    forget_bias: float = 0.0
    single_bias: bool = False
    activation: Activation = "tanh"
    peepholes: bool = False
    cell_clip: float = 0.0
    projection: int = 0
    projection_clip: float = 0.0

    @property
    def states(self) -> int:
        """State tensors per layer: cell and output for an LSTM, output alone otherwise."""
        return 2 if self.kind == "lstm" else 1

    @property
    def gates(self) -> int:
        """Number of linear maps of input and output, including the candidate's; each has `hidden_size` rows
        in the weights.
        """
        return {"lstm": 4, "gru": 3, "gru_reset_before": 3, "tanh": 1}[self.kind]

    @property
    def standard(self) -> bool:
        """Whether this is the textbook cell, with tanh and without extensions, which torch and the kernels
        support.
        """
        return self.activation == "tanh" and not (self.peepholes or self.cell_clip or self.projection)

    @property
    def log_text(self) -> str:
        """Settings beyond those of OpenNMT Lua's cells, for the log; empty for Lua's cells."""
        values = {
            "activation": self.activation if self.activation != "tanh" else "",
            "peepholes": "yes" if self.peepholes else "",
            "cell_clip": f"{self.cell_clip:g}" if self.cell_clip else "",
            "projection": str(self.projection or ""),
            "projection_clip": f"{self.projection_clip:g}" if self.projection_clip else "",
        }
        return "".join(f"; {name} = {value}" for name, value in values.items() if value)


@dataclass(frozen=True, kw_only=True)
class StackSpec:
    """A stack of recurrent layers.

    Dropout probabilities: `input_dropout` on the input of layer 1, `layer_dropout` on the inputs of layers 2
    to L, `recurrent_dropout` on the previous output h inside each cell, `output_dropout` on each layer's
    output. `variational` uses the same mask for all steps of a sentence. Residual connections: `lower` adds a
    layer's dropped-out input to its output, only below the top layer, as Lua does; `add`, `mean` and `concat`
    combine the input before dropout with every layer's output (`residual_dense`: all earlier inputs).
    """

    cell: CellSpec = CellSpec()
    layers: int
    hidden_size: int
    input_dropout: float = 0.0
    layer_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    output_dropout: float = 0.0
    variational: bool = False
    residual: Literal["none", "lower", "add", "mean", "concat"] = "none"
    residual_dense: bool = False

    @property
    def layer_size(self) -> int:
        """Width of the output of a layer's cells."""
        return self.cell.projection or self.hidden_size

    @property
    def log_line(self) -> str:
        """The structure as OpenNMT Lua logs it, with the cell's settings beyond Lua's."""
        kind = "variational" if self.variational else "naive"
        return (
            f"   - structure: cell = {self.cell.kind.upper()}; layers = {self.layers}; "
            f"rnn_size = {self.hidden_size}; dropout = {self.layer_dropout:g} ({kind}){self.cell.log_text}"
        )

    def one_direction(self, merge: Merge) -> "StackSpec":
        """Return the stack of one direction of a bidirectional one: half as wide if outputs are
        concatenated.
        """
        if merge != "concat":
            return self
        cell = replace(self.cell, projection=self.cell.projection // 2)
        return replace(self, cell=cell, hidden_size=self.hidden_size // 2)

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Width of each state tensor: layer by layer, and (c, h) within an LSTM layer."""
        of_layer = (self.hidden_size, self.layer_size) if self.cell.states == 2 else (self.layer_size,)
        return of_layer * self.layers

    def output_size(self, input_size: int) -> int:
        """Width of the top layer's output, residual connection included."""
        if self.residual != "concat":
            return self.layer_size
        widths = [input_size]
        for _ in range(self.layers):
            earlier = sum(widths) if self.residual_dense else widths[-1]
            widths.append(self.layer_size + earlier)
        return widths[-1]


_RECURRENT_TYPES: Final = {"rnn": "unidirectional RNN", "brnn": "bidirectional RNN", "gnmt": "GNMT"}


class _Encoder(ABC):
    """The base of encoder specs: the widths of an encoder's memory, keys and states, and its lines in the
    log.
    """

    @abstractmethod
    def memory_size(self, input_size: int) -> int:
        """Width of the memory, which holds the attention's values, for inputs of width `input_size`."""

    def key_size(self, input_size: int) -> int:
        """Width of the attention's keys."""
        return self.memory_size(input_size)

    def state_widths(self, input_size: int) -> tuple[int, ...]:
        """Width of each final state, in order."""
        return (self.memory_size(input_size),)

    @abstractmethod
    def log_lines(self) -> list[str]:
        """The encoder's type and structure as OpenNMT Lua logs them."""


@dataclass(frozen=True, kw_only=True)
class RecurrentEncoderSpec(_Encoder):
    """`rnn`: one stack. `brnn`: two independent stacks. `gnmt`: one bidirectional layer, then a stack of the
    remaining layers.
    """

    kind: Literal["rnn", "brnn", "gnmt"]
    stack: StackSpec
    merge: Merge = "sum"

    def memory_size(self, input_size: int) -> int:
        """See `_Encoder`."""
        if self.kind == "rnn":
            return self.stack.output_size(input_size)
        if self.kind == "brnn":
            width = self.stack.one_direction(self.merge).output_size(input_size)
            return 2 * width if self.merge == "concat" else width
        return self.stack.layer_size

    def state_widths(self, input_size: int) -> tuple[int, ...]:
        """See `_Encoder`."""
        return self.stack.state_widths

    def log_lines(self) -> list[str]:
        """See `_Encoder`."""
        return [f"   - type: {_RECURRENT_TYPES[self.kind]}", self.stack.log_line]


@dataclass(frozen=True, kw_only=True)
class PyramidalEncoderSpec(_Encoder):
    """Stacked bidirectional layers; between them `reduction` adjacent frames become one (1: `dbrnn`).

    `reduction_merge`: concatenate the frames (`concat`), add them (`sum`), or add frames that are length /
    reduction apart, as Lua's trained models did (`strided_sum`).
    """

    kind: Literal["pyramid"] = "pyramid"
    stack: StackSpec
    merge: Merge = "sum"
    reduction: int = 1
    reduction_merge: Literal["concat", "sum", "strided_sum"] = "concat"

    def memory_size(self, input_size: int) -> int:
        """See `_Encoder`."""
        return self.stack.layer_size

    def state_widths(self, input_size: int) -> tuple[int, ...]:
        """See `_Encoder`."""
        return self.stack.state_widths

    def log_lines(self) -> list[str]:
        """See `_Encoder`."""
        pyramidal = "pyramidal " if self.reduction > 1 else ""
        return [f"   - type: {pyramidal}deep bidirectional RNN", self.stack.log_line]


@dataclass(frozen=True, kw_only=True)
class ConvolutionalEncoderSpec(_Encoder):
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

    def memory_size(self, input_size: int) -> int:
        """See `_Encoder`."""
        return self.hidden_size

    def log_lines(self) -> list[str]:
        """See `_Encoder`."""
        sizes = f"cnn_kernel = {self.kernel}; cnn_layers = {self.layers}; cnn_size = {self.hidden_size};"
        return ["   - type: CNN", f"   - structure: {sizes}"]


@dataclass(frozen=True, kw_only=True)
class PositionSpec:
    """Fixed position encodings for at most `count` positions, multiplied with the word vectors or added to
    them.
    """

    count: int
    combine: Literal["multiply", "add"] = "multiply"


@dataclass(frozen=True, kw_only=True)
class ConvolutionsSpec:
    """A stack of `layers` convolutions of `units` filters, each over `kernel` positions around its own."""

    units: int
    kernel: int
    layers: int


@dataclass(frozen=True, kw_only=True)
class TwinConvolutionalEncoderSpec(_Encoder):
    """Two stacks of convolutions over the same inputs, one for the attention's keys, the other for its
    values.
    """

    kind: Literal["conv"] = "conv"
    keys: ConvolutionsSpec
    values: ConvolutionsSpec
    positions: PositionSpec | None = None
    input_dropout: float = 0.0

    def memory_size(self, input_size: int) -> int:
        """See `_Encoder`."""
        return self.values.units

    def key_size(self, input_size: int) -> int:
        """See `_Encoder`."""
        return self.keys.units

    def log_lines(self) -> list[str]:
        """See `_Encoder`."""
        keys, values = self.keys, self.values
        sizes = f"keys {keys.layers} x {keys.units}; values {values.layers} x {values.units}"
        return ["   - type: convolutional", f"   - structure: layers x units = {sizes}"]


@dataclass(frozen=True, kw_only=True)
class PoolingEncoderSpec(_Encoder):
    """The attention's values are the word vectors, its keys the word vectors pooled over `size`
    neighbours.
    """

    kind: Literal["pooling"] = "pooling"
    pool: Literal["average", "max"]
    size: int
    positions: PositionSpec | None = None
    input_dropout: float = 0.0

    def memory_size(self, input_size: int) -> int:
        """See `_Encoder`."""
        return input_size

    def log_lines(self) -> list[str]:
        """See `_Encoder`."""
        return ["   - type: pooling", f"   - structure: {self.pool} over {self.size} positions"]


@dataclass(frozen=True, kw_only=True)
class InceptionEncoderSpec(_Encoder):
    """Inception v3 over an image, up to `endpoint` (named as in TF-slim)."""

    kind: Literal["inception"] = "inception"
    endpoint: str

    def memory_size(self, input_size: int) -> int:
        """See `_Encoder`."""
        return channels_at(self.endpoint)

    def log_lines(self) -> list[str]:
        """See `_Encoder`."""
        return [f"   - type: Inception v3 up to {self.endpoint}"]


EncoderSpec = (
    RecurrentEncoderSpec
    | PyramidalEncoderSpec
    | ConvolutionalEncoderSpec
    | TwinConvolutionalEncoderSpec
    | PoolingEncoderSpec
    | InceptionEncoderSpec
)
