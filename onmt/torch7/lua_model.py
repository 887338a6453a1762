"""A model of OpenNMT Lua (`.t7`, released or raw): what it is, and where each of its parameters lies.

Structure and sizes come from the networks themselves, so models of any age are read alike; the options are
asked only for what a network does not show.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onmt.data.vocabulary import Vocabularies
from onmt.errors import CheckpointError
from onmt.spec.layers import EncoderSpec, PyramidalEncoderSpec, RecurrentEncoderSpec, StackSpec
from onmt.spec.model import BridgeSpec, EmbeddingSpec, ModelSpec, PolicySpec, SourceSpec, VectorSpec
from onmt.torch7.decoders import read_bridge, read_decoder, read_generator, read_transitions
from onmt.torch7.encoders import read_encoder
from onmt.torch7.objects import StructureError, Table, as_table
from onmt.torch7.options import LuaOptions, read_vocabularies
from onmt.torch7.parameters import Collector, LuaParameter
from onmt.torch7.reader import read_t7

# Lua numbers the states of its optimiser in this order
PARTS: Final = ("bridge", "criterion", "decoder", "encoder", "generator")


@dataclass(frozen=True)
class LuaModel:
    """What a file holds, in our terms.

    parameters: by our names, where the numbers lie. info: the table with a training's state, None in a
    released model. gold_probability: where scheduled sampling stands.
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
    """The model in the table that a `.t7` file holds. Raises StructureError if it is none."""
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
    """A language model, or a tagger: the one with a target dictionary."""
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
    """The decoder can read the encoder's memory and, where they are copied, its states."""
    hidden, states = stack.hidden_size, stack.layers * stack.cell.states
    width = encoder.memory_size(input_size)
    if width != hidden:
        raise StructureError(f"a decoder of width {hidden} after an encoder of width {width}")
    if bridge.kind == "copy" and encoder.state_widths(input_size) != (hidden,) * states:
        raise StructureError("a bridge that copies states which the decoder does not have")


def _check_vocabularies(spec: ModelSpec, vocabularies: Vocabularies) -> None:
    """Every table and every output has a row per word of its dictionary."""
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
    """The decoder keeps the present value among its arguments, the options keep the first one."""
    decoder = models.get("decoder")
    arguments = decoder.get("args") if isinstance(decoder, Table) else None
    present = arguments.get("scheduled_sampling") if isinstance(arguments, Table) else None
    return present if isinstance(present, float) else float(options.number("scheduled_sampling", 1.0))
