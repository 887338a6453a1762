"""What a model is, said once: frozen descriptions that every dialect fills in and one builder reads. No torch
here.

A `ModelSpec` holds sizes, structure and the policies in which the dialects differ, so a model can be built
from it alone. Shape letters used in the whole project: B batch, S source, T target, H hidden, E embedding, F
outputs or inputs per position (words, then features), V vocabulary, K beam, L layers, R rows (batch x beam).
"""

from dataclasses import asdict, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from onmt.errors import CheckpointError

ModelType = Literal["seq2seq", "lm", "seqtagger"]
CellKind = Literal["lstm", "gru", "gru_reset_before", "tanh"]
Merge = Literal["concat", "sum"]
Activation = Literal["identity", "tanh", "relu", "sigmoid"]


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One recurrent cell. `single_bias`: one bias vector, as TensorFlow has, instead of one for inputs and
    one for states. `activation` stands where the textbooks have tanh.

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


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """One embedding table: `size` rows, `dim` columns."""

    size: int
    dim: int


@dataclass(frozen=True, kw_only=True)
class EmbeddingSpec:
    """Word table and feature tables. Features are concatenated or summed together, then joined after the word
    vector.

    `pretrained_columns`: how many of the word table's left columns were read from a file.
    `frozen_columns`: how many of the word table's left columns training must not change (all of them: the
    table is fixed).
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
    """Source positions that are vectors already (speech frames), `size` numbers each."""

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
class RecurrentEncoderSpec:
    """`rnn`: one stack. `brnn`: two independent stacks. `gnmt`: one bidirectional layer, then a stack of the
    remaining layers.
    """

    kind: Literal["rnn", "brnn", "gnmt"]
    stack: StackSpec
    merge: Merge = "sum"


@dataclass(frozen=True, kw_only=True)
class PyramidalEncoderSpec:
    """Bidirectional layers on each other; between them `reduction` adjacent frames become one (1: `dbrnn`).

    `reduction_merge`: join the frames (`concat`), add them (`sum`), or add frames a whole length/reduction
    apart, as Lua's trained models did (`strided_sum`).
    """

    kind: Literal["pyramid"] = "pyramid"
    stack: StackSpec
    merge: Merge = "sum"
    reduction: int = 1
    reduction_merge: Literal["concat", "sum", "strided_sum"] = "concat"


@dataclass(frozen=True, kw_only=True)
class ConvolutionalEncoderSpec:
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


@dataclass(frozen=True, kw_only=True)
class PositionSpec:
    """Fixed position encodings for at most `count` positions, multiplied with the word vectors or added to
    them.
    """

    count: int
    combine: Literal["multiply", "add"] = "multiply"


@dataclass(frozen=True, kw_only=True)
class ConvolutionsSpec:
    """`layers` convolutions of `units` filters, each seeing `kernel` positions around its own."""

    units: int
    kernel: int
    layers: int


@dataclass(frozen=True, kw_only=True)
class TwinConvolutionalEncoderSpec:
    """Two stacks of convolutions over the same inputs: one makes what attention compares, the other what it
    averages.
    """

    kind: Literal["conv"] = "conv"
    keys: ConvolutionsSpec
    values: ConvolutionsSpec
    positions: PositionSpec | None = None
    input_dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PoolingEncoderSpec:
    """Word vectors are what attention averages; pooled over `size` neighbours they are what it compares."""

    kind: Literal["pooling"] = "pooling"
    pool: Literal["average", "max"] = "average"
    size: int = 5
    positions: PositionSpec | None = None
    input_dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class InceptionEncoderSpec:
    """Inception v3 over an image, up to `endpoint` (named as in TF-slim)."""

    kind: Literal["inception"] = "inception"
    endpoint: str = "Mixed_7c"


EncoderSpec = (
    RecurrentEncoderSpec
    | PyramidalEncoderSpec
    | ConvolutionalEncoderSpec
    | TwinConvolutionalEncoderSpec
    | PoolingEncoderSpec
    | InceptionEncoderSpec
)


@dataclass(frozen=True, kw_only=True)
class AttentionSpec:
    """How the decoder reads the memory. `last` takes the memory's last position instead of attending; `none`
    reads nothing.

    `units` is the width to which `bahdanau` and `projected_dot` project keys and queries.
    """

    score: Literal["general", "dot", "concat", "bahdanau", "projected_dot", "last", "none"] = "general"
    units: int = 0


@dataclass(frozen=True, kw_only=True)
class BridgeSpec:
    """From the encoder's final states to the decoder's first ones: unchanged, through one linear layer, or
    zeros.
    """

    kind: Literal["copy", "dense", "none"] = "copy"
    activation: Activation = "identity"
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class DecoderSpec:
    """Recurrent decoder. `feed`: what of the previous step joins the input: the attentional output, the
    context, or nothing.

    `mix`: the output is tanh of a linear layer over [context; h], without or with bias, or the stack's output
    itself.
    """

    embedding: EmbeddingSpec
    stack: StackSpec
    attention: AttentionSpec = AttentionSpec()
    feed: Literal["output", "context", "none"] = "output"
    mix: Literal["tanh", "tanh_bias", "identity"] = "tanh"
    output_dropout: float = 0.0
    shares_source_embedding: bool = False


@dataclass(frozen=True, kw_only=True)
class InitialisationSpec:
    """Parameters start uniformly within these bounds; dense layers by Xavier's rule with zero biases (Glorot
    2010).
    """

    embeddings: float
    encoder: float
    decoder: float


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """Where the dialects differ outside the modules.

    `loss_divisor`: gradients are those of the summed loss over this count. `schedule`: the clock of the
    learning rate. `finished`: hypotheses that ended leave the beam or stay and compete. `features_shifted`: a
    target word's features are predicted one step after the word. The source may get an end symbol, be cut to
    `source_limit` positions (the end symbol counts; 0: no limit) and be read backwards; the target is cut to
    `target_limit` positions, start and end symbol counted.
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
    """A whole model. `outputs`: sizes of what is predicted (words, then features). `word_dropout`: share of
    source words blanked.
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

    def to_state(self) -> dict[str, Any]:
        """Plain dicts, tuples, strings and numbers: what a checkpoint stores."""
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


def _read(kind: Any, value: Any) -> Any:
    """`value` as an instance of the annotation `kind`."""
    if get_origin(kind) in (Union, UnionType):
        return _read_union(get_args(kind), value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        unknown = set(value) - {field.name for field in fields(kind)}
        if unknown:
            raise KeyError(f"unknown field {sorted(unknown)[0]}")
        return kind(**{name: _read(hints[name], part) for name, part in value.items()})  # type: ignore[operator]
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
