"""What recurrent cells and stacks of them are. No torch here; shape letters as in `onmt/models/spec.py`."""

from dataclasses import dataclass
from typing import Literal

CellKind = Literal["lstm", "gru", "gru_reset_before", "tanh"]
Activation = Literal["identity", "tanh", "relu", "sigmoid"]


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One recurrent cell. `gru_reset_before` is TensorFlow's GRU, whose reset gate acts before the matrix
    product; `tanh` has no gates. `single_bias`: one bias vector, as TensorFlow has, instead of one for inputs
    and one for states. `activation` stands where the textbooks have tanh, in the kind `tanh` too.

    Of the LSTM alone: `forget_bias` is added to the forget gate at every step (1.0 in TensorFlow's cell);
    with `peepholes` the gates see the cell state; no number in it may be larger than `cell_clip`; the output
    is mapped to a width of `projection`, with no number larger than `projection_clip` (0: none of these).
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
        """Linear maps of input and output that it computes, the candidate's among them: each has
        `hidden_size` rows of the weights.
        """
        return {"lstm": 4, "gru": 3, "gru_reset_before": 3, "tanh": 1}[self.kind]

    @property
    def standard(self) -> bool:
        """Whether it is the textbooks' cell, with tanh and nothing added: torch and the kernels know it."""
        return self.activation == "tanh" and not (self.peepholes or self.cell_clip or self.projection)


@dataclass(frozen=True, kw_only=True)
class StackSpec:
    """Recurrent layers on top of each other.

    Dropout probabilities: `input_dropout` on the input of layer 1, `layer_dropout` on the inputs of layers 2
    to L, `recurrent_dropout` on the previous output h inside each cell, `output_dropout` on each layer's
    output. `variational` reuses one mask for all steps of a sentence. Residual connections: `lower` adds a
    layer's dropped-out input to its output below the top layer only, as Lua does; `add`, `mean` and `concat`
    combine the un-dropped input with every layer's output (`residual_dense`: all earlier inputs).
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
        """Width of what a layer's cells put out."""
        return self.cell.projection or self.hidden_size

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Width of each state tensor: layer by layer, and (c, h) within an LSTM layer."""
        of_layer = (self.hidden_size, self.layer_size) if self.cell.states == 2 else (self.layer_size,)
        return of_layer * self.layers

    def output_size(self, input_size: int) -> int:
        """Width of what the top layer passes on."""
        if self.residual != "concat":
            return self.layer_size
        widths = [input_size]
        for _ in range(self.layers):
            earlier = sum(widths) if self.residual_dense else widths[-1]
            widths.append(self.layer_size + earlier)
        return widths[-1]
