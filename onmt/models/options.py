"""Options that describe a model, in Lua's flags. Torch-free."""

from dataclasses import dataclass
from typing import Literal

from onmt.commandline.declare import at_least, between, existing_file_or_empty, option
from onmt.errors import OptionError
from onmt.models.encoder_options import EncoderOptions


@dataclass(frozen=True, kw_only=True)
class ModelTypeOptions:
    """Model"""

    model_type: Literal["lm", "seq2seq", "seqtagger"] = option(
        "seq2seq",
        "What is learnt: a language model, a translation of sequences into sequences, or one tag per word.",
        structural=0,
    )
    param_init: float = option(
        0.1,
        "Parameters start uniformly between minus and plus this number; 0: as Torch7 starts each module.",
        init_only=True,
        valid=between(0, 1e37),
    )


@dataclass(frozen=True, kw_only=True)
class SourceEmbeddingOptions:
    """Source embeddings"""

    pre_word_vecs_enc: str = option(
        "",
        "A file with word vectors that the encoder starts from: a tensor (`.pt`, or Lua's `.t7`) with a row "
        "per word of the source vocabulary, and at most as many columns as the word vectors are wide.",
        init_only=True,
        valid=existing_file_or_empty,
    )
    fix_word_vecs_enc: bool | Literal["pretrained"] = option(
        False,
        "Keep the encoder's word vectors as they are: all of them, or the columns that came from "
        "`-pre_word_vecs_enc`.",
        structural=1,
    )
    feat_merge: Literal["concat", "sum"] = option(
        "concat", "Join the vectors of several word features, or add them.", structural=0
    )
    feat_vec_exponent: float = option(
        0.7,
        "With `-feat_merge concat`, a feature with N values has a vector of N to this power, rounded down.",
        structural=0,
    )
    feat_vec_size: int = option(
        20, "With `-feat_merge sum`, the width of every feature's vector.", structural=0, valid=at_least(0)
    )


@dataclass(frozen=True, kw_only=True)
class AttentionOptions:
    """Attention"""

    attention: Literal["none", "global"] = option(
        "global",
        "Whether the decoder looks at all source positions; `none`: at the last one only. Only a `seq2seq` "
        "model has attention.",
        structural=0,
    )
    global_attention: Literal["general", "dot", "concat"] = option(
        "general", "How a source position is scored.", structural=0
    )


@dataclass(frozen=True, kw_only=True)
class DecoderOptions:
    """Decoder"""

    enc_layers: int = option(
        0, "Layers of the encoder, if not those of `-layers`.", structural=0, valid=at_least(0)
    )
    dec_layers: int = option(
        0, "Layers of the decoder, if not those of `-layers`.", structural=0, valid=at_least(0)
    )
    word_vec_size: int = option(
        0, "Width of word vectors on both sides; 0: by side.", structural=0, valid=at_least(0)
    )
    src_word_vec_size: tuple[int, ...] = option(
        (500,), "Width of source word vectors, then of each source feature.", structural=0
    )
    tgt_word_vec_size: tuple[int, ...] = option(
        (500,), "Width of target word vectors, then of each target feature.", structural=0
    )
    pre_word_vecs_dec: str = option(
        "",
        "A file with word vectors that the decoder starts from, as `-pre_word_vecs_enc` for the encoder.",
        init_only=True,
        valid=existing_file_or_empty,
    )
    fix_word_vecs_dec: bool | Literal["pretrained"] = option(
        False,
        "Keep the decoder's word vectors as they are: all of them, or the columns that came from "
        "`-pre_word_vecs_dec`.",
        structural=1,
    )
    bridge: Literal["copy", "dense", "dense_nonlinear", "none"] = option(
        "copy",
        "How the decoder's first states come from the encoder's last: unchanged, through a linear layer, "
        "through a linear layer and tanh, or not at all.",
        structural=0,
    )
    input_feed: bool = option(
        True, "Give the decoder its previous attentional output beside the previous word.", structural=0
    )
    scheduled_sampling: float = option(
        1.0,
        "Probability that the decoder is fed the gold previous word; otherwise its own best guess.",
        valid=between(0, 1),
    )
    scheduled_sampling_scope: Literal["token", "sentence"] = option(
        "token", "Whether `-scheduled_sampling` decides per word or for a whole sentence at once."
    )
    scheduled_sampling_decay_type: Literal["linear", "invsigmoid"] = option(
        "linear", "How `-scheduled_sampling` falls from epoch to epoch."
    )
    scheduled_sampling_decay_rate: float = option(
        0.0, "How fast `-scheduled_sampling` falls; 0: not at all.", valid=at_least(0)
    )


@dataclass(frozen=True, kw_only=True)
class Seq2SeqModelOptions(
    DecoderOptions, AttentionOptions, EncoderOptions, SourceEmbeddingOptions, ModelTypeOptions
):
    """Sequence to sequence"""

    @property
    def encoder_layers(self) -> int:
        """Recurrent layers of the encoder."""
        return self.enc_layers or self.layers

    @property
    def decoder_layers(self) -> int:
        """Recurrent layers of the decoder."""
        return self.dec_layers or self.layers

    def check(self) -> None:
        """Combinations of encoder, bridge and decoder that cannot work."""
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
        (500,), "Width of word vectors, then of each feature's vector.", structural=0
    )

    def check(self) -> None:
        """Every width given is one."""
        if min(self.word_vec_size, default=0) < 1:
            raise OptionError("-word_vec_size must be at least 1")


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions(
    WordVectorOptions, AttentionOptions, EncoderOptions, SourceEmbeddingOptions, ModelTypeOptions
):
    """Language model"""

    def check(self) -> None:
        """A language model must not see the words that it has to predict."""
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
        "Learn each tag on its own, or the whole sequence with transitions between tags.",
        structural=1,
    )

    def check(self) -> None:
        """A tagger needs one memory position per word."""
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
