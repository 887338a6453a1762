"""Read OpenNMT Lua's encoders, which are serialised as tables of `name`, `modules` and `args`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from onmt.spec.layers import (
    ConvolutionalEncoderSpec,
    EncoderSpec,
    Merge,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    StackSpec,
)
from onmt.spec.model import EmbeddingSpec, VectorSpec
from onmt.torch7.objects import (
    DROPOUTS,
    LuaOptions,
    StructureError,
    Table,
    Tensor,
    TorchObject,
    Value,
    as_instance,
    as_table,
    as_whole,
    check_classes,
    children,
    of_class,
    only,
    parameter,
    probability,
)
from onmt.torch7.parameters import Collector, convolution, read_source, read_stack

Source: TypeAlias = EmbeddingSpec | VectorSpec
LEVELS: Final = 100  # limit far above any real pyramid


@dataclass(frozen=True)
class Level:
    """A bidirectional encoder.

    tables: None if it reads vectors. stack: the layers of one direction. input_size: width of their input.
    """

    tables: EmbeddingSpec | None
    stack: StackSpec
    merge: Merge
    input_size: int

    @property
    def output_size(self) -> int:
        """Width of the merged outputs of both directions."""
        return self.stack.hidden_size * (2 if self.merge == "concat" else 1)

    @property
    def source(self) -> Source:
        """The spec of the encoder's input."""
        return _source(self.tables, self.input_size)


def read_encoder(encoder: Table, options: LuaOptions, collector: Collector) -> tuple[Source, EncoderSpec]:
    """Read an encoder and its input; add their parameters to `collector` as `encoder.*` and `source.*`."""
    name = encoder.get("name")
    if name is None:  # the first versions stored no name
        name = "BiEncoder" if len(_modules(encoder)) == 2 else "Encoder"
    if not isinstance(name, str) or name not in READERS:
        raise StructureError(f"an encoder of the unknown kind {name!r}")
    return READERS[name](encoder, options, collector)


def _encoder(value: Value) -> Table:
    """Return the table of a nested encoder; the first versions stored the instance itself."""
    if isinstance(value, TorchObject) and value.class_name in ("onmt.Encoder", "onmt.BiEncoder"):
        return value.fields
    return as_table(value, "an encoder")


def _modules(encoder: Table) -> list[Value]:
    """Return the modules of an encoder; early pyramids stored them as `layers`."""
    modules = encoder.get("modules", encoder.get("layers"))
    return as_table(modules, "the list of an encoder's modules").sequence()


def _graph(encoder: Value) -> TorchObject:
    """Return the only network of an encoder. Raises StructureError if there are more, or unknown classes."""
    modules = _modules(_encoder(encoder))
    if len(modules) != 1:
        raise StructureError(f"an encoder of {len(modules)} networks where one is expected")
    graph = as_instance(modules[0], "an encoder's network", "nn.gModule")
    check_classes(graph)
    return graph


def _source(tables: EmbeddingSpec | None, width: int) -> Source:
    """Return the input spec of an encoder whose first layer reads vectors of `width` numbers."""
    if tables is None:
        return VectorSpec(size=width)
    if tables.output_size != width:
        raise StructureError(f"word vectors of {tables.output_size} numbers for an input of {width}")
    return tables


def _read_rnn(encoder: Table, options: LuaOptions, collector: Collector) -> tuple[Source, EncoderSpec]:
    graph = _graph(encoder)
    tables = read_source(graph, "source", options.fixed("enc"), collector)
    stack, width = read_stack(graph, "encoder.stack", options.residual, collector)
    return _source(tables, width), RecurrentEncoderSpec(kind="rnn", stack=stack, merge=options.brnn_merge)


def _read_brnn(encoder: Table, options: LuaOptions, collector: Collector) -> tuple[Source, EncoderSpec]:
    level = _read_level(encoder, "encoder.bidirectional", options, collector)
    stack = replace(level.stack, hidden_size=level.output_size)
    return level.source, RecurrentEncoderSpec(kind="brnn", stack=stack, merge=level.merge)


def _read_gnmt(encoder: Table, options: LuaOptions, collector: Collector) -> tuple[Source, EncoderSpec]:
    modules = _modules(encoder)
    if len(modules) != 2:
        raise StructureError(f"a GoogleEncoder of {len(modules)} parts instead of 2")
    level = _read_level(_encoder(modules[0]), "encoder.bidirectional", options, collector)
    upper, width = read_stack(_graph(modules[1]), "encoder.stack", True, collector)
    if level.stack.layers != 1 or not level.output_size == width == upper.hidden_size:
        raise StructureError("a GoogleEncoder whose parts do not fit together")
    stack = replace(
        level.stack,
        layers=1 + upper.layers,
        hidden_size=width,
        layer_dropout=upper.layer_dropout,
        residual="lower" if options.residual else "none",
    )
    return level.source, RecurrentEncoderSpec(kind="gnmt", stack=stack, merge=level.merge)


def _read_pyramid(encoder: Table, options: LuaOptions, collector: Collector) -> tuple[Source, EncoderSpec]:
    modules = _modules(encoder)
    if not 0 < len(modules) <= LEVELS:
        raise StructureError(f"a pyramid of {len(modules)} levels")
    reduction, how = _read_reduction(encoder)
    first, *upper = (
        _read_level(_encoder(module), f"encoder.levels.{index}", options, collector)
        for index, module in enumerate(modules)
    )
    joined = reduction if how == "concat" else 1
    for level in upper:
        same = level.stack.layers == 1 and (level.output_size, level.merge) == (
            first.output_size,
            first.merge,
        )
        if not same or level.tables is not None or level.input_size != first.output_size * joined:
            raise StructureError("a pyramid whose levels do not fit on each other")
    stack = replace(
        first.stack,
        layers=len(modules),
        hidden_size=first.output_size,
        layer_dropout=upper[-1].stack.input_dropout if upper else 0.0,
        residual="none",
    )
    spec = PyramidalEncoderSpec(stack=stack, merge=first.merge, reduction=reduction, reduction_merge=how)
    return first.source, spec


def _read_reduction(encoder: Table) -> tuple[int, Literal["concat", "strided_sum"]]:
    """Return how many frames are merged into one, and how. The frames that Lua sums are not adjacent."""
    args = as_table(encoder.get("args"), "the arguments of an encoder")
    default = 1.0 if encoder.get("name") == "DBiEncoder" else None
    reduction = as_whole(args.get("pdbrnn_reduction", default), "the time reduction of an encoder")
    merge = args.get("pdbrnn_merge")
    if reduction < 1:
        raise StructureError(f"a pyramid that makes one frame of {reduction}")
    if reduction == 1 or merge == "concat":
        return reduction, "concat"
    if merge != "sum":
        raise StructureError("a pyramid from before -pdbrnn_merge, whose sums this program does not know")
    return reduction, "strided_sum"


def _read_level(encoder: Table, prefix: str, options: LuaOptions, collector: Collector) -> Level:
    """Read a `BiEncoder`: two stacks that share their embedding tables."""
    modules = _modules(encoder)
    if len(modules) != 2:
        raise StructureError(f"a bidirectional encoder of {len(modules)} directions")
    forwards, backwards = _graph(modules[0]), _graph(modules[1])
    tables = _read_shared_tables(forwards, backwards, options, collector)
    stack, width = read_stack(forwards, f"{prefix}.forwards", options.residual, collector)
    if (stack, width) != read_stack(backwards, f"{prefix}.backwards", options.residual, collector):
        raise StructureError("a bidirectional encoder whose directions differ")
    args = as_table(encoder.get("args"), "the arguments of an encoder")
    merge = args.get("brnn_merge", args.get("merge", options.brnn_merge))
    if merge not in ("concat", "sum"):
        raise StructureError(f"a bidirectional encoder that merges by {merge!r}")
    return Level(tables, stack, "concat" if merge == "concat" else "sum", width)


def _read_shared_tables(
    forwards: TorchObject, backwards: TorchObject, options: LuaOptions, collector: Collector
) -> EmbeddingSpec | None:
    twin = Collector(collector.part)
    fixed = options.fixed("enc")
    tables = read_source(forwards, "source", fixed, collector)
    if tables != read_source(backwards, "source", fixed, twin):
        raise StructureError("a bidirectional encoder whose directions have different tables")
    for name, table in twin.parameters.items():
        if not _same(table.tensor, collector.parameters[name].tensor):
            raise StructureError("a bidirectional encoder whose directions have different word vectors")
    return tables


def _same(one: Tensor, other: Tensor) -> bool:
    shared = one.storage is other.storage and one.offset == other.offset
    return shared or np.array_equal(one.numpy(), other.numpy())


def _read_cnn(encoder: Table, options: LuaOptions, collector: Collector) -> tuple[Source, EncoderSpec]:
    graph = _graph(encoder)
    tables = read_source(graph, "source", options.fixed("enc"), collector)
    layers = of_class(children(graph), "nn.TemporalConvolution")
    if not layers:
        raise StructureError("a CNNEncoder without layers")
    kernel = as_whole(layers[0].get("kW"), "the kernel of a convolution")
    sizes = [_read_convolution(layer, index, kernel, collector) for index, layer in enumerate(layers)]
    width, hidden = sizes[0]
    if any(size != (hidden, hidden) for size in sizes[1:]):
        raise StructureError("a CNNEncoder whose layers do not fit on each other")
    positions = _read_positions(graph, width, collector)
    additions = len(of_class(children(graph), "nn.CAddTable"))
    if additions != len(layers) - 1 + bool(positions):
        raise StructureError(f"a CNNEncoder with {additions} additions for {len(layers)} layers")
    for padding in of_class(children(graph), "nn.Padding"):
        if padding.get("pad") != kernel - 1:
            raise StructureError("a CNNEncoder that looks back: models of that age cannot be converted")
    dropouts = of_class(children(graph), *DROPOUTS)
    share = probability(dropouts[0]) if dropouts else 0.0
    spec = ConvolutionalEncoderSpec(
        layers=len(layers),
        kernel=kernel,
        hidden_size=hidden,
        positions=positions,
        input_dropout=share if len(dropouts) == len(layers) else 0.0,
        layer_dropout=share,
    )
    return _source(tables, width), spec


def _read_convolution(layer: TorchObject, index: int, kernel: int, collector: Collector) -> tuple[int, int]:
    """Record a layer's parameters; return the widths of its input and output."""
    weight = collector.linear(
        layer, f"encoder.weights.{index}", f"encoder.biases.{index}", convolution(kernel)
    )
    steps = (layer.get("kW"), layer.get("dW"))
    if kernel < 1 or steps != (kernel, 1) or weight.shape[1] % kernel:
        raise StructureError(f"a convolution with kernel and stride {steps} over {weight.shape[1]} numbers")
    return weight.shape[1] // kernel, weight.shape[0]


def _read_positions(graph: TorchObject, width: int, collector: Collector) -> int:
    """Record the position embeddings; return how many positions have one. 0: there are none."""
    embeddings = of_class(children(graph), "onmt.PositionEmbedding")
    if not embeddings:
        return 0
    table = parameter(only(embeddings, "position embeddings"), "weight", 2)
    if table.shape[0] < 2 or table.shape[1] != width:
        raise StructureError("position embeddings that do not fit the word vectors")
    collector.add("encoder.positions", table)
    return table.shape[0] - 1


Reader: TypeAlias = Callable[[Table, LuaOptions, Collector], tuple[Source, EncoderSpec]]
READERS: Final[dict[str, Reader]] = {
    "Encoder": _read_rnn,
    "BiEncoder": _read_brnn,
    "DBiEncoder": _read_pyramid,
    "PDBiEncoder": _read_pyramid,
    "GoogleEncoder": _read_gnmt,
    "CNNEncoder": _read_cnn,
}
