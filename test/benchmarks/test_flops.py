from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import flops
from onmt.data.batch import Batch
from onmt.models.build import build_model
from onmt.models.spec import (
    AttentionSpec,
    BridgeSpec,
    CellSpec,
    ConvolutionalEncoderSpec,
    DecoderSpec,
    EmbeddingSpec,
    EncoderSpec,
    ModelSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    StackSpec,
    TableSpec,
)
from onmt.modules.noise import Noise, TrainingStep

SOURCE, TARGET, SENTENCES = 9, 5, 2
LSTM = StackSpec(layers=2, hidden_size=8, recurrent_dropout=0.1)  # dropout keeps away from fused kernels,
GRU = replace(LSTM, cell=CellSpec(kind="gru"))  # whose products the counter cannot see

ENCODERS: dict[str, EncoderSpec] = {
    "rnn": RecurrentEncoderSpec(kind="rnn", stack=LSTM),
    "rnn_gru": RecurrentEncoderSpec(kind="rnn", stack=GRU),
    "brnn_sum": RecurrentEncoderSpec(kind="brnn", stack=LSTM, merge="sum"),
    "brnn_concat": RecurrentEncoderSpec(kind="brnn", stack=LSTM, merge="concat"),
    "gnmt": RecurrentEncoderSpec(kind="gnmt", stack=replace(LSTM, layers=3), merge="concat"),
    "dbrnn": PyramidalEncoderSpec(stack=LSTM, merge="concat"),
    "pdbrnn_concat": PyramidalEncoderSpec(stack=replace(LSTM, layers=3), reduction=2),
    "pdbrnn_sum": PyramidalEncoderSpec(stack=LSTM, merge="concat", reduction=3, reduction_merge="sum"),
    "cnn": ConvolutionalEncoderSpec(layers=3, kernel=3, hidden_size=8),
}


def model_spec(
    encoder: EncoderSpec = ENCODERS["rnn"],
    attention: AttentionSpec = AttentionSpec(),  # noqa: B008 - frozen
    stack: StackSpec = LSTM,
    source_dim: int = 6,
) -> ModelSpec:
    bridge = BridgeSpec(kind="dense")
    embedding = EmbeddingSpec(tables=(TableSpec(size=11, dim=4), TableSpec(size=7, dim=3)))
    return ModelSpec(
        model_type="seq2seq",
        source=EmbeddingSpec(tables=(TableSpec(size=10, dim=source_dim),)),
        encoder=encoder,
        bridge=bridge,
        decoder=DecoderSpec(embedding=embedding, stack=stack, attention=attention),
        outputs=(11, 7),
    )


def in_place_product(_added: torch.Size, left: torch.Size, right: torch.Size, out_shape: torch.Size) -> int:
    """`addmm_`, which the counter does not know by itself."""
    return 2 * left[0] * left[1] * right[1]


def counted(spec: ModelSpec) -> int:
    """Products that torch saw in one forward pass over two sentences of equal length."""
    model = build_model(spec)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    target = torch.full((SENTENCES, TARGET, 2), 4)
    batch = Batch(
        src=torch.full((SENTENCES, SOURCE, 1), 4),
        src_lengths=torch.full((SENTENCES,), SOURCE),
        tgt_input=target,
        tgt_output=target,
        size=SENTENCES,
        src_words=SENTENCES * SOURCE,
        tgt_words=SENTENCES * TARGET,
        indices=torch.arange(SENTENCES),
    )
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place_product})
    with counter:
        model.loss(batch, TrainingStep(Noise(torch.Generator())))
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_counts_what_torch_counts(name: str) -> None:
    spec = model_spec(ENCODERS[name])
    assert SENTENCES * flops.forward_flops(spec, SOURCE, TARGET) == counted(spec)


@pytest.mark.parametrize("score", ["general", "dot", "last"])
def test_attention_counts_what_torch_counts(score: str) -> None:
    spec = model_spec(attention=AttentionSpec(score=score))  # type: ignore[arg-type]
    assert SENTENCES * flops.forward_flops(spec, SOURCE, TARGET) == counted(spec)


def test_concat_attention_by_hand() -> None:
    """Per memory position a key (8 x 8) once; per step a query (8 x 8), then a score and a sum (8 each)."""
    concat, last = (model_spec(attention=AttentionSpec(score=score)) for score in ("concat", "last"))  # type: ignore[arg-type]
    difference = flops.forward_flops(concat, SOURCE, TARGET) - flops.forward_flops(last, SOURCE, TARGET)
    assert difference == SOURCE * 128 + TARGET * (128 + SOURCE * (16 + 16))


def test_a_gru_decoder_counts_what_torch_counts() -> None:
    spec = model_spec(ENCODERS["rnn_gru"], stack=GRU)
    assert SENTENCES * flops.forward_flops(spec, SOURCE, TARGET) == counted(spec)


def test_one_layer_by_hand() -> None:
    """4 gates of 3 from an input of 2 and a state of 3: a 5 x 12 product."""
    assert flops.stack_flops(StackSpec(layers=1, hidden_size=3), 2) == 2 * 5 * 12


def test_training_is_three_forward_passes() -> None:
    spec = model_spec()
    forward = flops.forward_flops(spec, 9, 5) + flops.forward_flops(spec, 3, 2)
    assert flops.training_flops(spec, [(9, 5), (3, 2)]) == 3 * forward


def test_a_beam_repeats_only_the_steps() -> None:
    spec = model_spec()
    one, five = (flops.translation_flops(spec, [(9, 5)], beam) for beam in (1, 5))
    assert one == flops.forward_flops(spec, 9, 5)
    assert five - one == 4 * 5 * flops.step_flops(spec, 9)


def test_a_language_model_by_hand() -> None:
    spec = ModelSpec(
        model_type="lm",
        source=EmbeddingSpec(tables=(TableSpec(size=10, dim=6),)),
        encoder=RecurrentEncoderSpec(kind="rnn", stack=StackSpec(layers=1, hidden_size=8)),
        outputs=(10,),
    )
    assert flops.forward_flops(spec, 7, 0) == 7 * (2 * 14 * 32 + 2 * 8 * 10)
