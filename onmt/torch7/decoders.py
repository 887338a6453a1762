"""What follows the encoder in a Lua model: decoder with attention, generator, bridge, transitions of tags."""

from typing import Literal

from onmt.spec.model import AttentionSpec, BridgeSpec, DecoderSpec
from onmt.torch7.objects import (
    ATTENTIONS,
    StructureError,
    Table,
    Tensor,
    TorchObject,
    Value,
    as_instance,
    as_table,
    check_classes,
    children,
    descendants,
    of_class,
    only,
    parameter,
    probability,
)
from onmt.torch7.options import LuaOptions
from onmt.torch7.parameters import Collector, flat, read_source, read_stack


def read_decoder(
    decoder: Table, options: LuaOptions, collector: Collector
) -> tuple[DecoderSpec, tuple[int, ...]]:
    """The decoder and the sizes of what its generator predicts, words first."""
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
    # the only direct JoinTable joins the word vector and the previous output
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
    """The attention's layers in order: what compares query and memory, then what mixes query and context."""
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
    """The sizes of all outputs, words first."""
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
    """The bridge; the first versions had none and copied the states."""
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
    """Whether a tagger scores whole sequences, with the transitions between tags noted if it does."""
    if criterion is None:
        return False
    holder = TorchObject("onmt.SentenceNLLCriterion", 1, as_table(criterion, "the tagger's criterion"))
    start, between = parameter(holder, "A0", 1), parameter(holder, "A", 2)
    if start.shape != (tags,) or between.shape != (tags, tags):
        raise StructureError(f"transitions that do not fit {tags} tags")
    collector.add("transitions.start", start)
    collector.add("transitions.between", between)
    return True
