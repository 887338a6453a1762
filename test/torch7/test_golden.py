"""Models of the original program, read from `.t7` files, give the original's results."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from onmt.data.dataset import Batch
from onmt.models.loading import load_model
from onmt.models.networks import LanguageModel, Seq2Seq, Tagger
from onmt.torch7.convert import convert_model

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
FOLDERS = sorted(path.parent.name for path in GOLDEN.glob("lua/*/model_release.t7.gz"))
RAW = sorted(str(path.relative_to(GOLDEN)) for path in GOLDEN.glob("**/*.t7.gz") if "prep" not in path.parts)

WEIGHTS = "weights.json.gz"
GRADIENTS = GOLDEN / "training" / "sgd_clip" / "grad_1.json.gz"

FIXTURES = sorted(
    path.name.removesuffix(".json.gz") for path in Path(__file__).parent.glob("golden/*.json.gz")
)


def unpacked(archive: Path, folder: Path) -> str:
    path = folder / archive.name.removesuffix(".gz")
    with gzip.open(archive) as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return str(path)


def read_json(path: Path) -> dict:
    with gzip.open(path) as file:
        return json.load(file)


def ids(numbers: dict, words: str, features: str) -> torch.Tensor:
    """Convert Lua's ids, which count from 1, with features apart, to B S F, counting from 0."""
    columns = [numbers[words], *(numbers.get(features) or [])]
    return torch.stack([torch.tensor(column) for column in columns], dim=-1) - 1


def assert_close(ours: torch.Tensor, theirs: object, tolerance: float) -> None:
    # a dense bridge gives states of 40 and more, where float32 is coarser than `tolerance`
    np.testing.assert_allclose(ours.detach().numpy(), np.array(theirs), rtol=1e-6, atol=tolerance)


def check_seq2seq(model: Seq2Seq, numbers: dict) -> None:
    src = ids(numbers, "src_idx", "src_feat_idx")
    lengths = torch.tensor(numbers["src_size"])
    encoding = model.encode(src, lengths)
    assert_close(encoding.memory, numbers["context"], 1e-5)
    for ours, theirs in zip(encoding.states, numbers["encoder_states"], strict=True):
        assert_close(ours, theirs, 1e-5)
    states = model.start(encoding).hidden
    wanted = numbers["decoder_init_states"]  # not a list if there is no bridge
    for ours, theirs in zip(states, wanted if isinstance(wanted, list) else [0.0] * len(states), strict=True):
        assert_close(ours, theirs, 1e-5)
    tgt_input = ids(numbers, "tgt_in_idx", "tgt_in_feat_idx")
    tgt_output = ids(numbers, "tgt_out_idx", "tgt_out_feat_idx")
    batch = Batch(
        src=src,
        src_lengths=lengths,
        tgt_input=tgt_input,
        tgt_output=tgt_output,
        size=1,
        src_words=src.shape[1],
        tgt_words=tgt_output.shape[1],
        indices=torch.zeros(1, dtype=torch.int64),
    )
    assert_close(model.loss(batch, None).total, numbers["loss"], 1e-4)
    assert_close(model.score(batch), numbers["gold_score"], 1e-4)
    state = model.start(encoding)
    for t, theirs in enumerate(numbers["gold_token_log_prob"][0]):
        step = model.step(tgt_input[:, t], state)
        state = step.state
        assert float(step.log_probs[0][0, tgt_output[0, t, 0]]) == pytest.approx(theirs, abs=2e-5)


def check_tagger(model: Tagger, numbers: dict) -> None:
    src = ids(numbers, "src_idx", "src_feat_idx")
    lengths = torch.tensor(numbers["src_size"])
    for index, log_probs in enumerate(model.log_probs(src, lengths)):
        assert_close(log_probs[0], [step[index][0] for step in numbers["gen_log_probs"]], 2e-5)
    assert (model.tag(src, lengths)[0, :, 0] + 1).tolist() == numbers["pred_idx"][0]


def check_language_model(model: LanguageModel, numbers: dict) -> None:
    src = ids(numbers, "src_idx", "src_feat_idx")
    state = model.start(1)
    for t, outputs in enumerate(numbers["gen_log_probs"]):
        step = model.step(src[:, t], state)
        state = step.state
        for ours, theirs in zip(step.log_probs, outputs, strict=True):
            assert_close(ours, theirs, 2e-5)


def check_model(path: str, sentences: list[dict]) -> None:
    model = load_model(path, torch.device("cpu")).model.eval()
    assert sentences
    with torch.no_grad():
        for sentence in sentences:
            if isinstance(model, Seq2Seq):
                check_seq2seq(model, sentence)
            elif isinstance(model, Tagger):
                check_tagger(model, sentence)
            else:
                assert isinstance(model, LanguageModel)
                check_language_model(model, sentence)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_rebuilt_model_computes_what_the_original_computed(
    name, load_fixture, lua_model, write_t7, tmp_path
):
    path = tmp_path / "model.t7"
    path.write_bytes(write_t7(lua_model(name)))
    check_model(str(path), load_fixture(name)["sentences"])


def check_folder(folder: str, tmp_path: Path) -> None:
    path = unpacked(GOLDEN / "lua" / folder / "model_release.t7.gz", tmp_path)
    numbers = json.loads((GOLDEN / "lua" / folder / "golden.json").read_text())
    check_model(path, numbers.get("single") or numbers["train_style_single"])


@pytest.mark.parametrize("folder", FOLDERS[::6])
def test_some_models_compute_what_the_original_computed(folder, tmp_path):
    check_folder(folder, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_model_computes_what_the_original_computed(folder, tmp_path):
    check_folder(folder, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("folder", [name for name in FOLDERS if (GOLDEN / "lua" / name / WEIGHTS).exists()])
def test_every_number_of_a_model_is_taken_over_once(folder, tmp_path):
    path = unpacked(GOLDEN / "lua" / folder / "model_release.t7.gz", tmp_path)
    layers = [layer for part in read_json(GOLDEN / "lua" / folder / WEIGHTS).values() for layer in part]
    tensors = [layer[key] for layer in layers for key in ("w", "b") if layer.get(key)]
    wanted = {tuple(np.sort(np.float32(tensor))) for tensor in tensors}
    weights = convert_model(path)["weights"].values()
    assert {tuple(np.sort(weight.numpy(), axis=None)) for weight in weights} == wanted


@pytest.mark.slow
@pytest.mark.skipif(not FOLDERS, reason="the files of the original are not here")
def test_the_optimizer_state_goes_with_its_weights(tmp_path):
    """After Adam's first step each parameter's mean is a tenth of its clipped gradient."""
    folder = GOLDEN / "training" / "adam"
    content = convert_model(unpacked(folder / "update1.t7.gz", tmp_path))
    clip = json.loads((folder / "trajectory.json").read_text())["iterations"][0]["clip"]
    weights, gradients = read_json(folder / "weights_1.json.gz"), read_json(GRADIENTS)
    theirs = {}
    for part in weights:
        for layer, gradient in zip(weights[part], gradients[part], strict=True):
            for key in ("w", "b"):
                if layer.get(key):
                    pairs = np.array([layer[key], gradient[key]], dtype=np.float32)
                    theirs[tuple(np.sort(pairs[0]))] = pairs[:, np.lexsort(pairs[::-1])]
    means = content["training"]["optimizer"]["gathered"]["mean"]
    for name, weight in content["weights"].items():
        pairs = np.stack([weight.numpy().ravel(), means[name].numpy().ravel() / (0.1 * clip)])
        wanted = theirs[tuple(np.sort(pairs[0]))]
        np.testing.assert_allclose(pairs[:, np.lexsort(pairs[::-1])], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", RAW)
def test_every_file_converts(name, tmp_path):
    content = convert_model(unpacked(GOLDEN / name, tmp_path))
    assert content["notes"] == []
    optimizer = content.get("training", {}).get("optimizer")
    if optimizer is not None:
        for slot in optimizer["gathered"].values():
            assert slot.keys() == content["weights"].keys()
