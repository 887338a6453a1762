"""Repeat whole trainings of the original program through our command lines, and compare every number.

The runs lie in ../shared/golden/training (see the README there); without that folder the tests are skipped,
and test_golden_excerpts.py still repeats a few of them.
"""

import gzip
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onmt.checkpoint import load_checkpoint, save_checkpoint
from onmt.commands.pipeline import preprocess, train
from onmt.torch7.convert import convert_model
from onmt.torch7.lua_model import read_lua_model
from onmt.torch7.objects import Storage, Tensor
from onmt.training.trainer import StepResult, Trainer

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "training"

CORPUS = {
    "base": ("src", "tgt"),
    "unsorted": ("src", "tgt"),
    "srcf2": ("srcf2", "tgt"),
    "srcf1tgtf2": ("srcf1", "tgtf2"),
    "srcf1tgtf2_unsorted": ("srcf1", "tgtf2"),
    "tag": ("src", "tag"),
    "lm": ("tgt",),
    "lm_unsorted": ("tgt",),
}
DICTIONARIES = {"unsorted": "base", "lm": "base", "lm_unsorted": "base"}
CHOSEN_DIFFERENCES = {
    "continue_sgd_decay": "we restore the score history and the latch",
    "uneven_cnn": "our padding has no gradient",
    "pdbrnn_sum": "our gradient is that of the forward pass",
    "uneven_lm": "we do not charge for padding",
    "seqtagger_crf": "our validation leaves the transitions alone; new ones are drawn",
}
RUNS = sorted(path.parent.name for path in GOLDEN.glob("*/trajectory.json"))
ALWAYS = {
    "continue_adam",
    "sgd_min_lr",
    "cnn_dense",
    "srcf1tgtf2",
    "lm",
    "seqtagger",
    "sched_sampling0",
    "uneven_attn_concat",
}
"""Runs that every test run repeats; the others are marked slow."""

pytestmark = pytest.mark.skipif(not RUNS, reason="the golden runs are not here")


@dataclass
class Run:
    """The measurements of a repeated run."""

    losses: list[float]
    grad_norms: list[float]
    rates: list[float]
    final: dict[str, torch.Tensor]
    log: str


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where data sets are prepared and models unpacked once."""
    return tmp_path_factory.mktemp("golden")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StepResult, float]]:
    """Every step's result and learning rate, in order."""
    recorded: list[tuple[StepResult, float]] = []
    step = Trainer.step

    def recording_step(self: Trainer, *arguments: Any) -> StepResult:
        rate = self.state.rate.value
        result = step(self, *arguments)
        recorded.append((result, rate))
        return result

    monkeypatch.setattr(Trainer, "step", recording_step)
    return recorded


def prepared(package: str, workspace: Path) -> Path:
    """Prepare the data of a package, sentences in the original's order; return its `-save_data`."""
    save_data = workspace / package
    if (workspace / f"{package}-train.json").exists():
        return save_data
    orders = [json.loads(line) for line in (GOLDEN / "prep" / f"{package}.perm").read_text().splitlines()]
    argv = ["-save_data", str(save_data), "-shuffle", "0", "-sort", "0"]
    sides = CORPUS[package]
    for split, order in zip(("train", "valid"), orders, strict=True):
        for side, name in zip(("src", "tgt"), sides, strict=False):
            lines = (GOLDEN / "corpus" / f"{split}.{name}").read_bytes().split(b"\n")
            path = workspace / f"{package}-{split}.{name}"
            path.write_bytes(b"".join(lines[index - 1] + b"\n" for index in order))
            argv += [f"-{split}_{side}" if len(sides) > 1 else f"-{split}", str(path)]
    dictionaries = GOLDEN / "prep" / DICTIONARIES.get(package, package)
    if len(sides) == 1:
        argv += ["-data_type", "monotext", "-vocab", f"{dictionaries}.tgt.dict"]
    else:
        argv += ["-src_vocab", f"{dictionaries}.src.dict", "-tgt_vocab", f"{dictionaries}.tgt.dict"]
    if "f1" in package or "f2" in package:
        argv += ["-features_vocabs_prefix", str(dictionaries)]
    assert preprocess(argv) == 0
    return save_data


def unpacked(path: str, workspace: Path) -> Path:
    """Unpack a `.t7` file of the golden folder, given by its path there."""
    target = workspace / path.replace("/", "-")
    if not target.exists():
        target.write_bytes(gzip.decompress((GOLDEN / f"{path}.gz").read_bytes()))
    return target


def command(name: str) -> dict[str, str]:
    """Return the training command of a run: value by flag, "" for a flag without a value."""
    words = shlex.split((GOLDEN / name / "cmd.txt").read_text().splitlines()[0])[2:]
    flags: dict[str, str] = {}
    for word in words:
        if word.startswith("-"):
            flags[word] = ""
        else:
            flags[list(flags)[-1]] = word
    return flags


def repeat(
    name: str, workspace: Path, steps: list[tuple[StepResult, float]], capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the training command of `name` with our train.py."""
    flags = command(name)
    package = Path(flags["-data"]).name.removesuffix("-train.t7")
    flags["-data"] = str(prepared(package, workspace))
    flags["-train_from"] = str(unpacked(flags["-train_from"], workspace))
    flags["-save_model"] = str(workspace / name)
    argv = [word for flag, value in flags.items() for word in (flag, value) if word]
    capsys.readouterr()
    assert train(argv) == 0, capsys.readouterr().err
    saved = max(workspace.glob(f"{name}_epoch*.pt"), key=lambda path: path.stat().st_mtime_ns)
    return Run(
        losses=[result.loss.item() for result, _ in steps],
        grad_norms=[result.grad_norm.item() for result, _ in steps],
        rates=[rate for _, rate in steps],
        final=load_checkpoint(saved)["weights"],
        log=capsys.readouterr().out,
    )


def stored(name: str, kind: str) -> Any:
    """Read a weights file of a run; some only name the run that has the same file."""
    link = GOLDEN / name / f"{kind}.same_as"
    path = GOLDEN / (link.read_text().strip() if link.exists() else f"{name}/{kind}.json.gz")
    return json.loads(gzip.decompress(path.read_bytes()))


def flat_vectors(models: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return each sub-model's parameters as a single vector, as the original trains them."""
    vectors = {}
    for part, modules in models.items():
        pieces: list[float] = []
        other_seen = False
        for module in modules if isinstance(modules, list) else [modules]:
            is_table = module["t"] == "nn.LookupTable"
            if not (
                part == "encoder" and is_table and other_seen
            ):  # the backward layers list shared tables again
                pieces += np.ravel(module["w"]).tolist() + np.ravel(module.get("b") or []).tolist()
            other_seen = other_seen or not is_table
        array = np.array(pieces, dtype=np.float32)
        vectors[part] = Tensor(
            "torch.FloatTensor", (len(array),), (1,), 0, Storage("torch.FloatStorage", array)
        )
    return vectors


def weights_by_name(models: Mapping[str, Any], init: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Return stored weights with our names and layout."""
    vectors = flat_vectors(models)
    for name, parameter in read_lua_model(init).parameters.items():
        yield name, torch.from_numpy(parameter.slice_of(vectors[parameter.part]))


def trajectory(name: str) -> Any:
    return json.loads((GOLDEN / name / "trajectory.json").read_text())


REPEATABLE = [
    pytest.param(name, marks=[] if name in ALWAYS else [pytest.mark.slow])
    for name in RUNS
    if name not in CHOSEN_DIFFERENCES
]


@pytest.mark.parametrize("name", REPEATABLE)
def test_the_original_is_repeated(
    name: str,
    workspace: Path,
    steps: list[tuple[StepResult, float]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = repeat(name, workspace, steps, capsys)
    golden = trajectory(name)
    iterations = golden["iterations"]
    np.testing.assert_allclose(run.losses, [step["loss"] for step in iterations], rtol=1e-5)
    np.testing.assert_allclose(run.grad_norms, [step["grad_norm"] for step in iterations], rtol=2e-4)
    assert run.rates == pytest.approx([step["lr"] for step in iterations], rel=1e-12)
    for epoch in golden["epochs"] if name != "sched_sampling0" else ():  # we validate without sampling
        assert f"INFO] Validation perplexity: {epoch['valid_ppl']:.2f}\n" in run.log
    init = unpacked(command(name)["-train_from"], workspace)
    for key, expected in weights_by_name(stored(name, "weights_final"), init):
        if name == "attn_concat_adam" and key == "decoder.attention.bias":
            continue  # mathematically it has no gradient: Adam turns rounding into steps
        np.testing.assert_allclose(run.final[key], expected, atol=5e-5, rtol=0, err_msg=key)


def test_a_continued_run_decays_as_the_uninterrupted_one(
    workspace: Path, steps: list[tuple[StepResult, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Unlike the original, a continued run keeps the last score and the latch."""
    run = repeat("continue_sgd_decay", workspace, steps, capsys)
    expected = [step for step in trajectory("sgd_decay_default_latch")["iterations"] if step["epoch"] > 3]
    np.testing.assert_allclose(run.losses, [step["loss"] for step in expected], rtol=1e-5)
    assert run.rates == pytest.approx([step["lr"] for step in expected], rel=1e-12)
    init = unpacked("init/rnn.t7", workspace)
    for key, weights in weights_by_name(stored("sgd_decay_default_latch", "weights_final"), init):
        np.testing.assert_allclose(run.final[key], weights, atol=5e-5, rtol=0, err_msg=key)


@pytest.mark.parametrize("name", ["uneven_cnn", "pdbrnn_sum"])
def test_where_only_gradients_differ_the_first_loss_is_the_original_s(
    name: str, workspace: Path, steps: list[tuple[StepResult, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    run = repeat(name, workspace, steps, capsys)
    iterations = trajectory(name)["iterations"]
    assert run.losses[0] == pytest.approx(iterations[0]["loss"], rel=1e-5)
    assert run.losses[-1] == pytest.approx(iterations[-1]["loss"], rel=0.1)
    assert run.rates == pytest.approx([step["lr"] for step in iterations], rel=1e-12)


def test_a_language_model_is_not_charged_for_padding(
    workspace: Path, steps: list[tuple[StepResult, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    run = repeat("uneven_lm", workspace, steps, capsys)
    iterations = trajectory("uneven_lm")["iterations"]
    assert [result.words for result, _ in steps] == [step["tgt_words"] for step in iterations]
    assert all(
        ours <= step["loss"] * (1 + 1e-5) for ours, step in zip(run.losses[:5], iterations, strict=False)
    )
    assert run.losses[0] < 0.99 * iterations[0]["loss"]


def test_a_tagger_learns_transitions_as_the_original_does(
    workspace: Path, steps: list[tuple[StepResult, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    """From the original's initial transitions up to its first validation, which changes them."""
    models = stored("seqtagger_crf", "weights_0")
    init = unpacked("init/seqtagger.t7", workspace)
    content = convert_model(init)
    tags = content["spec"]["outputs"][0]
    content["spec"]["transitions"] = True
    content["weights"]["transitions.start"] = torch.tensor(models["criterion"][0]["b"]).view(tags)
    content["weights"]["transitions.between"] = torch.tensor(models["criterion"][0]["w"]).view(tags, tags)
    content["options"]["loglikelihood"] = "sentence"
    content = {key: value for key, value in content.items() if key != "training"}
    save_checkpoint(workspace / "crf.pt", content)
    flags = command("seqtagger_crf") | {
        "-data": str(prepared("tag", workspace)),
        "-train_from": str(workspace / "crf.pt"),
        "-save_model": str(workspace / "crf"),
        "-end_epoch": "1",
    }
    argv = [word for flag, value in flags.items() for word in (flag, value) if word]
    assert train(argv) == 0, capsys.readouterr().err
    expected = trajectory("seqtagger_crf")["iterations"][:18]
    losses, norms = zip(*((result.loss.item(), result.grad_norm.item()) for result, _ in steps), strict=True)
    np.testing.assert_allclose(losses, [step["loss"] for step in expected], rtol=1e-5)
    np.testing.assert_allclose(norms, [step["grad_norm"] for step in expected], rtol=2e-4)
