"""The description of a model, which every dialect fills in and one builder reads. Torch-free.

A `ModelSpec` holds sizes, structure and the policies in which the dialects differ, so a model can be built
from it alone. Encoders and recurrent layers are described in onmt/spec/layers.py. Shape letters of the whole
project: B batch, S source, T target, H hidden, E embedding, F outputs or inputs per position (words, then
features), V vocabulary, K beam, L layers, R rows (batch x beam).
"""

from dataclasses import asdict, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from onmt.errors import CheckpointError
from onmt.spec.layers import Activation, EncoderSpec, Merge, StackSpec

ModelType = Literal["seq2seq", "lm", "seqtagger"]


Dialect = Literal["lua", "google"]


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """One embedding table: `size` rows, `dim` columns."""

    size: int
    dim: int


@dataclass(frozen=True, kw_only=True)
class EmbeddingSpec:
    """Word table and feature tables. Feature vectors are concatenated or summed, then concatenated after the
    word vector.

    `pretrained_columns`: number of the word table's left columns that were read from a file.
    `frozen_columns`: number of its left columns that training must not change (if all, the table is fixed).
    """

    kind: Literal["embeddings"] = "embeddings"
    tables: tuple[TableSpec, ...]
    feature_merge: Merge = "concat"
    pretrained_columns: int = 0
    frozen_columns: int = 0

    @property
    def output_size(self) -> int:
        """Width of the joined vector."""
        words, *features = (table.dim for table in self.tables)
        if self.feature_merge == "sum" and features:
            return words + features[0]
        return words + sum(features)


@dataclass(frozen=True, kw_only=True)
class VectorSpec:
    """Source positions that are vectors already (speech frames), of `size` numbers each."""

    kind: Literal["vectors"] = "vectors"
    size: int

    @property
    def output_size(self) -> int:
        """Width of a source position."""
        return self.size


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """A source that is an image of `height` x `width` pixels."""

    kind: Literal["images"] = "images"
    height: int
    width: int

    @property
    def output_size(self) -> int:
        """Numbers per pixel: red, green and blue."""
        return 3


SourceSpec = EmbeddingSpec | VectorSpec | ImageSpec


@dataclass(frozen=True, kw_only=True)
class AttentionSpec:
    """How the decoder reads the memory. `last` reads the memory's last position instead of attending; `none`
    reads nothing.

    `units`: the width to which `bahdanau` and `projected_dot` project keys and queries. `coverage`: the score
    of a position depends on the attention that it has received so far (Tu et al. 2016, See et al. 2017).
    """

    score: Literal["general", "dot", "concat", "bahdanau", "projected_dot", "last", "none"] = "general"
    units: int = 0
    coverage: bool = False

    @property
    def attends(self) -> bool:
        """Whether the decoder computes weights of the memory positions."""
        return self.score not in ("last", "none")


@dataclass(frozen=True, kw_only=True)
class BridgeSpec:
    """The map from the encoder's final states to the decoder's initial ones: unchanged, through one linear
    layer, or zeros.
    """

    kind: Literal["copy", "dense", "none"] = "copy"
    activation: Activation = "identity"
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class DecoderSpec:
    """A recurrent decoder. `feed`: the part of the previous step that joins the input: the attentional
    output, the context, or nothing.

    `mix`: the output is the tanh of a linear layer over [context; h], without or with bias, or the stack's
    output itself. `ties_output`: the output layer's weight is the table of target words. `copies`: words are
    generated or copied from the source (See et al. 2017).
    """

    embedding: EmbeddingSpec
    stack: StackSpec
    attention: AttentionSpec = AttentionSpec()
    feed: Literal["output", "context", "none"] = "output"
    mix: Literal["tanh", "tanh_bias", "identity"] = "tanh"
    output_dropout: float = 0.0
    shares_source_embedding: bool = False
    ties_output: bool = False
    copies: bool = False


@dataclass(frozen=True, kw_only=True)
class InitialisationSpec:
    """Initial parameters are uniform within these bounds; dense layers follow Xavier's rule with zero biases
    (Glorot 2010).
    """

    embeddings: float
    encoder: float
    decoder: float


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """The values in which the dialects differ outside the modules.

    `loss_divisor`: gradients are those of the summed loss divided by this count. `schedule`: the unit of time
    of the learning rate's schedule. `embedding_gradient_clip`: greatest L2 norm of the gradient of each table
    of word vectors (0: no limit). `finished`: finished hypotheses leave the beam, or stay in it and compete.
    `length_penalty`: uses Lua's length, or the number of words without the end symbol. `features_shifted`: a
    target word's features are predicted one step after the word. `source_end_symbol`: append an end symbol to
    the source. `source_limit`: cut the source to this many positions, end symbol included (0: no limit).
    `source_reverse`: read the source backwards. `target_limit`: cut the target to this many positions, start
    and end symbol included (0: no limit).
    """

    loss_divisor: Literal["sentences", "tokens"] = "sentences"
    schedule: Literal["epoch", "step"] = "epoch"
    embedding_gradient_clip: float = 0.0
    source_end_symbol: bool = False
    source_reverse: bool = False
    source_limit: int = 0
    target_limit: int = 0
    finished: Literal["retire", "stay"] = "retire"
    length_penalty: Literal["lua", "words"] = "lua"
    features_shifted: bool = True


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A whole model. `outputs`: number of classes of each output (words, then features). `word_dropout`:
    probability that a source word is blanked.
    """

    model_type: ModelType
    source: SourceSpec
    encoder: EncoderSpec
    outputs: tuple[int, ...]
    bridge: BridgeSpec | None = None
    decoder: DecoderSpec | None = None
    word_dropout: float = 0.0
    transitions: bool = False
    initialisation: InitialisationSpec | None = None
    policies: PolicySpec = PolicySpec()

    @property
    def dialect(self) -> Dialect:
        """The dialect that described the model; only google/seq2seq schedules the learning rate by step."""
        return "google" if self.policies.schedule == "step" else "lua"

    def log_lines(self) -> list[str]:
        """Return one line per part and size, as OpenNMT Lua logs them."""
        lines = [" * Encoder:", *_embedding_lines(self.source), *self.encoder.log_lines()]
        if self.decoder is not None:
            read = self.decoder.attention
            attention = f"global ({read.score})" if read.attends else "none"
            attention += ", coverage" if read.coverage else ""
            attention += ", copying" if self.decoder.copies else ""
            lines += [" * Decoder:", *_embedding_lines(self.decoder.embedding)]
            lines += [f"   - attention: {attention}", self.decoder.stack.log_line]
        if self.bridge is not None:
            nonlinear = "_nonlinear" if self.bridge.activation != "identity" else ""
            lines.append(f" * Bridge: {self.bridge.kind}{nonlinear}")
        return lines

    def to_state(self) -> dict[str, Any]:
        """Return the spec as plain dicts, tuples, strings and numbers, as a checkpoint stores it."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ModelSpec":
        """Inverse of `to_state`. Raises CheckpointError for unknown or missing parts."""
        try:
            spec = _read(cls, state)
        except (TypeError, KeyError, ValueError) as error:
            raise CheckpointError(f"the model description is not one this version knows: {error}") from None
        assert isinstance(spec, ModelSpec)
        return spec


def _embedding_lines(spec: SourceSpec) -> list[str]:
    if isinstance(spec, ImageSpec):
        return [f"   - images: {spec.height} x {spec.width}"]
    if isinstance(spec, VectorSpec):
        return [f"   - vectors size: {spec.size}"]
    words, *features = spec.tables
    lines = [f"   - word embeddings size: {words.dim}"]
    if features:
        lines.append(f"   - features embeddings sizes: {', '.join(str(table.dim) for table in features)}")
    return lines


def _read(kind: Any, value: Any) -> Any:
    """Convert `value` to an instance of the annotation `kind`."""
    if get_origin(kind) in (Union, UnionType):
        return _read_union(get_args(kind), value)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        unknown = set(value) - {field.name for field in fields(kind)}
        if unknown:
            raise KeyError(f"unknown field {sorted(unknown)[0]}")
        return kind(**{name: _read(hints[name], part) for name, part in value.items()})
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], part) for part in value)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{value!r} is none of {', '.join(map(repr, get_args(kind)))}")
        return value
    if kind is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not a {kind.__name__}")
    return value


def _read_union(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and NoneType in kinds:
        return None
    candidates = [kind for kind in kinds if kind is not NoneType]
    if len(candidates) == 1:
        return _read(candidates[0], value)
    for kind in candidates:
        if value["kind"] in get_args(get_type_hints(kind)["kind"]):
            return _read(kind, value)
    raise ValueError(f"unknown kind {value['kind']!r}")
