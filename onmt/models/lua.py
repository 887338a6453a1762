"""From Lua's flags to a ModelSpec. No torch here."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from onmt.errors import OptionError
from onmt.models.options import (
    EncoderOptions,
    LanguageModelOptions,
    ModelOptions,
    Seq2SeqModelOptions,
    SourceEmbeddingOptions,
    TaggerOptions,
)
from onmt.spec.layers import (
    CellSpec,
    ConvolutionalEncoderSpec,
    EncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    StackSpec,
)
from onmt.spec.model import (
    AttentionSpec,
    BridgeSpec,
    DecoderSpec,
    EmbeddingSpec,
    ModelSpec,
    PolicySpec,
    TableSpec,
    VectorSpec,
)

BRIDGES: dict[str, BridgeSpec] = {
    "copy": BridgeSpec(kind="copy"),
    "dense": BridgeSpec(kind="dense"),
    "dense_nonlinear": BridgeSpec(kind="dense", activation="tanh"),
    "none": BridgeSpec(kind="none"),
}


@dataclass(frozen=True)
class DataSizes:
    """What a model must know of its data: vocabulary sizes (words, then features), the width of source
    vectors, or height and width of images.

    src is empty for vectors and images; tgt is empty for a language model. `features_shifted`: a target
    word's features come one step after it.
    """

    src: tuple[int, ...]
    tgt: tuple[int, ...]
    src_vector_size: int = 0
    src_image_size: tuple[int, int] | None = None
    features_shifted: bool = True


def spec_from_options(options: ModelOptions, sizes: DataSizes) -> ModelSpec:
    """The model that the flags describe. Raises OptionError where they do not fit the data."""
    if sizes.src_image_size is not None:
        raise OptionError("the data is images: only -model Image2Seq learns from them")
    if not sizes.src and options.dropout_words > 0:
        raise OptionError("-dropout_words needs words, but the source is vectors")
    policies = PolicySpec(features_shifted=sizes.features_shifted)
    if isinstance(options, Seq2SeqModelOptions):
        return ModelSpec(
            model_type="seq2seq",
            source=_source(options, options.src_word_vec_size, sizes, options.word_vec_size),
            encoder=encoder_spec(options, options.encoder_layers),
            outputs=sizes.tgt,
            bridge=BRIDGES[options.bridge],
            decoder=_decoder(options, sizes),
            word_dropout=options.dropout_words,
            policies=policies,
        )
    source = _source(options, options.word_vec_size, sizes)
    encoder = encoder_spec(options, options.layers)
    if isinstance(options, LanguageModelOptions):
        return ModelSpec(
            model_type="lm",
            source=source,
            encoder=encoder,
            outputs=sizes.src,
            word_dropout=options.dropout_words,
            policies=policies,
        )
    if options.loglikelihood == "sentence" and len(sizes.tgt) > 1:
        raise OptionError("-loglikelihood sentence knows no target features: use -loglikelihood word")
    return ModelSpec(
        model_type="seqtagger",
        source=source,
        encoder=encoder,
        outputs=sizes.tgt,
        word_dropout=options.dropout_words,
        transitions=options.loglikelihood == "sentence",
        policies=policies,
    )


def restructured(spec: ModelSpec, options: ModelOptions) -> ModelSpec:
    """`spec` with what may change on a restart taken from the flags: dropout, frozen word vectors, kind of
    likelihood.
    """
    source = spec.source
    if isinstance(source, EmbeddingSpec):
        source = with_frozen_columns(source, options.fix_word_vecs_enc, "enc")
    encoder = spec.encoder
    if isinstance(encoder, ConvolutionalEncoderSpec):
        dropouts = _dropouts(options)
        encoder = replace(
            encoder, input_dropout=dropouts["input_dropout"], layer_dropout=dropouts["layer_dropout"]
        )
    elif isinstance(encoder, RecurrentEncoderSpec | PyramidalEncoderSpec):
        encoder = replace(encoder, stack=_with_dropout(encoder.stack, options))
    decoder = spec.decoder
    if decoder is not None and isinstance(options, Seq2SeqModelOptions):
        decoder = replace(
            decoder,
            embedding=with_frozen_columns(decoder.embedding, options.fix_word_vecs_dec, "dec"),
            stack=_with_dropout(decoder.stack, options),
            output_dropout=options.dropout,
        )
    transitions = options.loglikelihood == "sentence" if isinstance(options, TaggerOptions) else False
    return replace(
        spec,
        source=source,
        encoder=encoder,
        decoder=decoder,
        word_dropout=options.dropout_words,
        transitions=transitions,
    )


def with_frozen_columns(
    spec: EmbeddingSpec, fix: bool | Literal["pretrained"], side: Literal["enc", "dec"]
) -> EmbeddingSpec:
    """`spec` with the columns frozen that `-fix_word_vecs_*` asks for."""
    if fix == "pretrained":
        if not spec.pretrained_columns:
            raise OptionError(
                f"-fix_word_vecs_{side} pretrained needs word vectors from -pre_word_vecs_{side}"
            )
        return replace(spec, frozen_columns=spec.pretrained_columns)
    return replace(spec, frozen_columns=spec.tables[0].dim if fix else 0)


def encoder_spec(options: EncoderOptions, layers: int) -> EncoderSpec:
    """The encoder that the flags describe, with so many layers."""
    if options.encoder_type == "cnn":
        return ConvolutionalEncoderSpec(
            layers=options.cnn_layers,
            kernel=options.cnn_kernel,
            hidden_size=options.cnn_size,
            positions=options.max_pos if options.use_pos_emb else 0,
            input_dropout=options.dropout if options.dropout_input else 0.0,
            layer_dropout=options.dropout,
        )
    stack = _stack(options, layers)
    if options.encoder_type == "gnmt":
        return RecurrentEncoderSpec(kind="gnmt", stack=stack, merge="concat")
    if options.encoder_type in ("dbrnn", "pdbrnn"):
        reduction = options.pdbrnn_reduction if options.encoder_type == "pdbrnn" else 1
        return PyramidalEncoderSpec(
            stack=replace(stack, residual="none"),
            merge=options.brnn_merge,
            reduction=reduction,
            reduction_merge=options.pdbrnn_merge,
        )
    kind: Literal["rnn", "brnn"] = "rnn" if options.encoder_type == "rnn" else "brnn"
    return RecurrentEncoderSpec(kind=kind, stack=stack, merge=options.brnn_merge)


def structure_notes(options: ModelOptions) -> list[str]:
    """Flags that the chosen encoder has no use for, one sentence each: worth a warning, not a refusal."""
    notes = []
    if options.residual and options.encoder_type in ("dbrnn", "pdbrnn", "cnn"):
        notes.append(f"-residual has no effect in -encoder_type {options.encoder_type}, as in the original")
    if options.dropout_type == "variational" and options.encoder_type == "cnn":
        notes.append("-dropout_type variational has no effect in -encoder_type cnn: its layers draw naively")
    if options.encoder_type == "cnn" and isinstance(options, Seq2SeqModelOptions) and options.enc_layers:
        notes.append("-enc_layers has no effect in -encoder_type cnn: use -cnn_layers")
    return notes


def _stack(options: EncoderOptions, layers: int) -> StackSpec:
    stack = StackSpec(
        cell=CellSpec(kind="lstm" if options.rnn_type == "LSTM" else "gru"),
        layers=layers,
        hidden_size=options.rnn_size,
        residual="lower" if options.residual else "none",
    )
    return _with_dropout(stack, options)


def _with_dropout(stack: StackSpec, options: EncoderOptions) -> StackSpec:
    dropouts = _dropouts(options)
    return replace(
        stack,
        input_dropout=dropouts["input_dropout"],
        layer_dropout=dropouts["layer_dropout"],
        recurrent_dropout=dropouts["recurrent_dropout"],
        variational=options.dropout_type == "variational",
    )


def _dropouts(options: EncoderOptions) -> dict[str, float]:
    return {
        "input_dropout": options.dropout if options.dropout_input else 0.0,
        "layer_dropout": options.dropout,
        "recurrent_dropout": options.dropout if options.dropout_type == "variational" else 0.0,
    }


def _decoder(options: Seq2SeqModelOptions, sizes: DataSizes) -> DecoderSpec:
    embedding = _embedding(options, options.tgt_word_vec_size, sizes.tgt, options.word_vec_size, "tgt")
    return DecoderSpec(
        embedding=_frozen_by_flag(embedding, options.fix_word_vecs_dec, "dec"),
        stack=_stack(options, options.decoder_layers),
        attention=AttentionSpec(score="last" if options.attention == "none" else options.global_attention),
        feed="output" if options.input_feed else "none",
        output_dropout=options.dropout,
    )


def _source(
    options: SourceEmbeddingOptions, vector_sizes: tuple[int, ...], sizes: DataSizes, word_size: int = 0
) -> EmbeddingSpec | VectorSpec:
    if not sizes.src:
        return VectorSpec(size=sizes.src_vector_size)
    embedding = _embedding(options, vector_sizes, sizes.src, word_size, "src")
    return _frozen_by_flag(embedding, options.fix_word_vecs_enc, "enc")


def _frozen_by_flag(
    spec: EmbeddingSpec, fix: bool | Literal["pretrained"], side: Literal["enc", "dec"]
) -> EmbeddingSpec:
    """Which columns are `pretrained` is known only once their file is read; the trainer freezes them then."""
    return spec if fix == "pretrained" else with_frozen_columns(spec, fix, side)


def _embedding(
    options: SourceEmbeddingOptions,
    vector_sizes: tuple[int, ...],
    table_sizes: tuple[int, ...],
    word_size: int,
    side: str,
) -> EmbeddingSpec:
    """Widths as OpenNMT-lua onmt/Factory.lua decides them: given ones first, then by merge rule."""
    dims = [word_size or vector_sizes[0]]
    for index, size in enumerate(table_sizes[1:], start=1):
        if index < len(vector_sizes):
            dims.append(vector_sizes[index])
        elif options.feat_merge == "sum":
            dims.append(options.feat_vec_size)
        else:
            dims.append(math.floor(size**options.feat_vec_exponent))
    if min(dims) < 1:
        raise OptionError(
            f"the vectors of {side} word features would be empty: raise -feat_vec_size or -feat_vec_exponent"
        )
    if options.feat_merge == "sum" and len(set(dims[1:])) > 1:
        raise OptionError(
            f"-feat_merge sum needs features of one width, but -{side}_word_vec_size gives several"
        )
    tables = tuple(TableSpec(size=size, dim=dim) for size, dim in zip(table_sizes, dims, strict=True))
    return EmbeddingSpec(tables=tables, feature_merge=options.feat_merge)
