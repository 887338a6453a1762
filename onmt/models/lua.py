"""Convert Lua's flags to a ModelSpec. Torch-free."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from onmt.errors import OptionError
from onmt.models.options import (
    LanguageModelOptions,
    ModelOptions,
    Seq2SeqModelOptions,
    SourceEmbeddingOptions,
    TaggerOptions,
)
from onmt.spec.layers import PyramidalEncoderSpec
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
    """Sizes of the data that a model depends on: vocabulary sizes (words, then features), width of source
    vectors, or height and width of images.

    src is empty for vectors and images; tgt is empty for a language model. `features_shifted`: a target
    word's features come one step after the word.
    """

    src: tuple[int, ...]
    tgt: tuple[int, ...]
    src_vector_size: int = 0
    src_image_size: tuple[int, int] | None = None
    features_shifted: bool = True


def spec_from_options(options: ModelOptions, sizes: DataSizes) -> ModelSpec:
    """Return the model that the flags describe. Raises OptionError if they do not fit the data."""
    if sizes.src_image_size is not None:
        raise OptionError("the data is images: only -model Image2Seq can be trained on them")
    if not sizes.src and options.dropout_words > 0:
        raise OptionError("-dropout_words needs words, but the source is vectors")
    policies = PolicySpec(features_shifted=sizes.features_shifted)
    if isinstance(options, Seq2SeqModelOptions):
        return ModelSpec(
            model_type="seq2seq",
            source=_source(options, options.src_word_vec_size, sizes, options.word_vec_size),
            encoder=options.encoder_spec(options.encoder_layers),
            outputs=sizes.tgt,
            bridge=BRIDGES[options.bridge],
            decoder=_decoder(options, sizes),
            word_dropout=options.dropout_words,
            policies=policies,
        )
    source = _source(options, options.word_vec_size, sizes)
    encoder = options.encoder_spec(options.layers)
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
        raise OptionError("-loglikelihood sentence does not support target features: use -loglikelihood word")
    return ModelSpec(
        model_type="seqtagger",
        source=source,
        encoder=encoder,
        outputs=sizes.tgt,
        word_dropout=options.dropout_words,
        transitions=options.loglikelihood == "sentence",
        policies=policies,
    )


def with_shared_tables(spec: ModelSpec, share_embeddings: bool, share_decoder_embeddings: bool) -> ModelSpec:
    """Return `spec` with one table of word vectors for both sides, and with the decoder's table as weight of
    the output layer, as the flags ask.

    Raises OptionError if tables, widths or a `concat` residual do not allow it.
    """
    decoder = spec.decoder
    if decoder is None or not (share_embeddings or share_decoder_embeddings):
        return spec
    if share_embeddings:
        if spec.source != decoder.embedding:
            raise OptionError(
                "-share_embeddings needs equal tables on both sides: one vocabulary, no word features on one "
                "side only, the same width (-word_vec_size), -pre_word_vecs_* and -fix_word_vecs_*"
            )
        decoder = replace(decoder, shares_source_embedding=True)
    if share_decoder_embeddings:
        width, wanted = decoder.embedding.tables[0].dim, decoder.stack.layer_size
        if decoder.stack.residual == "concat":
            raise OptionError("-share_decoder_embeddings cannot be used with residual_combiner concat")
        if width != wanted:
            raise OptionError(
                f"-share_decoder_embeddings needs word vectors as wide as the decoder's output, not {width} "
                f"and {wanted}: set -word_vec_size (or the last -rnn_size) accordingly"
            )
        decoder = replace(decoder, ties_output=True)
    return replace(spec, decoder=decoder)


def with_coverage(spec: ModelSpec) -> ModelSpec:
    """Return `spec` with coverage in its attention. Raises OptionError without attention."""
    decoder = _attending(spec, "-coverage_attn")
    return replace(spec, decoder=replace(decoder, attention=replace(decoder.attention, coverage=True)))


def with_copying(spec: ModelSpec) -> ModelSpec:
    """Return `spec` with a decoder that can copy source words.

    Raises OptionError without attention, without source words, or without one memory position per word.
    """
    decoder, encoder = _attending(spec, "-copy_attn"), spec.encoder
    if not isinstance(spec.source, EmbeddingSpec):
        raise OptionError("-copy_attn needs source words: this model reads none")
    if isinstance(encoder, PyramidalEncoderSpec) and encoder.reduction > 1 and encoder.stack.layers > 1:
        raise OptionError(
            "-copy_attn needs one memory position per source word, but -encoder_type pdbrnn makes fewer: use "
            "-encoder_type dbrnn"
        )
    return replace(spec, decoder=replace(decoder, copies=True))


def _attending(spec: ModelSpec, wanted_by: str) -> DecoderSpec:
    """Return the decoder. Raises OptionError if it has no attention."""
    decoder = spec.decoder
    if decoder is None or not decoder.attention.attends:
        raise OptionError(f"{wanted_by} needs a decoder with attention: this one has none")
    return decoder


def restructured(spec: ModelSpec, options: ModelOptions) -> ModelSpec:
    """Return `spec` with the settings that a restart may change taken from the flags: dropout, frozen word
    vectors, kind of likelihood.
    """
    spec = with_frozen_vectors(spec, options)
    decoder = spec.decoder
    if decoder is not None and isinstance(options, Seq2SeqModelOptions):
        decoder = replace(
            decoder, stack=options.stack_with_dropout(decoder.stack), output_dropout=options.dropout
        )
    return replace(
        spec,
        encoder=options.with_dropout(spec.encoder),
        decoder=decoder,
        word_dropout=options.dropout_words,
        transitions=isinstance(options, TaggerOptions) and options.loglikelihood == "sentence",
    )


def with_frozen_vectors(spec: ModelSpec, options: ModelOptions) -> ModelSpec:
    """Return `spec`, of either dialect, with the word vectors frozen that `-fix_word_vecs_*` names.

    Raises OptionError if there are no vectors from a file, or if both sides share a table but their settings
    differ.
    """
    source, decoder = spec.source, spec.decoder
    if isinstance(source, EmbeddingSpec):
        source = _with_frozen_columns(source, options.fix_word_vecs_enc, "enc")
    if decoder is not None and isinstance(options, Seq2SeqModelOptions):
        embedding = _with_frozen_columns(decoder.embedding, options.fix_word_vecs_dec, "dec")
        decoder = replace(decoder, embedding=embedding)
        if decoder.shares_source_embedding and embedding != source:
            raise OptionError(
                "the model has one table of word vectors for both sides (-share_embeddings, "
                "embedding.share): give -fix_word_vecs_enc and -fix_word_vecs_dec the same value, and "
                "-pre_word_vecs_enc and -pre_word_vecs_dec the same file"
            )
    return replace(spec, source=source, decoder=decoder)


def _with_frozen_columns(
    spec: EmbeddingSpec, fix: bool | Literal["pretrained"], side: Literal["enc", "dec"]
) -> EmbeddingSpec:
    """Return `spec` with the columns frozen that `-fix_word_vecs_*` names."""
    if fix == "pretrained":
        if not spec.pretrained_columns:
            raise OptionError(
                f"-fix_word_vecs_{side} pretrained needs word vectors from -pre_word_vecs_{side}"
            )
        return replace(spec, frozen_columns=spec.pretrained_columns)
    return replace(spec, frozen_columns=spec.tables[0].dim if fix else 0)


def structure_notes(options: ModelOptions) -> list[str]:
    """Return a warning for each flag that the chosen encoder ignores, one sentence each."""
    notes = options.ignored_flags()
    if options.encoder_type == "cnn" and isinstance(options, Seq2SeqModelOptions) and options.enc_layers:
        notes.append("-enc_layers has no effect in -encoder_type cnn: use -cnn_layers")
    return notes


def _decoder(options: Seq2SeqModelOptions, sizes: DataSizes) -> DecoderSpec:
    embedding = _embedding(options, options.tgt_word_vec_size, sizes.tgt, options.word_vec_size, "tgt")
    return DecoderSpec(
        embedding=_frozen_by_flag(embedding, options.fix_word_vecs_dec, "dec"),
        stack=options.stack_spec(options.decoder_layers),
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
    """Freeze columns, except for `pretrained`: the trainer does that once the file with the columns is
    read.
    """
    return spec if fix == "pretrained" else _with_frozen_columns(spec, fix, side)


def _embedding(
    options: SourceEmbeddingOptions,
    vector_sizes: tuple[int, ...],
    table_sizes: tuple[int, ...],
    word_size: int,
    side: str,
) -> EmbeddingSpec:
    """Describe one side's embedding tables, with widths as in OpenNMT-lua onmt/Factory.lua: given ones first,
    then by merge rule.
    """
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
