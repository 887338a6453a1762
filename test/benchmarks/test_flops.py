from dataclasses import replace
from typing import Literal
from unittest import mock

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import flops
from onmt.data.dataset import Batch
from onmt.models.networks import Seq2Seq, build_model
from onmt.modules.decoder import Decoder
from onmt.modules.noise import Noise, TrainingStep
from onmt.spec.layers import (
    CellSpec,
    ConvolutionalEncoderSpec,
    ConvolutionsSpec,
    EncoderSpec,
    PoolingEncoderSpec,
    PyramidalEncoderSpec,
    RecurrentEncoderSpec,
    StackSpec,
    TwinConvolutionalEncoderSpec,
)
from onmt.spec.model import AttentionSpec, BridgeSpec, DecoderSpec, EmbeddingSpec, ModelSpec, TableSpec

Score = Literal["general", "dot", "concat", "bahdanau", "projected_dot", "last"]

SOURCE, TARGET, SENTENCES = 9, 5, 2
LSTM = StackSpec(layers=2, hidden_size=8, recurrent_dropout=0.1)  # dropout avoids the fused kernels,
GRU = replace(LSTM, cell=CellSpec(kind="gru"))  # whose products FlopCounterMode misses

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
UNLIKE_DECODER: dict[str, EncoderSpec] = {
    "conv": TwinConvolutionalEncoderSpec(
        keys=ConvolutionsSpec(units=5, kernel=3, layers=2),
        values=ConvolutionsSpec(units=7, kernel=5, layers=3),
    ),
    "pooling": PoolingEncoderSpec(pool="average", size=5),
}


def model_spec(
    encoder: EncoderSpec = ENCODERS["rnn"],
    score: Score = "general",
    stack: StackSpec = LSTM,
) -> ModelSpec:
    tables = (TableSpec(size=11, dim=4), TableSpec(size=7, dim=3))
    decoder = DecoderSpec(
        embedding=EmbeddingSpec(tables=tables), stack=stack, attention=AttentionSpec(score=score, units=3)
    )
    return ModelSpec(
        model_type="seq2seq",
        source=EmbeddingSpec(tables=(TableSpec(size=10, dim=6),)),
        encoder=encoder,
        bridge=BridgeSpec(kind="dense"),
        decoder=decoder,
        outputs=(11, 7),
    )


def in_place_product(_added: torch.Size, left: torch.Size, right: torch.Size, out_shape: torch.Size) -> int:
    """FLOP of `addmm_`, which FlopCounterMode does not know."""
    return 2 * left[0] * left[1] * right[1]


def counted(spec: ModelSpec) -> int:
    """FLOP that torch counts in one forward pass over two sentences of equal length."""
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
    # The plain path runs all products that the formulas count, and no product of a backward pass.
    plain = mock.patch.object(Decoder, "forward_kernel", Decoder.forward_plain)
    assert isinstance(model, Seq2Seq)
    with torch.no_grad(), plain, counter:
        model.generator(model._decoded(batch, TrainingStep(Noise(torch.Generator()))).outputs)
    return counter.get_total_flops()


def agrees(spec: ModelSpec) -> bool:
    return SENTENCES * flops.forward_flops(spec, SOURCE, TARGET) == counted(spec)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_counts_what_torch_counts(name: str) -> None:
    assert agrees(model_spec(ENCODERS[name]))


@pytest.mark.parametrize("name", UNLIKE_DECODER)
def test_encoders_of_any_width_count_what_torch_counts(name: str) -> None:
    assert agrees(model_spec(UNLIKE_DECODER[name], score="projected_dot"))


@pytest.mark.parametrize("score", ["general", "dot", "last", "projected_dot"])
def test_attention_counts_what_torch_counts(score: Score) -> None:
    assert agrees(model_spec(score=score))


@pytest.mark.parametrize(("score", "width"), [("concat", 8), ("bahdanau", 3)])
def test_additive_attention_by_hand(score: Score, width: int) -> None:
    """A key (8 x width) per memory position; per step a query, and per position a score and a sum of 8."""
    difference = flops.forward_flops(model_spec(score=score), SOURCE, TARGET)
    difference -= flops.forward_flops(model_spec(score="last"), SOURCE, TARGET)
    assert difference == SOURCE * 2 * 8 * width + TARGET * (2 * 8 * width + SOURCE * 2 * (width + 8))


@pytest.mark.parametrize("dense", [False, True])
def test_layers_that_pass_their_input_on_count_what_torch_counts(dense: bool) -> None:
    wide = replace(LSTM, residual="concat", residual_dense=dense)
    spec = model_spec(RecurrentEncoderSpec(kind="rnn", stack=wide), score="projected_dot")
    assert spec.decoder is not None
    decoder = replace(spec.decoder, stack=wide, feed="context", mix="identity")
    assert agrees(replace(spec, decoder=decoder))


def test_a_gru_decoder_counts_what_torch_counts() -> None:
    assert agrees(model_spec(ENCODERS["rnn_gru"], stack=GRU))


def test_projected_cells_count_what_torch_counts() -> None:
    stack = replace(LSTM, cell=CellSpec(projection=4))
    for kind in ("rnn", "brnn"):
        encoder = RecurrentEncoderSpec(kind=kind, stack=stack, merge="concat")  # type: ignore[arg-type]
        assert agrees(model_spec(encoder, score="projected_dot", stack=stack))


def test_one_layer_by_hand() -> None:
    """4 gates of 3 units from an input of 2 and a state of 3: a 5 x 12 product."""
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
