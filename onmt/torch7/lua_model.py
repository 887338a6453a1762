"""Read a model of OpenNMT Lua (`.t7`, released or raw): its spec, vocabularies, options and parameters.

Structure and sizes are read from the networks themselves, so models of any age are read alike. Options are
consulted only for settings that a network does not show.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.errors import CheckpointError, DataError
from onmt.spec.layers import EncoderSpec, PyramidalEncoderSpec, RecurrentEncoderSpec, StackSpec
from onmt.spec.model import (
    AttentionSpec,
    BridgeSpec,
    DecoderSpec,
    EmbeddingSpec,
    ModelSpec,
    PolicySpec,
    SourceSpec,
    VectorSpec,
)
from onmt.torch7.encoders import read_encoder
from onmt.torch7.objects import (
    ATTENTIONS,
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
    descendants,
    of_class,
    only,
    parameter,
    probability,
    text,
)
from onmt.torch7.parameters import Collector, LuaParameter, flat, read_source, read_stack
from onmt.torch7.reader import read_t7

# Lua numbers the states of its optimiser in this order
PARTS: Final = ("bridge", "criterion", "decoder", "encoder", "generator")


@dataclass(frozen=True)
class LuaModel:
    """The content of a `.t7` file in our terms.

    parameters: by our names, not copied yet. info: the table of the training state, None in a released model.
    gold_probability: the current probability of scheduled sampling.
    """

    name: str
    spec: ModelSpec
    vocabularies: Vocabularies
    options: LuaOptions
    parameters: dict[str, LuaParameter]
    info: Table | None
    gold_probability: float

    @property
    def data_type(self) -> str:
        """The kind of data the model works on: bitext, monotext or feattext."""
        if self.spec.model_type == "lm":
            return "monotext"
        return "feattext" if isinstance(self.spec.source, VectorSpec) else "bitext"


def read_lua_model(path: str | Path) -> LuaModel:
    """Read a model of any type. Raises CheckpointError, naming what is wrong or has no counterpart here."""
    root = read_t7(path)
    try:
        return interpret(as_table(root, "the model"), str(path))
    except StructureError as error:
        raise CheckpointError(f"'{path}' is not a model of OpenNMT Lua that can be used: {error}") from error


def interpret(root: Table, name: str) -> LuaModel:
    """Interpret the table of a `.t7` file as a model. Raises StructureError if it isn't one."""
    models = as_table(root.get("models"), "its table of networks")
    options = LuaOptions.read(root.get("options"))
    vocabularies = read_vocabularies(as_table(root.get("dicts"), "its table of dictionaries"))
    collectors = {part: Collector(part) for part in PARTS}
    encoder = as_table(models.get("encoder"), "its encoder")
    source, encoder_spec = read_encoder(encoder, options, collectors["encoder"])
    if models.get("decoder") is not None:
        spec = _read_seq2seq(models, source, encoder_spec, options, collectors)
    else:
        spec = _read_labeller(models, source, encoder_spec, options, bool(vocabularies.tgt), collectors)
    _check_vocabularies(spec, vocabularies)
    info = root.get("info")
    return LuaModel(
        name=name,
        spec=spec,
        vocabularies=vocabularies,
        options=options,
        parameters={key: one for part in PARTS for key, one in collectors[part].parameters.items()},
        info=None if info is None else as_table(info, "its training state"),
        gold_probability=_gold_probability(models, options),
    )


def _read_seq2seq(
    models: Table,
    source: EmbeddingSpec | VectorSpec,
    encoder: EncoderSpec,
    options: LuaOptions,
    collectors: dict[str, Collector],
) -> ModelSpec:
    bridge = read_bridge(models.get("bridge"), collectors["bridge"])
    table = as_table(models.get("decoder"), "its decoder")
    decoder, outputs = read_decoder(table, options, collectors["decoder"])
    _check_joint(encoder, source.output_size, bridge, decoder.stack)
    return ModelSpec(
        model_type="seq2seq",
        source=source,
        encoder=encoder,
        outputs=outputs,
        bridge=bridge,
        decoder=decoder,
        word_dropout=options.number("dropout_words", 0.0),
        policies=PolicySpec(features_shifted=options.features_shifted),
    )


def _read_labeller(
    models: Table,
    source: EmbeddingSpec | VectorSpec,
    encoder: EncoderSpec,
    options: LuaOptions,
    has_tags: bool,
    collectors: dict[str, Collector],
) -> ModelSpec:
    """Read a language model or, if there is a target dictionary, a tagger."""
    outputs = read_generator(models.get("generator"), collectors["generator"])
    transitions = has_tags and read_transitions(models.get("criterion"), outputs[0], collectors["criterion"])
    forward = isinstance(encoder, RecurrentEncoderSpec) and encoder.kind == "rnn"
    if not has_tags and not (forward and isinstance(source, EmbeddingSpec)):
        raise StructureError("a language model whose encoder sees the words it has to predict")
    if has_tags and isinstance(encoder, PyramidalEncoderSpec) and encoder.reduction > 1:
        raise StructureError("a tagger whose encoder has fewer outputs than there are words")
    return ModelSpec(
        model_type="seqtagger" if has_tags else "lm",
        source=source,
        encoder=encoder,
        outputs=outputs,
        word_dropout=options.number("dropout_words", 0.0),
        transitions=transitions,
        policies=PolicySpec(features_shifted=options.features_shifted),
    )


def _check_joint(encoder: EncoderSpec, input_size: int, bridge: BridgeSpec, stack: StackSpec) -> None:
    """Raise StructureError unless the decoder fits the encoder's memory and, if copied, its states."""
    hidden, states = stack.hidden_size, stack.layers * stack.cell.states
    width = encoder.memory_size(input_size)
    if width != hidden:
        raise StructureError(f"a decoder of width {hidden} after an encoder of width {width}")
    if bridge.kind == "copy" and encoder.state_widths(input_size) != (hidden,) * states:
        raise StructureError("a bridge that copies states which the decoder does not have")


def _check_vocabularies(spec: ModelSpec, vocabularies: Vocabularies) -> None:
    """Raise StructureError unless every table and output has one row per word of its dictionary."""
    src = tuple(len(one) for one in vocabularies.src)
    tgt = tuple(len(one) for one in vocabularies.tgt)
    found = {"the source": (_table_sizes(spec.source), src)}
    found["the output"] = (spec.outputs, src if spec.model_type == "lm" else tgt)
    if spec.decoder is not None:
        found["the target"] = (_table_sizes(spec.decoder.embedding), tgt)
    for what, (rows, words) in found.items():
        if rows != words:
            sizes = " + ".join(map(str, rows)) or "no"
            raise StructureError(
                f"{what} has {sizes} rows for dictionaries of {' + '.join(map(str, words))} words"
            )
    if isinstance(spec.source, VectorSpec) and vocabularies.src_vector_size not in (0, spec.source.size):
        raise StructureError(f"its encoder does not read vectors of {vocabularies.src_vector_size} numbers")


def _table_sizes(source: SourceSpec) -> tuple[int, ...]:
    return tuple(table.size for table in source.tables) if isinstance(source, EmbeddingSpec) else ()


def _gold_probability(models: Table, options: LuaOptions) -> float:
    """Return the current value, a decoder argument; without it, the initial value from the options."""
    decoder = models.get("decoder")
    arguments = decoder.get("args") if isinstance(decoder, Table) else None
    present = arguments.get("scheduled_sampling") if isinstance(arguments, Table) else None
    return present if isinstance(present, float) else float(options.number("scheduled_sampling", 1.0))


def read_decoder(
    decoder: Table, options: LuaOptions, collector: Collector
) -> tuple[DecoderSpec, tuple[int, ...]]:
    """Read the decoder with its generator; return its spec and the sizes of all outputs, words first."""
    modules = as_table(decoder.get("modules"), "the list of the decoder's modules").sequence()
    if len(modules) != 2:
        raise StructureError(f"a decoder of {len(modules)} parts instead of 2")
    graph = as_instance(modules[0], "the decoder's network", "nn.gModule")
    check_classes(graph)
    embedding = read_source(graph, "decoder.embeddings", options.fixed("dec"), collector)
    if embedding is None:
        raise StructureError("a decoder without word vectors")
    stack, width = read_stack(graph, "decoder.stack", options.residual, collector)
    fed = width - embedding.output_size
    # a JoinTable directly in the graph means input feeding: it joins word vector and previous output
    if fed != (stack.hidden_size if of_class(children(graph), "nn.JoinTable") else 0):
        raise StructureError(f"a decoder whose first layer reads {width} numbers")
    dropouts = of_class(children(graph), "nn.Dropout")
    spec = DecoderSpec(
        embedding=embedding,
        stack=stack,
        attention=_read_attention(graph, collector),
        feed="output" if fed else "none",
        output_dropout=probability(dropouts[-1]) if dropouts else 0.0,
    )
    return spec, read_generator(modules[1], collector)


def _read_attention(graph: TorchObject, collector: Collector) -> AttentionSpec:
    """Read the attention. Its layers are, in order, those that score the memory, then the one that mixes
    query and context.
    """
    attention = only(of_class(children(graph), *ATTENTIONS), "attention layers")
    layers = of_class(descendants(attention), "nn.Linear")
    if not layers:
        raise StructureError("an attention layer without parameters")
    *comparing, mixing = layers
    collector.linear(mixing, "decoder.mix_weight", None)
    if attention.class_name == "onmt.NoAttention":
        if comparing:
            raise StructureError("an onmt.NoAttention that compares something")
        return AttentionSpec(score="last")
    if not comparing:
        return AttentionSpec(score="dot")
    collector.linear(comparing[0], "decoder.attention.weight", None)
    if len(comparing) == 1:
        return AttentionSpec(score="general")
    if len(comparing) > 2:
        raise StructureError(f"an attention layer with {len(comparing) + 1} matrices")
    collector.linear(comparing[1], "decoder.attention.score_weight", "decoder.attention.score_bias", flat)
    return AttentionSpec(score="concat")


def read_generator(generator: Value, collector: Collector) -> tuple[int, ...]:
    """Read the generator; return the sizes of all outputs, words first."""
    module = as_instance(generator, "the generator", "onmt.Generator", "onmt.FeaturesGenerator")
    check_classes(module)
    layers = of_class(descendants(module), "nn.Linear")
    if not layers:
        raise StructureError("a generator without outputs")
    sizes = []
    for index, layer in enumerate(layers):
        if isinstance(layer.get("fullWeight"), Tensor):
            raise StructureError(
                "it was saved in the middle of an epoch with -sample_vocab, with a part of its generator only"
            )
        weight = collector.linear(layer, f"generator.weights.{index}", f"generator.biases.{index}")
        sizes.append(weight.shape[0])
    return tuple(sizes)


def read_bridge(bridge: Value, collector: Collector) -> BridgeSpec:
    """Read the bridge. The first versions had none and copied the states."""
    if bridge is None:
        return BridgeSpec(kind="copy")
    module = as_instance(bridge, "the bridge", "onmt.Bridge")
    check_classes(module)
    networks = children(module)
    if not networks:
        return BridgeSpec(kind="none")
    network = only(networks, "networks in the bridge")
    layers = of_class(descendants(network), "nn.Linear")
    if not layers:
        return BridgeSpec(kind="copy")
    layer = only(layers, "matrices in the bridge")
    has_bias = isinstance(layer.get("bias"), Tensor)
    collector.linear(layer, "bridge.weight", "bridge.bias" if has_bias else None)
    activation: Literal["identity", "tanh"] = "identity"
    if of_class(children(network), "nn.Tanh"):
        activation = "tanh"
    return BridgeSpec(kind="dense", activation=activation, bias=has_bias)


def read_transitions(criterion: Value, tags: int, collector: Collector) -> bool:
    """Return whether a tagger scores whole sequences; if so, record its transitions between tags."""
    if criterion is None:
        return False
    holder = TorchObject("onmt.SentenceNLLCriterion", 1, as_table(criterion, "the tagger's criterion"))
    start, between = parameter(holder, "A0", 1), parameter(holder, "A", 2)
    if start.shape != (tags,) or between.shape != (tags, tags):
        raise StructureError(f"transitions that do not fit {tags} tags")
    collector.add("transitions.start", start)
    collector.add("transitions.between", between)
    return True


def read_vocabularies(dicts: Table) -> Vocabularies:
    """Read a model's `dicts`: `src` and `tgt` with words and features each, `srcInputSize` for vectors."""
    size = dicts.get("srcInputSize")
    return Vocabularies(
        src=_read_side(dicts.get("src"), "source"),
        tgt=_read_side(dicts.get("tgt"), "target"),
        src_vector_size=0 if size is None else as_whole(size, "the width of the source vectors"),
    )


def _read_side(side: Value, name: str) -> tuple[Vocabulary, ...]:
    if side is None:
        return ()
    table = as_table(side, f"the {name} dictionaries")
    words = as_instance(table.get("words"), f"the {name} dictionary", "Dict")
    features = table.get("features")
    others = [] if features is None else as_table(features, f"the {name} feature dictionaries").sequence()
    dicts = [words, *(as_instance(other, f"a {name} feature dictionary", "Dict") for other in others)]
    return tuple(_read_dict(one, name) for one in dicts)


def _read_dict(dictionary: TorchObject, side: str) -> Vocabulary:
    labels = as_table(dictionary.get("idxToLabel"), f"the list of labels of a {side} dictionary")
    words = labels.sequence()
    if len(words) != len(labels):
        raise StructureError(f"a {side} dictionary with gaps: {len(labels)} labels, {len(words)} in sequence")
    strings = [text(word) for word in words if isinstance(word, str)]
    if len(strings) != len(words):
        raise StructureError(f"a {side} dictionary with labels that are not strings")
    try:
        return Vocabulary(strings, _read_frequencies(dictionary, len(strings)))
    except DataError as error:
        reason = str(error).replace("\n", "\\n")  # it may quote words of a damaged file
        raise StructureError(f"a {side} dictionary that cannot be used: {reason}") from error


def _read_frequencies(dictionary: TorchObject, size: int) -> list[int] | None:
    """Read the counts of `-keep_frequency`, a tensor or a table; None unless each label has a valid one."""
    tensor, table = dictionary.get("freqTensor"), dictionary.get("frequencies")
    if isinstance(tensor, Tensor) and tensor.shape == (size,):
        values = tensor.numpy().tolist()
    elif isinstance(table, Table):
        values = [value for value in table.sequence() if isinstance(value, float)]
    else:
        return None
    usable = len(values) == size and all(0 <= value < 2**53 for value in values)
    return [int(value) for value in values] if usable else None
