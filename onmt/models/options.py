"""Lua's flags for encoders, decoders and recurrent layers, and the specs that they describe. Torch-free."""

from dataclasses import dataclass, replace
from typing import Literal

from onmt.commandline.declare import at_least, between, existing_file_or_empty, option
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
        "Encoder: recurrent (`rnn`), bidirectional (`brnn`), deep bidirectional (`dbrnn`), pyramidal deep "
        "bidirectional (`pdbrnn`), GNMT's (`gnmt`) or convolutional (`cnn`).",
        structural=0,
    )
    brnn: bool = option(False, "Use `-encoder_type brnn`.", deprecated=("encoder_type", "brnn"))
    dbrnn: bool = option(False, "Use `-encoder_type dbrnn`.", deprecated=("encoder_type", "dbrnn"))
    pdbrnn: bool = option(False, "Use `-encoder_type pdbrnn`.", deprecated=("encoder_type", "pdbrnn"))
    layers: int = option(
        2, "Number of recurrent layers of the encoder and of the decoder.", structural=0, valid=at_least(0)
    )
    rnn_size: int = option(500, "Hidden size of a recurrent layer.", structural=0, valid=at_least(1))
    rnn_type: Literal["LSTM", "GRU"] = option("LSTM", "Type of recurrent cell.", structural=0)
    dropout: float = option(
        0.3,
        "Dropout probability between layers and on the decoder's output.",
        structural=1,
        valid=between(0, 1),
    )
    dropout_input: bool = option(False, "Apply `-dropout` to the input of the first layer too.", structural=0)
    dropout_words: float = option(
        0.0,
        "Probability that a source word is replaced by padding during training.",
        structural=1,
        valid=between(0, 1),
    )
    dropout_type: Literal["naive", "variational"] = option(
        "naive",
        "`naive`: a new dropout mask at every step. `variational`: one mask per sentence, and dropout on "
        "the recurrent connection too.",
        structural=0,
    )
    residual: bool = option(
        False,
        "Residual connections: add each layer's input to its output, but not in the top layer.",
        structural=0,
    )
    brnn_merge: Literal["concat", "sum"] = option(
        "sum",
        "How `brnn`, `dbrnn` and `pdbrnn` merge their two directions. With `concat` each direction has half "
        "of `-rnn_size`.",
        structural=0,
    )
    pdbrnn_reduction: int = option(
        2, "Time steps merged into one between two layers of `pdbrnn`.", structural=0, valid=at_least(1)
    )
    pdbrnn_merge: Literal["concat", "sum"] = option(
        "concat", "How `pdbrnn` merges time steps: `concat` joins them, `sum` adds them.", structural=0
    )
    cnn_layers: int = option(2, "Number of layers of the `cnn` encoder.", structural=0, valid=at_least(0))
    cnn_kernel: int = option(3, "Kernel width of `cnn`, in positions.", structural=0, valid=at_least(0))
    cnn_size: int = option(500, "Hidden size of the `cnn` encoder.", structural=0, valid=at_least(0))
    use_pos_emb: bool = option(True, "Use learned position embeddings in the `cnn` encoder.", structural=0)
    max_pos: int = option(
        50,
        "Number of positions with an embedding of their own; later positions share the last one.",
        structural=0,
        valid=at_least(0),
    )

    def check(self) -> None:
        """Raise OptionError for combinations of encoder options that cannot work."""
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
        """Return the encoder that the flags describe, with this many layers."""
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
        """Return a stack of this many recurrent layers, for an encoder or a decoder."""
        stack = StackSpec(
            cell=CellSpec(kind="lstm" if self.rnn_type == "LSTM" else "gru"),
            layers=layers,
            hidden_size=self.rnn_size,
            residual="lower" if self.residual else "none",
        )
        return self.stack_with_dropout(stack)

    def with_dropout(self, encoder: EncoderSpec) -> EncoderSpec:
        """Return the encoder with the dropout of the flags; a restart may change nothing else of it."""
        if isinstance(encoder, ConvolutionalEncoderSpec):
            return replace(encoder, input_dropout=self._input_dropout, layer_dropout=self.dropout)
        if isinstance(encoder, RecurrentEncoderSpec | PyramidalEncoderSpec):
            return replace(encoder, stack=self.stack_with_dropout(encoder.stack))
        return encoder

    def stack_with_dropout(self, stack: StackSpec) -> StackSpec:
        """Return the stack with the dropout of the flags."""
        variational = self.dropout_type == "variational"
        return replace(
            stack,
            input_dropout=self._input_dropout,
            layer_dropout=self.dropout,
            recurrent_dropout=self.dropout if variational else 0.0,
            variational=variational,
        )

    def ignored_flags(self) -> list[str]:
        """Return a warning for each flag that the chosen encoder ignores, one sentence each."""
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


@dataclass(frozen=True, kw_only=True)
class ModelTypeOptions:
    """Model"""

    model_type: Literal["lm", "seq2seq", "seqtagger"] = option(
        "seq2seq",
        "Model to train: a language model (`lm`), a translation model (`seq2seq`), or a model with one tag "
        "per word (`seqtagger`).",
        structural=0,
    )
    param_init: float = option(
        0.1,
        "Initialise parameters uniformly between minus and plus this; 0: as Torch7 does for each module.",
        init_only=True,
        valid=between(0, 1e37),
    )


@dataclass(frozen=True, kw_only=True)
class SourceEmbeddingOptions:
    """Source embeddings"""

    pre_word_vecs_enc: str = option(
        "",
        "File of pretrained word vectors for the encoder: a tensor (`.pt`, or Lua's `.t7`) with a row per "
        "word of the source vocabulary, and at most as many columns as the size of the word vectors.",
        init_only=True,
        valid=existing_file_or_empty,
    )
    fix_word_vecs_enc: bool | Literal["pretrained"] = option(
        False,
        "Do not train the encoder's word vectors; with `pretrained`, only the columns from "
        "`-pre_word_vecs_enc` are fixed.",
        structural=1,
    )
    feat_merge: Literal["concat", "sum"] = option(
        "concat", "How to merge vectors of word features: `concat` joins them, `sum` adds them.", structural=0
    )
    feat_vec_exponent: float = option(
        0.7,
        "With `-feat_merge concat`: a feature with N values has a vector of size N^this, rounded down.",
        structural=0,
    )
    feat_vec_size: int = option(
        20, "With `-feat_merge sum`: size of the vector of every feature.", structural=0, valid=at_least(0)
    )


@dataclass(frozen=True, kw_only=True)
class AttentionOptions:
    """Attention"""

    attention: Literal["none", "global"] = option(
        "global",
        "`global`: the decoder attends to all source positions. `none`: it sees only the last one. Only a "
        "`seq2seq` model has attention.",
        structural=0,
    )
    global_attention: Literal["general", "dot", "concat"] = option(
        "general", "Scoring function of `-attention global`.", structural=0
    )


@dataclass(frozen=True, kw_only=True)
class DecoderOptions:
    """Decoder"""

    enc_layers: int = option(
        0, "Number of layers of the encoder; 0: as `-layers`.", structural=0, valid=at_least(0)
    )
    dec_layers: int = option(
        0, "Number of layers of the decoder; 0: as `-layers`.", structural=0, valid=at_least(0)
    )
    word_vec_size: int = option(
        0,
        "Size of the word vectors on both sides; 0: as `-src_word_vec_size` and `-tgt_word_vec_size`.",
        structural=0,
        valid=at_least(0),
    )
    src_word_vec_size: tuple[int, ...] = option(
        (500,), "Size of the source word vectors; further numbers are for the source features.", structural=0
    )
    tgt_word_vec_size: tuple[int, ...] = option(
        (500,), "Size of the target word vectors; further numbers are for the target features.", structural=0
    )
    pre_word_vecs_dec: str = option(
        "",
        "File of pretrained word vectors for the decoder, as `-pre_word_vecs_enc` for the encoder.",
        init_only=True,
        valid=existing_file_or_empty,
    )
    fix_word_vecs_dec: bool | Literal["pretrained"] = option(
        False,
        "Do not train the decoder's word vectors; with `pretrained`, only the columns from "
        "`-pre_word_vecs_dec` are fixed.",
        structural=1,
    )
    bridge: Literal["copy", "dense", "dense_nonlinear", "none"] = option(
        "copy",
        "How the decoder's first states are computed from the encoder's last ones. `copy`: unchanged. "
        "`dense`: by a linear layer. `dense_nonlinear`: by a linear layer and tanh. `none`: not at all.",
        structural=0,
    )
    input_feed: bool = option(
        True, "Feed the previous attentional output to the decoder beside the previous word.", structural=0
    )
    scheduled_sampling: float = option(
        1.0,
        "Scheduled sampling: probability that the decoder is fed the gold previous word, instead of the "
        "likeliest word of its own prediction.",
        valid=between(0, 1),
    )
    scheduled_sampling_scope: Literal["token", "sentence"] = option(
        "token", "Whether `-scheduled_sampling` decides for each word (`token`) or once per `sentence`."
    )
    scheduled_sampling_decay_type: Literal["linear", "invsigmoid"] = option(
        "linear",
        "How `-scheduled_sampling` p decreases with rate r after i epochs. `linear`: p - r * i. "
        "`invsigmoid`: p * r / (r + exp(i / r) - 1).",
    )
    scheduled_sampling_decay_rate: float = option(
        0.0, "Rate r of `-scheduled_sampling_decay_type`; 0: no decay.", valid=at_least(0)
    )


@dataclass(frozen=True, kw_only=True)
class Seq2SeqModelOptions(
    DecoderOptions, AttentionOptions, EncoderOptions, SourceEmbeddingOptions, ModelTypeOptions
):
    """Sequence to sequence"""

    @property
    def encoder_layers(self) -> int:
        """Number of recurrent layers of the encoder."""
        return self.enc_layers or self.layers

    @property
    def decoder_layers(self) -> int:
        """Number of recurrent layers of the decoder."""
        return self.dec_layers or self.layers

    def check(self) -> None:
        """Raise OptionError for combinations of encoder, bridge and decoder that cannot work."""
        if min(self.encoder_layers, self.decoder_layers) < 1:
            raise OptionError("-layers must be at least 1 (or -enc_layers and -dec_layers both)")
        if self.encoder_type == "gnmt" and self.encoder_layers < 2:
            raise OptionError("-encoder_type gnmt needs at least 2 layers: raise -layers or -enc_layers")
        if self.encoder_type == "cnn":
            self._check_cnn()
        elif self.bridge == "copy" and self.encoder_layers != self.decoder_layers:
            raise OptionError(
                f"-bridge copy needs as many decoder layers as encoder layers, not {self.encoder_layers} and "
                f"{self.decoder_layers}: change -enc_layers or -dec_layers, or use -bridge dense"
            )
        for side, size in (("src", self.src_word_vec_size), ("tgt", self.tgt_word_vec_size)):
            if not self.word_vec_size and min(size, default=0) < 1:
                raise OptionError(f"-{side}_word_vec_size must be at least 1")

    def _check_cnn(self) -> None:
        if self.bridge == "copy":
            raise OptionError(
                "invalid dependency for option -encoder_type: a cnn has no recurrent states to copy, "
                "use -bridge dense, dense_nonlinear or none"
            )
        if self.cnn_size != self.rnn_size:
            raise OptionError(
                f"-cnn_size {self.cnn_size} must equal -rnn_size {self.rnn_size}: attention compares the two"
            )


@dataclass(frozen=True, kw_only=True)
class WordVectorOptions:
    """Embeddings"""

    word_vec_size: tuple[int, ...] = option(
        (500,), "Size of the word vectors; further numbers are for the word features.", structural=0
    )

    def check(self) -> None:
        """Raise OptionError unless there is a width and all are positive."""
        if min(self.word_vec_size, default=0) < 1:
            raise OptionError("-word_vec_size must be at least 1")


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions(
    WordVectorOptions, AttentionOptions, EncoderOptions, SourceEmbeddingOptions, ModelTypeOptions
):
    """Language model"""

    def check(self) -> None:
        """Raise OptionError if the encoder would see the words to predict, or has no layers."""
        if self.encoder_type != "rnn":
            raise OptionError(
                f"-model_type lm cannot use -encoder_type {self.encoder_type}: it would see the words it has "
                "to predict; use -encoder_type rnn"
            )
        if self.layers < 1:
            raise OptionError("-layers must be at least 1")


@dataclass(frozen=True, kw_only=True)
class TaggerOptions(
    WordVectorOptions, AttentionOptions, EncoderOptions, SourceEmbeddingOptions, ModelTypeOptions
):
    """Sequence tagger"""

    loglikelihood: Literal["word", "sentence"] = option(
        "word",
        "`word`: train each tag on its own. `sentence`: train the whole sequence, with transitions between "
        "tags.",
        structural=1,
    )

    def check(self) -> None:
        """Raise OptionError for too few layers, or fewer memory positions than words."""
        if self.layers < 1:
            raise OptionError("-layers must be at least 1")
        if self.encoder_type == "gnmt" and self.layers < 2:
            raise OptionError("-encoder_type gnmt needs at least 2 layers: raise -layers")
        if self.encoder_type == "pdbrnn" and self.pdbrnn_reduction > 1 and self.layers > 1:
            raise OptionError(
                "-model_type seqtagger needs one output per word, but -encoder_type pdbrnn makes fewer: use "
                "-encoder_type dbrnn, or -pdbrnn_reduction 1"
            )


ModelOptions = Seq2SeqModelOptions | LanguageModelOptions | TaggerOptions
