"""Read the parameters of Lua's layers under our names and in our layouts."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from onmt.spec.layers import CellSpec, StackSpec
from onmt.spec.model import EmbeddingSpec, TableSpec
from onmt.torch7.objects import (
    DROPOUTS,
    RECURRENT,
    Array,
    StructureError,
    Tensor,
    TorchObject,
    as_whole,
    children,
    descendants,
    in_order_of_inputs,
    of_class,
    only,
    parameter,
    probability,
)

Arrange: TypeAlias = Callable[[Array], Array]


def unchanged(array: Array) -> Array:
    """Keep the layout."""
    return array


def lstm_gates(array: Array) -> Array:
    """Reorder the gates' rows from Lua's (in, forget, out, cell) to torch's (in, forget, cell, out)."""
    entry, forget, out, cell = np.split(array, 4)
    return np.concatenate([entry, forget, cell, out])


def flat(array: Array) -> Array:
    """Flatten to a vector."""
    return array.reshape(-1)


def convolution(kernel: int) -> Arrange:
    """Return a function that converts Lua's weight (out, kernel * in) to torch's (out, in, kernel).

    It leaves a bias as it is.
    """

    def arrange(array: Array) -> Array:
        if array.ndim == 1:
            return array
        return array.reshape(array.shape[0], kernel, -1).transpose(0, 2, 1)

    return arrange


@dataclass(frozen=True)
class LuaParameter:
    """A parameter tensor in the file.

    part: its sub-model (encoder, decoder, bridge, generator, criterion); Lua trains each as one flat vector.
    arrange: converts Lua's layout to ours. trained: whether the tensor is in that vector.
    """

    part: str
    tensor: Tensor
    arrange: Arrange = unchanged
    trained: bool = True

    def value(self) -> Array:
        """Return a float32 copy in our layout."""
        return np.array(self.arrange(self.tensor.numpy()), dtype=np.float32)

    def slice_of(self, vector: Tensor) -> Array:
        """Return this parameter's slice of another flat vector of the sub-model (an optimiser's).

        The slice is in our layout. Raises StructureError if the vector is too short.
        """
        view = replace(self.tensor, offset=self.tensor.offset + vector.offset, storage=vector.storage)
        if vector.storage is None or view.last >= vector.storage.array.size:
            raise StructureError(f"an optimiser's vector that does not fit the parameters of the {self.part}")
        return np.array(self.arrange(view.numpy()), dtype=np.float32)


@dataclass
class Collector:
    """Collects the parameters of one sub-model under our names."""

    part: str
    parameters: dict[str, LuaParameter] = field(default_factory=dict)

    def add(self, name: str, tensor: Tensor, arrange: Arrange = unchanged, trained: bool = True) -> None:
        """Record `tensor` as our parameter `name`."""
        self.parameters[name] = LuaParameter(self.part, tensor, arrange, trained)

    def linear(
        self, layer: TorchObject, weight: str, bias: str | None, arrange: Arrange = unchanged
    ) -> Tensor:
        """Record a layer's weight (outputs x inputs), and its bias if a name is given; return the weight.

        Raises StructureError for a bias of another size, or one without a name.
        """
        matrix = parameter(layer, "weight", 2)
        self.add(weight, matrix, arrange)
        if bias is not None:
            vector = parameter(layer, "bias", 1)
            if vector.shape[0] != matrix.shape[0]:
                rows = matrix.shape[0]
                raise StructureError(f"a {layer.class_name} with {rows} rows and {vector.shape[0]} biases")
            self.add(bias, vector, arrange)
        elif isinstance(layer.get("bias"), Tensor):
            raise StructureError(f"a {layer.class_name} with a bias where OpenNMT has none")
        return matrix


VARIATIONAL = DROPOUTS - {"nn.Dropout"}
GATES: dict[str, tuple[Literal["lstm", "gru"], int]] = {"onmt.LSTM": ("lstm", 4), "onmt.GRU": ("gru", 3)}


def read_source(graph: TorchObject, prefix: str, fixed: bool, collector: Collector) -> EmbeddingSpec | None:
    """Read the embedding network of a graph; None if the graph's inputs are vectors.

    fixed: the option `-fix_word_vecs_*`, used for models whose embeddings don't store it.
    """
    networks = of_class(children(graph), "onmt.WordEmbedding", "nn.Sequential")
    if not networks:
        return None
    return read_embedding(only(networks, "input networks"), prefix, fixed, collector)


def read_embedding(network: TorchObject, prefix: str, fixed: bool, collector: Collector) -> EmbeddingSpec:
    """Read an onmt.WordEmbedding, or an nn.Sequential that joins one with an onmt.FeaturesEmbedding."""
    features: list[TorchObject] = []
    merge: Literal["concat", "sum"] = "concat"
    words = network
    if network.class_name == "nn.Sequential":
        parallel = only(of_class(children(network), "nn.ParallelTable"), "tables of inputs")
        words = only(of_class(children(parallel), "onmt.WordEmbedding"), "word embeddings")
        embedding = only(of_class(children(parallel), "onmt.FeaturesEmbedding"), "feature embeddings")
        graph = only(of_class(children(embedding), "nn.gModule"), "graphs of features")
        layers = of_class(children(graph), "nn.LookupTable", "onmt.WordEmbedding")
        features = [_lookup(layer) for layer in in_order_of_inputs(graph, layers)]
        merge = "sum" if of_class(children(graph), "nn.CAddTable") else "concat"
    frozen, pretrained = _frozen_columns(words, fixed)
    tables = [parameter(_lookup(words), "weight", 2)]
    collector.add(f"{prefix}.words", tables[0], trained=frozen < tables[0].shape[1])
    for index, feature in enumerate(features):
        tables.append(parameter(feature, "weight", 2))
        collector.add(f"{prefix}.features.{index}", tables[-1])
    if merge == "sum" and len({table.shape[1] for table in tables[1:]}) > 1:
        raise StructureError("features of different widths that are added")
    return EmbeddingSpec(
        tables=tuple(TableSpec(size=table.shape[0], dim=table.shape[1]) for table in tables),
        feature_merge=merge,
        pretrained_columns=pretrained,
        frozen_columns=frozen,
    )


def _lookup(module: TorchObject) -> TorchObject:
    return only(of_class(descendants(module), "nn.LookupTable"), "tables in an embedding")


def _frozen_columns(words: TorchObject, fixed: bool) -> tuple[int, int]:
    """Return how many of the word table's columns are frozen, and how many are pretrained."""
    columns = parameter(_lookup(words), "weight", 2).shape[1]
    size = words.get("preTrainedVecSize")
    pretrained = 0 if size is None else min(as_whole(size, "the width of pretrained vectors"), columns)
    fix = words.get("fix")
    if fix is None:  # older models store it in the options only
        fix = fixed
    if fix == "pretrained":
        return pretrained or columns, pretrained
    return (columns if fix else 0), pretrained


def read_stack(
    graph: TorchObject, prefix: str, residual: bool, collector: Collector
) -> tuple[StackSpec, int]:
    """Read the recurrent layers of one time step's graph; return them and the width of their input.

    residual: the option `-residual`, used if the graph cannot show it because no layer has such a connection.
    """
    rnn = only(of_class(children(graph), *RECURRENT), "recurrent networks")
    kind, gates = GATES[rnn.class_name]
    layers = only(of_class(children(rnn), "nn.gModule"), "graphs of layers")
    cells = of_class(children(layers), "nn.gModule")
    if not cells:
        raise StructureError(f"a {rnn.class_name} without layers")
    weights = [
        _read_cell(cell, kind, f"{prefix}.layers.{index}", collector) for index, cell in enumerate(cells)
    ]
    width, hidden = weights[0][0].shape[1], weights[0][1].shape[1]
    for index, (inputs, recurrent) in enumerate(weights):
        fits = inputs.shape == (gates * hidden, hidden if index else width)
        if not fits or recurrent.shape != (gates * hidden, hidden):
            raise StructureError(f"layer {index + 1} of a {rnn.class_name} whose matrices do not fit")
    spec = StackSpec(
        cell=CellSpec(kind=kind),
        layers=len(cells),
        hidden_size=hidden,
        residual=_residual(layers, width == hidden, len(cells), residual),
    )
    return _with_dropout(spec, of_class(children(layers), *DROPOUTS)), width


def _read_cell(
    cell: TorchObject, kind: Literal["lstm", "gru"], prefix: str, collector: Collector
) -> tuple[Tensor, Tensor]:
    """Record a layer's parameters; return its matrices for the input and for its own previous output."""
    layers = of_class(children(cell), "nn.Linear")
    if len(layers) != 2:
        raise StructureError(f"a recurrent layer with {len(layers)} matrices instead of 2")
    # a cell's inputs are its states, then x; if the graph doesn't show the inputs, x's matrix comes first
    fed_by_x, fed_by_h = in_order_of_inputs(cell, layers, last_first=True)
    arrange = lstm_gates if kind == "lstm" else unchanged
    return (
        collector.linear(fed_by_x, f"{prefix}.weight_ih", f"{prefix}.bias_ih", arrange),
        collector.linear(fed_by_h, f"{prefix}.weight_hh", f"{prefix}.bias_hh", arrange),
    )


def _residual(graph: TorchObject, fits: bool, layers: int, wanted: bool) -> Literal["none", "lower"]:
    """Return the kind of residual connections.

    Lua adds them over all layers below the top one, over layer 1 only if its input is as wide as h. Raises
    StructureError if their number in the graph is another.
    """
    found = len(of_class(children(graph), "nn.CAddTable"))
    places = max(0, layers - 2) + (1 if fits and layers > 1 else 0)
    if found == 0:
        return "lower" if wanted and places == 0 else "none"
    if found != places:
        raise StructureError(f"{found} residual connections where {places} are expected")
    return "lower"


def _with_dropout(spec: StackSpec, dropouts: list[TorchObject]) -> StackSpec:
    """Add the dropout of the graph to the spec: on the inputs of layers 2 to L or 1 to L; variational dropout
    also on every h.
    """
    if not dropouts:
        return spec
    share = probability(dropouts[0])
    variational = dropouts[0].class_name in VARIATIONAL
    on_inputs = len(dropouts) - spec.layers if variational else len(dropouts)
    if on_inputs not in (spec.layers - 1, spec.layers):
        raise StructureError(f"{len(dropouts)} dropout layers for {spec.layers} recurrent ones")
    return replace(
        spec,
        input_dropout=share if on_inputs == spec.layers else 0.0,
        layer_dropout=share,
        recurrent_dropout=share if variational else 0.0,
        variational=variational,
    )
