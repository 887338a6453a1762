"""From google/seq2seq's `--model` and `--model_params` to a ModelSpec. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from onmt.commandline.suggestions import did_you_mean
from onmt.constants import SPECIAL_WORDS
from onmt.errors import OptionError
from onmt.models.encoder_spec import (
    ConvolutionsSpec,
    EncoderSpec,
    InceptionEncoderSpec,
    PoolingEncoderSpec,
    PositionSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    TwinConvolutionalEncoderSpec,
)
from onmt.models.google_cells import activation_of, check_passed_on, stack_of
from onmt.models.google_parameters import (
    ATTENTIONS,
    BRIDGES,
    DECODERS,
    ENCODERS,
    MODELS,
    class_name,
    merged,
)
from onmt.models.lua import DataSizes
from onmt.models.recurrent_spec import StackSpec
from onmt.models.spec import (
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
from onmt.modules.encoders.inception_layout import STAGES, grid_at

_LEAST_OF_PARTS: Final = {
    "init_scale": 0,
    "max_decode_length": 1,
    "pool_size": 1,
    "position_embeddings.num_positions": 1,
}
_SCORES: Final = {"AttentionLayerBahdanau": "bahdanau", "AttentionLayerDot": "projected_dot"}


@dataclass(frozen=True, kw_only=True)
class GoogleModel:
    """A model class with all its parameters, checked. `parameters` are the model's own, `parts` those of its
    parts.
    """

    name: str
    parameters: Mapping[str, Any]
    encoder: tuple[str, Mapping[str, Any]]
    decoder: tuple[str, Mapping[str, Any]]
    bridge: tuple[str, Mapping[str, Any]]
    attention: tuple[str, Mapping[str, Any]] | None

    @property
    def max_decode_length(self) -> int:
        """Longest translation, in words: what the documentation puts among the model's parameters and the
        program among the decoder's; the shorter one if both are given.
        """
        lengths = (self.parameters["inference.max_decode_length"], self.decoder[1]["max_decode_length"])
        default = DECODERS[self.decoder[0]]["max_decode_length"]
        return min((length for length in lengths if length != default), default=default)


def read_model(name: str, given: Mapping[str, Any]) -> GoogleModel:
    """The model of `--model` with `--model_params`. Raises OptionError for whatever it does not know or
    cannot do.
    """
    short = class_name(name, MODELS, "--model")
    parameters = merged(MODELS[short], given, "model_params")
    attention = None
    if "attention.class" in parameters:
        attention = _part(parameters, "attention", ATTENTIONS)
    model = GoogleModel(
        name=short,
        parameters=parameters,
        encoder=_part(parameters, "encoder", ENCODERS),
        decoder=_part(parameters, "decoder", DECODERS),
        bridge=_part(parameters, "bridge", BRIDGES),
        attention=attention,
    )
    _check(model)
    return model


def spec_of(model: GoogleModel, sizes: DataSizes) -> ModelSpec:
    """The model for vocabularies of these sizes. Raises OptionError where they do not fit."""
    p = model.parameters
    _check_source(model, sizes)
    if len(sizes.src) > 1 or len(sizes.tgt) > 1:
        raise OptionError("--model knows no word features: preprocess the data without them")
    shares = p.get("embedding.share", False)
    if shares and sizes.src != sizes.tgt:
        raise OptionError(
            "embedding.share needs one vocabulary for both sides (vocab_source and vocab_target alike)"
        )
    target = EmbeddingSpec(tables=(TableSpec(size=sizes.tgt[0], dim=p["embedding.dim"]),))
    encoder = _encoder(model)
    stack = stack_of(model.decoder[1]["rnn_cell"], "decoder.params: rnn_cell")
    if model.bridge[0] == "PassThroughBridge":
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
            encoder=model.encoder[1].get("init_scale", 0.04),
            decoder=model.decoder[1]["init_scale"],
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
    """Raise OptionError for whatever is wrong with the model before any data is read."""
    words = (len(SPECIAL_WORDS) + 1,)
    if reads_images(model):
        image = (model.encoder[1]["resize_height"], model.encoder[1]["resize_width"])
        spec_of(model, DataSizes(src=(), tgt=words, src_image_size=image))
    else:
        spec_of(model, DataSizes(src=words, tgt=words))


def reads_images(model: GoogleModel) -> bool:
    """Whether the source of the model is images."""
    return model.encoder[0] == "InceptionV3Encoder"


def _source(model: GoogleModel, sizes: DataSizes) -> SourceSpec:
    if sizes.src_image_size is None:
        return EmbeddingSpec(tables=(TableSpec(size=sizes.src[0], dim=model.parameters["embedding.dim"]),))
    height, width = sizes.src_image_size
    return ImageSpec(height=height, width=width)


def _source_limit(model: GoogleModel) -> int:
    """The longest source, end symbol counted: an encoder has codes for so many positions only. 0: any."""
    limit: int = model.parameters.get("source.max_seq_len", 0)
    positions = _positions(model.encoder[1]) if "position_embeddings.enable" in model.encoder[1] else None
    return limit if positions is None else min(limit, positions.count)


def _check_source(model: GoogleModel, sizes: DataSizes) -> None:
    """Raise OptionError unless the data is what the model's encoder reads."""
    if not reads_images(model):
        if not sizes.src:
            kind = "images: use --model Image2Seq" if sizes.src_image_size else "vectors"
            raise OptionError(f"--model {model.name} reads words, but the source of this data is {kind}")
        return
    if sizes.src_image_size is None:
        raise OptionError("--model Image2Seq reads images: prepare them with preprocess.py -data_type img")
    params = model.encoder[1]
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


def _part(
    parameters: Mapping[str, Any], part: str, known: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Mapping[str, Any]]:
    name = class_name(parameters[f"{part}.class"], known, f"{part}.class")
    return name, merged(known[name], parameters[f"{part}.params"], f"{part}.params")


def _check(model: GoogleModel) -> None:
    p = model.parameters
    encoder, bridge = model.encoder[0], model.bridge
    if model.attention is None and model.decoder[0] == "AttentionDecoder":
        raise OptionError(f"--model {model.name} has no attention: use decoder.class BasicDecoder")
    if (model.name == "Image2Seq") != reads_images(model):
        raise OptionError(
            f"encoder.class {encoder} does not go with --model {model.name}: InceptionV3Encoder is that of "
            "Image2Seq, the others read words"
        )
    endpoint = model.encoder[1].get("final_endpoint", "Mixed_7c")
    if endpoint not in STAGES:
        raise OptionError(
            f"encoder.params: final_endpoint '{endpoint}' is none of Inception v3"
            f"{did_you_mean(endpoint, STAGES, '')}; there are {', '.join(STAGES)}"
        )
    if p["inference.beam_search.choose_successors_fn"] != "choose_top_k":
        raise OptionError("inference.beam_search.choose_successors_fn knows only choose_top_k")
    if bridge[0] == "PassThroughBridge" and encoder != "UnidirectionalRNNEncoder":
        raise OptionError(
            f"PassThroughBridge cannot hand on the states of {encoder}, not built like the decoder's: "
            "use InitialStateBridge or ZeroBridge"
        )
    if bridge[0] == "InitialStateBridge" and bridge[1]["bridge_input"] != "final_state":
        raise OptionError(
            "bridge_input must be final_state: the others hold one vector per source position, "
            "the decoder starts from one per sentence"
        )
    _check_least(p, "model_params", {"source.max_seq_len": 1, "target.max_seq_len": 2, "embedding.dim": 1})
    _check_least(p, "model_params", {"embedding.init_scale": 0, "inference.max_decode_length": 1})
    search = "inference.beam_search"
    _check_least(p, "model_params", {f"{search}.beam_width": 0, f"{search}.length_penalty_weight": 0})
    _check_least(model.encoder[1], "encoder.params", _LEAST_OF_PARTS)
    _check_least(model.decoder[1], "decoder.params", _LEAST_OF_PARTS)
    if model.attention is not None:
        _check_least(model.attention[1], "attention.params", {"num_units": 1})


def _check_least(params: Mapping[str, Any], where: str, least: Mapping[str, float]) -> None:
    for name, minimum in least.items():
        if name in params and params[name] < minimum:
            raise OptionError(f"{where}: {name} must be at least {minimum}, not {params[name]}")


def _encoder(model: GoogleModel) -> EncoderSpec:
    name, params = model.encoder
    where = "encoder.params: rnn_cell"
    if name == "UnidirectionalRNNEncoder":
        return RecurrentEncoderSpec(kind="rnn", stack=stack_of(params["rnn_cell"], where))
    if name == "BidirectionalRNNEncoder":
        return RecurrentEncoderSpec(kind="brnn", stack=stack_of(params["rnn_cell"], where, 2), merge="concat")
    if name == "StackBidirectionalRNNEncoder":
        stack = replace(stack_of(params["rnn_cell"], where, 2), residual="none", residual_dense=False)
        return PyramidalEncoderSpec(stack=stack, merge="concat")
    if name == "ConvEncoder":
        return TwinConvolutionalEncoderSpec(
            keys=_convolutions(params, "attention_cnn"),
            values=_convolutions(params, "output_cnn"),
            positions=_positions(params),
            input_dropout=1 - _keep(params, "embedding_dropout_keep_prob"),
        )
    if name == "PoolingEncoder":
        if params["strides"] != 1:
            raise OptionError(
                "PoolingEncoder: strides must be 1: attention compares as many positions as it averages"
            )
        return PoolingEncoderSpec(
            pool=_pool(params["pooling_fn"]),
            size=params["pool_size"],
            positions=_positions(params),
            input_dropout=1 - _keep(params, "dropout_keep_prob"),
        )
    return InceptionEncoderSpec(endpoint=params["final_endpoint"])


def _convolutions(params: Mapping[str, Any], stack: str) -> ConvolutionsSpec:
    units, kernel, layers = (params[f"{stack}.{name}"] for name in ("units", "kernel_size", "layers"))
    if min(units, kernel, layers) < 1:
        raise OptionError(f"encoder.params: {stack} needs units, kernel_size and layers of at least 1")
    return ConvolutionsSpec(units=units, kernel=kernel, layers=layers)


def _positions(params: Mapping[str, Any]) -> PositionSpec | None:
    if not params["position_embeddings.enable"]:
        return None
    combiner = params["position_embeddings.combiner_fn"].split(".")[-1]
    if combiner not in ("multiply", "add"):
        raise OptionError("position_embeddings.combiner_fn must be tensorflow.multiply or tensorflow.add")
    count = params["position_embeddings.num_positions"]
    return PositionSpec(count=count, combine=cast(Literal["multiply", "add"], combiner))


def _pool(name: str) -> Literal["average", "max"]:
    kinds: Mapping[str, Literal["average", "max"]] = {"average_pooling1d": "average", "max_pooling1d": "max"}
    short = name.split(".")[-1]
    if short not in kinds:
        raise OptionError(
            "pooling_fn must be tensorflow.layers.average_pooling1d or tensorflow.layers.max_pooling1d"
        )
    return kinds[short]


def _keep(params: Mapping[str, Any], name: str) -> float:
    kept: float = params[name]
    if not 0 < kept <= 1:
        raise OptionError(f"encoder.params: {name} must be above 0 and at most 1, not {kept}")
    return kept


def _bridge(model: GoogleModel) -> BridgeSpec:
    name, params = model.bridge
    if name == "ZeroBridge":
        return BridgeSpec(kind="none")
    if name == "PassThroughBridge":
        return BridgeSpec(kind="copy")
    activation = activation_of(params["activation_fn"], "bridge.params: activation_fn")
    return BridgeSpec(kind="dense", activation=activation, bias=True)


def _decoder(model: GoogleModel, embedding: EmbeddingSpec, stack: StackSpec) -> DecoderSpec:
    shares = model.parameters.get("embedding.share", False)
    if model.decoder[0] == "BasicDecoder":
        return DecoderSpec(
            embedding=embedding,
            stack=stack,
            attention=AttentionSpec(score="none"),
            feed="none",
            mix="identity",
            shares_source_embedding=shares,
        )
    assert model.attention is not None
    name, params = model.attention
    return DecoderSpec(
        embedding=embedding,
        stack=stack,
        attention=AttentionSpec(score=_SCORES[name], units=params["num_units"]),  # type: ignore[arg-type]
        feed="context",
        mix="tanh_bias",
        shares_source_embedding=shares,
    )
