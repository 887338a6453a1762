"""Translate google/seq2seq's `-model` and `-model_params` to a ModelSpec. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from onmt.commandline.values import did_you_mean
from onmt.constants import SPECIAL_WORDS
from onmt.errors import OptionError
from onmt.google.layers import (
    activation_of,
    check_passed_on,
    encoder_of,
    positions_of,
    stack_of,
    used_parameters,
)
from onmt.google.parameters import (
    ATTENTIONS,
    BRIDGES,
    DECODERS,
    ENCODERS,
    MODELS,
    Parameters,
    Part,
    check_least,
    class_name,
    merged,
    part_of,
)
from onmt.models.lua import DataSizes
from onmt.spec.inception import STAGES, grid_at
from onmt.spec.layers import StackSpec
from onmt.spec.model import (
    AttentionSpec,
    BridgeSpec,
    DecoderSpec,
    EmbeddingSpec,
    ImageSpec,
    InitialisationSpec,
    ModelSpec,
    PolicySpec,
    SourceSpec,
    TableSpec,
)

_UNUSED_INIT_SCALE: Final = 0.04  # for encoders without this parameter, none of whose weights use it
_LEAST_OF_MODELS: Final = {
    "source.max_seq_len": 1,
    "target.max_seq_len": 2,
    "embedding.dim": 1,
    "embedding.init_scale": 0,
    "inference.max_decode_length": 1,
    "inference.beam_search.length_penalty_weight": 0,
}
_LEAST_OF_PARTS: Final = {
    "init_scale": 0,
    "max_decode_length": 1,
    "pool_size": 1,
    "position_embeddings.num_positions": 1,
}
_SCORES: Final[Mapping[str, Literal["bahdanau", "projected_dot"]]] = {
    "AttentionLayerBahdanau": "bahdanau",
    "AttentionLayerDot": "projected_dot",
}


@dataclass(frozen=True, kw_only=True)
class GoogleModel:
    """A model class with all its parameters, checked. `parameters` are the model's own; each part holds its
    own. attention: None for classes without attention.
    """

    name: str
    parameters: Parameters
    encoder: Part
    decoder: Part
    bridge: Part
    attention: Part | None

    @property
    def shares_embedding(self) -> bool:
        """Whether source and target share one table of word vectors."""
        return bool(self.parameters.get("embedding.share"))

    @property
    def max_decode_length(self) -> int:
        """Longest translation, in words. The original documents a parameter of the model, but its code reads
        one of the decoder. Here either can set it; if both do, the smaller counts.
        """
        lengths = (self.parameters["inference.max_decode_length"], self.decoder.params["max_decode_length"])
        default = DECODERS[self.decoder.name]["max_decode_length"]
        return min((length for length in lengths if length != default), default=default)


def read_model(name: str, given: Mapping[str, Any]) -> GoogleModel:
    """Return the model that `-model` and `-model_params` describe. Raises OptionError for unknown classes or
    parameters, and for invalid values.
    """
    short = class_name(name, MODELS, "-model")
    parameters = merged(MODELS[short], given, "model_params")
    attends = "attention.class" in parameters
    model = GoogleModel(
        name=short,
        parameters=parameters,
        encoder=part_of(parameters, "encoder", ENCODERS),
        decoder=part_of(parameters, "decoder", DECODERS),
        bridge=part_of(parameters, "bridge", BRIDGES),
        attention=part_of(parameters, "attention", ATTENTIONS) if attends else None,
    )
    _check(model)
    return model


def spec_of(model: GoogleModel, sizes: DataSizes) -> ModelSpec:
    """Return the spec for vocabularies or images of these sizes. Raises OptionError if they don't fit."""
    p = model.parameters
    _check_source(model, sizes)
    if len(sizes.src) > 1 or len(sizes.tgt) > 1:
        raise OptionError("-model does not support word features: preprocess the data without them")
    if model.shares_embedding and sizes.src != sizes.tgt:
        raise OptionError(
            "embedding.share needs one vocabulary for both sides (vocab_source and vocab_target alike)"
        )
    target = EmbeddingSpec(tables=(TableSpec(size=sizes.tgt[0], dim=p["embedding.dim"]),))
    encoder = encoder_of(model.encoder)
    stack = stack_of(model.decoder.params["rnn_cell"], "decoder.params: rnn_cell")
    if model.bridge.name == "PassThroughBridge":
        check_passed_on(encoder, stack)
    return ModelSpec(
        model_type="seq2seq",
        source=_source(model, sizes),
        encoder=encoder,
        outputs=sizes.tgt,
        bridge=_bridge(model),
        decoder=_decoder(model, target, stack),
        initialisation=InitialisationSpec(
            embeddings=p["embedding.init_scale"],
            encoder=model.encoder.params.get("init_scale", _UNUSED_INIT_SCALE),
            decoder=model.decoder.params["init_scale"],
        ),
        policies=PolicySpec(
            loss_divisor="tokens",
            schedule="step",
            embedding_gradient_clip=p["optimizer.clip_embed_gradients"],
            source_end_symbol=not reads_images(model),
            source_reverse=p.get("source.reverse", False),
            source_limit=_source_limit(model),
            target_limit=p["target.max_seq_len"],
            finished="stay",
            length_penalty="words",
        ),
    )


def check_parts(model: GoogleModel) -> None:
    """Raise OptionError for errors of the model that show before any data is read."""
    words = (len(SPECIAL_WORDS) + 1,)
    if reads_images(model):
        params = model.encoder.params
        image = (params["resize_height"], params["resize_width"])
        spec_of(model, DataSizes(src=(), tgt=words, src_image_size=image))
    else:
        spec_of(model, DataSizes(src=words, tgt=words))


def reads_images(model: GoogleModel) -> bool:
    """Return whether the source of the model is images."""
    return model.encoder.name == "InceptionV3Encoder"


def _source(model: GoogleModel, sizes: DataSizes) -> SourceSpec:
    if sizes.src_image_size is None:
        return EmbeddingSpec(tables=(TableSpec(size=sizes.src[0], dim=model.parameters["embedding.dim"]),))
    height, width = sizes.src_image_size
    return ImageSpec(height=height, width=width)


def _source_limit(model: GoogleModel) -> int:
    """Return the longest source, end symbol included; position codes limit it as well. 0: no limit."""
    limit: int = model.parameters.get("source.max_seq_len", 0)
    positions = positions_of(model.encoder.params)
    return limit if positions is None else min(limit, positions.count)


def _check_source(model: GoogleModel, sizes: DataSizes) -> None:
    """Raise OptionError unless the model's encoder reads this kind and size of data."""
    if not reads_images(model):
        if not sizes.src:
            kind = "images: use -model Image2Seq" if sizes.src_image_size else "vectors"
            raise OptionError(f"-model {model.name} reads words, but the source of this data is {kind}")
        return
    if sizes.src_image_size is None:
        raise OptionError("-model Image2Seq reads images: prepare them with preprocess.py -data_type img")
    params = model.encoder.params
    wanted = (params["resize_height"], params["resize_width"])
    if wanted != sizes.src_image_size:
        found = " x ".join(map(str, sizes.src_image_size))
        raise OptionError(
            f"encoder.params: resize_height and resize_width are {wanted[0]} x {wanted[1]}, but the images "
            f"were prepared as {found} (-image_height, -image_width)"
        )
    if 0 in grid_at(params["final_endpoint"], *wanted):
        raise OptionError(
            f"encoder.params: images of {wanted[0]} x {wanted[1]} are too small for "
            f"{params['final_endpoint']}: choose an earlier final_endpoint, or larger images"
        )


def _check(model: GoogleModel) -> None:
    p = model.parameters
    encoder, bridge = model.encoder, model.bridge
    if model.attention is None and model.decoder.name == "AttentionDecoder":
        raise OptionError(f"-model {model.name} has no attention: use decoder.class BasicDecoder")
    if (model.name == "Image2Seq") != reads_images(model):
        raise OptionError(
            f"encoder.class {encoder.name} cannot be used with -model {model.name}: InceptionV3Encoder is "
            "the encoder of Image2Seq, the others read words"
        )
    endpoint = encoder.params.get("final_endpoint")
    if endpoint is not None and endpoint not in STAGES:
        raise OptionError(
            f"encoder.params: final_endpoint '{endpoint}' is not an endpoint of Inception v3"
            f"{did_you_mean(endpoint, STAGES, '')}; there are {', '.join(STAGES)}"
        )
    if p["inference.beam_search.choose_successors_fn"] != "choose_top_k":
        raise OptionError("inference.beam_search.choose_successors_fn must be choose_top_k")
    if bridge.name == "PassThroughBridge" and encoder.name != "UnidirectionalRNNEncoder":
        raise OptionError(
            f"PassThroughBridge cannot pass on the states of {encoder.name}, which are not built like the "
            "decoder's: use InitialStateBridge or ZeroBridge"
        )
    if bridge.name == "InitialStateBridge" and bridge.params["bridge_input"] != "final_state":
        raise OptionError(
            "bridge.params: bridge_input must be final_state: the others hold one vector per source "
            "position, the decoder starts from one per sentence"
        )
    check_least(p, _LEAST_OF_MODELS, "model_params")
    check_least(used_parameters(encoder.params), _LEAST_OF_PARTS, "encoder.params")
    check_least(model.decoder.params, _LEAST_OF_PARTS, "decoder.params")
    if model.attention is not None:
        check_least(model.attention.params, {"num_units": 1}, "attention.params")


def _bridge(model: GoogleModel) -> BridgeSpec:
    name, params = model.bridge
    if name == "ZeroBridge":
        return BridgeSpec(kind="none")
    if name == "PassThroughBridge":
        return BridgeSpec(kind="copy")
    activation = activation_of(params["activation_fn"], "bridge.params: activation_fn")
    return BridgeSpec(kind="dense", activation=activation, bias=True)


def _decoder(model: GoogleModel, embedding: EmbeddingSpec, stack: StackSpec) -> DecoderSpec:
    if model.decoder.name == "BasicDecoder":
        return DecoderSpec(
            embedding=embedding,
            stack=stack,
            attention=AttentionSpec(score="none"),
            feed="none",
            mix="identity",
            shares_source_embedding=model.shares_embedding,
        )
    assert model.attention is not None
    name, params = model.attention
    return DecoderSpec(
        embedding=embedding,
        stack=stack,
        attention=AttentionSpec(score=_SCORES[name], units=params["num_units"]),
        feed="context",
        mix="tanh_bias",
        shares_source_embedding=model.shares_embedding,
    )
