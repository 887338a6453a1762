"""Lua's flags of encoders and recurrent layers, and the specs that they describe. Torch-free."""

from dataclasses import dataclass, replace
from typing import Literal

from onmt.commandline.declare import at_least, between, option
from onmt.errors import OptionError
from onmt.spec.layers import (
    CellSpec,
    ConvolutionalEncoderSpec,
    EncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    StackSpec,
)


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Encoder"""

    encoder_type: Literal["rnn", "brnn", "dbrnn", "pdbrnn", "gnmt", "cnn"] = option(
        "rnn",
        "The encoder: recurrent, bidirectional, deep bidirectional, pyramidal, GNMT's, or convolutional.",
        structural=0,
    )
    brnn: bool = option(False, "Use `-encoder_type brnn`.", deprecated=("encoder_type", "brnn"))
    dbrnn: bool = option(False, "Use `-encoder_type dbrnn`.", deprecated=("encoder_type", "dbrnn"))
    pdbrnn: bool = option(False, "Use `-encoder_type pdbrnn`.", deprecated=("encoder_type", "pdbrnn"))
    layers: int = option(2, "Recurrent layers of encoder and decoder.", structural=0, valid=at_least(0))
    rnn_size: int = option(500, "Units of a recurrent layer.", structural=0, valid=at_least(1))
    rnn_type: Literal["LSTM", "GRU"] = option("LSTM", "The recurrent cell.", structural=0)
    dropout: float = option(
        0.3,
        "Probability that a number is dropped between layers and on the decoder's output.",
        structural=1,
        valid=between(0, 1),
    )
    dropout_input: bool = option(False, "Apply `-dropout` to the input of the first layer too.", structural=0)
    dropout_words: float = option(
        0.0,
        "Probability that a source word is blanked during training.",
        structural=1,
        valid=between(0, 1),
    )
    dropout_type: Literal["naive", "variational"] = option(
        "naive",
        "Draw dropout anew at every step, or once per sentence and on the recurrent connection too.",
        structural=0,
    )
    residual: bool = option(False, "Add each layer's input to the next layer's input.", structural=0)
    brnn_merge: Literal["concat", "sum"] = option(
        "sum",
        "How `brnn`, `dbrnn` and `pdbrnn` join their directions; `concat` gives each half of `-rnn_size`.",
        structural=0,
    )
    pdbrnn_reduction: int = option(
        2, "How many time steps become one between two layers of `pdbrnn`.", structural=0, valid=at_least(1)
    )
    pdbrnn_merge: Literal["concat", "sum"] = option(
        "concat", "How `pdbrnn` makes one time step of several: joined or added.", structural=0
    )
    cnn_layers: int = option(2, "Layers of the `cnn` encoder.", structural=0, valid=at_least(0))
    cnn_kernel: int = option(3, "Positions that one convolution sees.", structural=0, valid=at_least(0))
    cnn_size: int = option(500, "Units of a layer of the `cnn` encoder.", structural=0, valid=at_least(0))
    use_pos_emb: bool = option(True, "Give the `cnn` encoder learned position embeddings.", structural=0)
    max_pos: int = option(
        50,
        "Positions with an embedding of their own; later ones share the last.",
        structural=0,
        valid=at_least(0),
    )

    def check(self) -> None:
        """Combinations of the encoder's options that cannot work."""
        concatenates = self.encoder_type == "gnmt" or (
            self.encoder_type in ("brnn", "dbrnn", "pdbrnn") and self.brnn_merge == "concat"
        )
        if concatenates and self.rnn_size % 2:
            raise OptionError(
                f"-rnn_size {self.rnn_size} is odd, but -encoder_type {self.encoder_type} gives a direction "
                "half of it: choose an even -rnn_size, or -brnn_merge sum"
            )
        if self.encoder_type == "cnn" and min(self.cnn_layers, self.cnn_kernel, self.cnn_size) < 1:
            raise OptionError(
                "-encoder_type cnn needs -cnn_layers, -cnn_kernel and -cnn_size of at least 1 each"
            )
        if self.encoder_type == "cnn" and self.use_pos_emb and self.max_pos < 1:
            raise OptionError("-max_pos must be at least 1; for a cnn without positions use -use_pos_emb 0")

    def encoder_spec(self, layers: int) -> EncoderSpec:
        """The encoder that the flags describe, with this many layers."""
        if self.encoder_type == "cnn":
            return ConvolutionalEncoderSpec(
                layers=self.cnn_layers,
                kernel=self.cnn_kernel,
                hidden_size=self.cnn_size,
                positions=self.max_pos if self.use_pos_emb else 0,
                input_dropout=self._input_dropout,
                layer_dropout=self.dropout,
            )
        stack = self.stack_spec(layers)
        if self.encoder_type == "gnmt":
            return RecurrentEncoderSpec(kind="gnmt", stack=stack, merge="concat")
        if self.encoder_type in ("dbrnn", "pdbrnn"):
            reduction = self.pdbrnn_reduction if self.encoder_type == "pdbrnn" else 1
            return PyramidalEncoderSpec(
                stack=replace(stack, residual="none"),
                merge=self.brnn_merge,
                reduction=reduction,
                reduction_merge=self.pdbrnn_merge,
            )
        kind: Literal["rnn", "brnn"] = "rnn" if self.encoder_type == "rnn" else "brnn"
        return RecurrentEncoderSpec(kind=kind, stack=stack, merge=self.brnn_merge)

    def stack_spec(self, layers: int) -> StackSpec:
        """A stack of this many recurrent layers, of an encoder or a decoder."""
        stack = StackSpec(
            cell=CellSpec(kind="lstm" if self.rnn_type == "LSTM" else "gru"),
            layers=layers,
            hidden_size=self.rnn_size,
            residual="lower" if self.residual else "none",
        )
        return self.stack_with_dropout(stack)

    def with_dropout(self, encoder: EncoderSpec) -> EncoderSpec:
        """The encoder with the dropout that the flags ask for: all that may change on a restart."""
        if isinstance(encoder, ConvolutionalEncoderSpec):
            return replace(encoder, input_dropout=self._input_dropout, layer_dropout=self.dropout)
        if isinstance(encoder, RecurrentEncoderSpec | PyramidalEncoderSpec):
            return replace(encoder, stack=self.stack_with_dropout(encoder.stack))
        return encoder

    def stack_with_dropout(self, stack: StackSpec) -> StackSpec:
        """The stack with the dropout that the flags ask for."""
        variational = self.dropout_type == "variational"
        return replace(
            stack,
            input_dropout=self._input_dropout,
            layer_dropout=self.dropout,
            recurrent_dropout=self.dropout if variational else 0.0,
            variational=variational,
        )

    def ignored_flags(self) -> list[str]:
        """Flags that the chosen encoder ignores, one sentence each."""
        notes = []
        if self.residual and self.encoder_type in ("dbrnn", "pdbrnn", "cnn"):
            notes.append(f"-residual has no effect in -encoder_type {self.encoder_type}, as in the original")
        if self.dropout_type == "variational" and self.encoder_type == "cnn":
            notes.append(
                "-dropout_type variational has no effect in -encoder_type cnn: its layers draw naively"
            )
        return notes

    @property
    def _input_dropout(self) -> float:
        return self.dropout if self.dropout_input else 0.0
