"""Image2Seq (onmt/google/model.py) and its published weights (onmt/models/loading.py)."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onmt.data.dataset import Batch, make_batch
from onmt.errors import CheckpointError, OptionError
from onmt.google.model import read_model, spec_of
from onmt.models.base import stored_tensors
from onmt.models.loading import load_image_weights, restore_model
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.networks import Seq2Seq, build_model
from onmt.models.options import Seq2SeqModelOptions
from onmt.modules.inception_encoder import InceptionV3
from onmt.modules.noise import Noise, TrainingStep
from onmt.spec.model import ModelSpec

SIZES = DataSizes(src=(), tgt=(9,), src_image_size=(23, 31))
ENCODER = {"resize_height": 23, "resize_width": 31, "final_endpoint": "MaxPool_3a_3x3"}
SMALL: dict[str, Any] = {
    "encoder.params": ENCODER,
    "embedding.dim": 5,
    "decoder.params": {"rnn_cell": {"cell_params": {"num_units": 6}}},
    "attention.params": {"num_units": 4},
}


def spec(sizes: DataSizes = SIZES, **changes: Any) -> ModelSpec:
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return spec_of(read_model("Image2Seq", {**SMALL, **given}), sizes)


def model(**changes: Any) -> Seq2Seq:
    built = build_model(spec(**changes))
    built.initialise(0.1, torch.Generator().manual_seed(3))
    assert isinstance(built, Seq2Seq)
    return built


def batch(seed: int = 1) -> Batch:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (3, 3, 23, 31)).astype(np.uint8)
    tgt = np.array([[2, 4, 5, 3], [2, 6, 3, 0], [2, 7, 8, 3]])[..., None]
    return make_batch(images, np.ones(3, dtype=np.int64), tgt, np.array([4, 3, 4]), np.arange(3))


def step() -> TrainingStep:
    return TrainingStep(Noise(torch.Generator().manual_seed(1)))


def test_the_description_survives_the_file() -> None:
    described = spec()
    assert ModelSpec.from_state(described.to_state()) == described
    assert (described.policies.source_reverse, described.policies.source_end_symbol) == (False, False)


def test_parameters_that_the_original_uses_but_refuses_are_taken() -> None:
    described = spec(embedding__init_scale=0.5, optimizer__clip_embed_gradients=0.3)
    assert described.initialisation is not None
    assert described.initialisation.embeddings == 0.5
    assert described.policies.embedding_gradient_clip == 0.3


def test_images_are_numbers_from_minus_one_to_one() -> None:
    images = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert model().source(images).flatten().tolist() == pytest.approx([-1, 1, -0.6])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bridge__class": "InitialStateBridge"},
        {"attention__class": "AttentionLayerDot"},
        {"decoder__class": "seq2seq.decoders.BasicDecoder", "bridge__class": "InitialStateBridge"},
    ],
)
def test_every_part_that_carries_the_image_gets_a_gradient(changes: dict[str, Any]) -> None:
    built = model(**changes)
    loss = built.loss(batch(), step())
    assert loss.divisor == loss.words == 3 + 2 + 3
    loss.total.backward()
    without = [name for name, one in built.named_parameters() if one.grad is None or not one.grad.any()]
    assert without == []


def test_a_caption_is_scored_alike_alone_and_step_by_step() -> None:
    built = model(bridge__class="InitialStateBridge")
    built.loss(batch(), step())  # updates the running statistics, which then differ from a new model's
    three = batch()
    scores = built.score(three).tolist()
    with torch.no_grad():
        encoding = built.encode(three.src[1:2], three.src_lengths[1:2])
        state, total = built.start(encoding), 0.0
        for token, following in ((2, 6), (6, 3)):
            result = built.step(torch.tensor([[token]]), state)
            total += float(result.log_probs[0][0, following])
            state = result.state
            assert result.attention is not None
            assert result.attention.shape == (1, 4 * 6)
            assert float(result.attention.sum()) == pytest.approx(1)
    assert total == pytest.approx(scores[1], rel=1e-5)


def test_statistics_belong_to_what_a_file_holds() -> None:
    built = model()
    built.loss(batch(), step())
    weights = stored_tensors(built)
    name = "encoder.network.Conv2d_1a_3x3.bn.running_mean"
    assert weights[name].any()
    again = restore_model(built.spec, weights, "x.pt")
    assert torch.equal(again.score(batch()), built.score(batch()))  # type: ignore[operator]
    del weights[name]
    with pytest.raises(CheckpointError, match="running_mean"):
        restore_model(built.spec, weights, "x.pt")


@pytest.mark.parametrize(
    ("sizes", "changes", "message"),
    [
        (DataSizes(src=(), tgt=(9,), src_image_size=(31, 23)), {}, "prepared as 31 x 23"),
        (DataSizes(src=(9,), tgt=(9,)), {}, "-data_type img"),
        (SIZES, {"encoder__params": {**ENCODER, "final_endpoint": "Mixed_5b"}}, "too small for Mixed_5b"),
        (SIZES, {"encoder__params": {**ENCODER, "final_endpoint": "Mixed_5e"}}, "did you mean.*Mixed_5"),
        (SIZES, {"encoder__class": "BidirectionalRNNEncoder", "encoder__params": {}}, "cannot be used with"),
        (SIZES, {"source__reverse": True}, "no parameter 'source.reverse'"),
        (SIZES, {"bridge__class": "PassThroughBridge"}, "InitialStateBridge or ZeroBridge"),
    ],
)
def test_what_does_not_fit_is_refused(sizes: DataSizes, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        spec(sizes, **changes)


def test_models_of_words_refuse_images() -> None:
    with pytest.raises(OptionError, match="use -model Image2Seq"):
        spec_of(read_model("AttentionSeq2Seq", {}), SIZES)
    with pytest.raises(OptionError, match="cannot be used with -model AttentionSeq2Seq"):
        read_model("AttentionSeq2Seq", {"encoder.class": "InceptionV3Encoder"})
    with pytest.raises(OptionError, match="only -model Image2Seq"):
        spec_from_options(Seq2SeqModelOptions(), SIZES)


def published(**changes: torch.Tensor | None) -> OrderedDict[str, torch.Tensor]:
    """Return weights as in a file of torchvision's, reaching a later endpoint than the model's."""
    generator = torch.Generator().manual_seed(8)
    network = InceptionV3("Conv2d_4a_3x3")
    found = OrderedDict(
        (name, torch.rand(tensor.shape, generator=generator))
        for name, tensor in stored_tensors(network).items()
    )
    found["Conv2d_1a_3x3.bn.num_batches_tracked"] = torch.tensor(0)
    found["AuxLogits.conv0.conv.weight"] = torch.zeros(2)
    found["fc.weight"] = torch.zeros(3)
    for name, tensor in changes.items():
        name = name.replace("__", ".")
        found.pop(name, None)
        if tensor is not None:
            found[name] = tensor
    return found


def test_published_weights_fill_the_network(tmp_path: Path) -> None:
    path = tmp_path / "inception.pth"
    weights = published()
    torch.save(weights, path)
    built = model()
    before = {name: tensor.clone() for name, tensor in stored_tensors(built).items()}
    load_image_weights(built, str(path))
    for name, tensor in stored_tensors(built).items():
        expected = weights.get(name.removeprefix("encoder.network."), before[name])
        assert torch.equal(tensor, expected), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Conv2d_2a_3x3__bn__bias": None}, "'Conv2d_2a_3x3.bn.bias' of Inception v3 is missing"),
        ({"Conv2d_2a_3x3__bn__bias": torch.zeros(5)}, r"has shape \(5,\), not \(32,\)"),
        ({"layer1__weight": torch.zeros(5)}, "'layer1.weight' is no weight of Inception v3"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "inception.pth"
    torch.save(published(**changes), path)
    with pytest.raises(CheckpointError, match=message):
        load_image_weights(model(), str(path))


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_files_of_something_else_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "inception.pth"
    if content is None:
        torch.save([1, 2], path)
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"inception\.pth"):
        load_image_weights(model(), str(path))


@pytest.mark.parametrize("content", [b"a\nb\nc\n", b"\x80\x02}q\x00.", b"", b"(lp0\n.", bytes(range(256))])
def test_any_file_of_weights_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.pth: "):
        load_image_weights(model(), str(path))


def test_models_of_words_have_no_place_for_image_weights(tmp_path: Path) -> None:
    sizes = DataSizes(src=(9,), tgt=(9,))
    words = build_model(spec_from_options(Seq2SeqModelOptions(layers=1, rnn_size=4, word_vec_size=3), sizes))
    with pytest.raises(OptionError, match="-image_weights is for models that read images"):
        load_image_weights(words, str(tmp_path / "x"))
