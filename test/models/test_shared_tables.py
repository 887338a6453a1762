"""The gradient of a shared embedding table is the sum of the gradients of separate tables."""

from dataclasses import replace

import pytest
import torch

from onmt.constants import BOS, PAD
from onmt.data.dataset import Batch
from onmt.errors import OptionError
from onmt.kernels.products import Products, multiply_with
from onmt.models.base import stored_tensors
from onmt.models.loading import restore_model
from onmt.models.lua import DataSizes, restructured, spec_from_options, with_shared_tables
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.noise import Noise, TrainingStep
from onmt.spec.model import ModelSpec

SIZES = DataSizes((9, 6), (9, 6))
OPTIONS = Seq2SeqModelOptions(rnn_size=8, word_vec_size=8, layers=1, dropout=0.0)
SOURCE, TARGET, OUTPUT = "source.words", "decoder.embeddings.words", "generator.weights.0"


def built(spec: ModelSpec) -> Seq2Seq:
    model = build_model(spec)
    assert isinstance(model, Seq2Seq)
    model.initialise(0.5, torch.Generator().manual_seed(3))
    return model.double()


def batch() -> Batch:
    generator = torch.Generator().manual_seed(9)
    src = torch.randint(4, 6, (2, 5, 2), generator=generator)
    tgt = torch.randint(4, 6, (2, 6, 2), generator=generator)
    src[..., 0] += torch.randint(4, (2, 5), generator=generator)
    tgt[:, 0] = BOS
    src[1, 3:] = tgt[1, 4:] = PAD
    return Batch(
        src=src,
        src_lengths=torch.tensor([5, 3]),
        tgt_input=tgt[:, :-1],
        tgt_output=tgt[:, 1:],
        size=2,
        src_words=8,
        tgt_words=8,
        indices=torch.arange(2),
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("shared", "tied"), [(False, True), (True, False), (True, True)])
def test_the_gradient_is_the_sum_of_both(shared: bool, tied: bool, smoothing: float) -> None:
    plain = spec_from_options(OPTIONS, SIZES)
    model, apart = built(with_shared_tables(plain, shared, tied)), built(plain)
    weights = stored_tensors(model)
    table = weights[SOURCE if shared else TARGET]
    uses = [SOURCE] * shared + [TARGET] + [OUTPUT] * tied
    with torch.no_grad():
        for name, tensor in stored_tensors(apart).items():
            kept = name.replace("decoder.embeddings.features", "source.features") if shared else name
            tensor.copy_(table if name in uses else weights[kept])
    step = TrainingStep(Noise(torch.Generator()), label_smoothing=smoothing)
    losses = [one.loss(batch(), step).total for one in (model, apart)]
    assert torch.equal(*losses)
    for loss in losses:
        loss.backward()
    separate = stored_tensors(apart)
    expected = sum(separate[name].grad for name in uses)
    assert isinstance(expected, torch.Tensor)
    expected[PAD] = 0
    assert table.grad is not None
    torch.testing.assert_close(table.grad, expected, rtol=1e-12, atol=1e-12)
    assert len(separate) - len(weights) == len(uses) - 1 + shared  # the table of features is shared too


@pytest.mark.parametrize(("shared", "tied"), [(False, True), (True, False), (True, True)])
def test_files_and_packed_weights(shared: bool, tied: bool) -> None:
    """A restored model gives the same loss, and the same scores with weights packed for translation."""
    model = built(with_shared_tables(spec_from_options(OPTIONS, SIZES), shared, tied)).float()
    again = restore_model(ModelSpec.from_state(model.spec.to_state()), stored_tensors(model), "model.pt")
    expected = model.loss(batch(), None).total
    assert torch.equal(again.loss(batch(), None).total, expected)
    with torch.inference_mode():
        multiply_with(again, Products(frozen=True))
        assert isinstance(again, Seq2Seq)
        torch.testing.assert_close(again.score(batch()), model.score(batch()))
        multiply_with(again, Products(torch.bfloat16, frozen=True))
        torch.testing.assert_close(again.score(batch()), model.score(batch()), rtol=0.02, atol=0.02)


def test_a_fixed_table_can_be_the_output_layer() -> None:
    options = replace(OPTIONS, fix_word_vecs_dec=True)
    model = built(with_shared_tables(spec_from_options(options, SIZES), False, True))
    model.loss(batch(), TrainingStep(Noise(torch.Generator()))).total.backward()
    assert model.decoder.embeddings.words.grad is None
    assert model.generator.biases[0].grad is not None


def test_one_table_is_fixed_for_both_sides_or_for_none() -> None:
    spec = with_shared_tables(spec_from_options(OPTIONS, SIZES), True, False)
    both = restructured(spec, replace(OPTIONS, fix_word_vecs_dec=True, fix_word_vecs_enc=True))
    assert not built(both).decoder.embeddings.words.requires_grad
    for side in ("fix_word_vecs_dec", "fix_word_vecs_enc"):
        with pytest.raises(
            OptionError, match=r"give -fix_word_vecs_enc and -fix_word_vecs_dec the same value"
        ):
            restructured(spec, replace(OPTIONS, **{side: True}))  # type: ignore[arg-type]
