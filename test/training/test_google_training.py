"""Training google/seq2seq's models through train.py: from settings to steps, numbers and files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commands.pipeline import preprocess, train
from onmt.modules.noise import TrainingStep
from onmt.training.trainer import StepResult, Trainer

RunTrain = Callable[..., tuple[int, str, str]]

CELL = {"cell_class": "GRUCell", "cell_params": {"num_units": 6}, "dropout_input_keep_prob": 0.8}
PARAMS: dict[str, Any] = {
    "embedding.dim": 6,
    "attention.params": {"num_units": 5},
    "encoder.params": {"rnn_cell": CELL},
    "decoder.params": {"rnn_cell": {**CELL, "num_layers": 2}},
    "optimizer.learning_rate": 0.01,
}


def params(**optimizer: Any) -> str:
    return json.dumps(PARAMS | {f"optimizer.{name}": value for name, value in optimizer.items()})


@pytest.fixture
def run_google(
    tiny_data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run train.py on the tiny data; return exit code, log, stderr."""

    def run(*argv: str, model: str = "AttentionSeq2Seq") -> tuple[int, str, str]:
        given = [*argv]
        usual = {"-max_batch_size": "10", "-report_every": "5", "-save_model": str(tmp_path / "m")}
        for flag, value in usual.items():
            given += [] if flag in given else [flag, value]
        if not {"-data", "-config_paths", "-train_src"} & {*given}:
            given += ["-data", tiny_data]
        if model and "-train_from" not in given:
            given += ["-model", model]
        if model and "-model_params" not in given and "-train_from" not in given:
            given += ["-model_params", params()]
        capsys.readouterr()
        code = train(given)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def final(folder: Path, stem: str = "m") -> dict[str, Any]:
    """Return the content of the last model."""
    paths = sorted(folder.glob(f"{stem}_epoch*.pt"), key=lambda path: int(path.name.split("_epoch")[1][0]))
    content: dict[str, Any] = load_checkpoint(paths[-1])
    return content


def assert_identical(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left["weights"].keys() == right["weights"].keys()
    for name, weight in left["weights"].items():
        assert torch.equal(weight, right["weights"][name]), name


def test_a_model_is_trained_for_so_many_steps(run_google: RunTrain, tmp_path: Path) -> None:
    code, log, errors = run_google("-train_steps", "25", "-eval_every_n_steps", "10")
    assert (code, errors) == (0, "")
    assert "Start training from epoch 1 to 3..." in log
    assert log.count("Validation perplexity") == 3
    assert [path.name.split("_")[1] for path in sorted(tmp_path.glob("m_epoch*"))] == [
        "epoch1",
        "epoch2",
        "epoch3",
    ]
    content = final(tmp_path)
    assert content["training"]["optimizer"]["steps"] == 25
    assert (content["training"]["epoch"], content["training"]["iteration"]) == (3, 6)
    perplexities = [float(found) for found in re.findall(r"Validation perplexity: ([\d.]+)", log)]
    assert perplexities[-1] < perplexities[0]


def test_without_evaluations_said_there_is_one_after_a_thousand_steps(
    run_google: RunTrain, tmp_path: Path
) -> None:
    code, log, _ = run_google("-train_steps", "3")
    assert code == 0
    assert log.count("Validation perplexity") == 1
    assert final(tmp_path)["options"]["eval_every_n_steps"] == 1000


def test_flags_of_lua_may_count_steps_too(run_train: RunTrain, tmp_path: Path) -> None:
    assert run_train("-train_steps", "7", "-eval_every_n_steps", "4")[0] == 0
    assert final(tmp_path)["training"]["optimizer"]["steps"] == 7


@pytest.mark.parametrize("optimizer", ["Adam", "Ftrl"])
def test_a_continued_training_ends_bit_for_bit_the_same(
    run_google: RunTrain, tmp_path: Path, optimizer: str
) -> None:
    chosen = params(name=optimizer, lr_decay_type="natural_exp_decay", lr_decay_steps=5, lr_start_decay_at=4)
    steps = ["-model_params", chosen, "-eval_every_n_steps", "8"]
    whole, part = str(tmp_path / "whole"), str(tmp_path / "part")
    assert run_google(*steps, "-train_steps", "29", "-save_model", whole)[0] == 0
    assert run_google(*steps, "-train_steps", "21", "-save_every", "5", "-save_model", part)[0] == 0
    for stopped in (f"{part}_checkpoint.pt", str(next(tmp_path.glob("part_epoch3_*")))):
        code, log, errors = run_google(
            "-train_from", stopped, "-continue", "-train_steps", "29", "-save_model", str(tmp_path / "again")
        )
        assert (code, errors) == (0, "")
        assert "WARNING" not in log
        assert_identical(final(tmp_path, "again"), final(tmp_path, "whole"))


def test_the_number_of_steps_is_remembered(run_google: RunTrain, tmp_path: Path) -> None:
    assert run_google("-train_steps", "12", "-eval_every_n_steps", "8", "-save_every", "5")[0] == 0
    code, _, _ = run_google(
        "-train_from", str(tmp_path / "m_checkpoint.pt"), "-continue", "-save_model", str(tmp_path / "n")
    )
    assert code == 0
    content = final(tmp_path, "n")
    assert content["training"]["optimizer"]["steps"] == 12
    assert (content["options"]["beam_size"], content["options"]["max_sent_length"]) == (1, 100)


def test_a_restart_may_change_the_optimiser(run_google: RunTrain, tmp_path: Path) -> None:
    assert run_google("-train_steps", "5")[0] == 0
    stored = str(next(tmp_path.glob("m_epoch1_*")))
    changed = json.dumps({"embedding.dim": 7, "optimizer.name": "SGD", "optimizer.learning_rate": 0.5})
    code, log, _ = run_google(
        *("-train_from", stored, "-model", "AttentionSeq2Seq", "-model_params", changed),
        *("-train_steps", "5", "-save_model", str(tmp_path / "n")),
    )
    assert code == 0
    assert "Cannot change embedding.dim of the model. Ignoring." in log
    assert "Optim SGD LR 0.500000" in log
    content = final(tmp_path, "n")
    assert json.loads(content["options"]["model_params"])["embedding.dim"] == 6
    assert content["training"]["optimizer"]["name"] == "sgd"
    assert content["training"]["optimizer"]["steps"] == 5


@pytest.mark.parametrize("name", ["SGD", "Momentum", "Adagrad", "RMSProp"])
def test_every_optimiser_trains(run_google: RunTrain, tmp_path: Path, name: str) -> None:
    arguments = {"momentum": 0.9} if name == "Momentum" else {}
    chosen = params(name=name, params=arguments, learning_rate=0.05)
    code, log, _ = run_google("-model_params", chosen, "-train_steps", "20", "-eval_every_n_steps", "10")
    assert code == 0
    assert f"Optim {name.upper()} LR 0.050000" in log
    first, second = (float(found) for found in re.findall(r"Validation perplexity: ([\d.]+)", log))
    assert second < first


def test_the_rate_follows_the_steps(run_google: RunTrain) -> None:
    chosen = params(lr_decay_type="exponential_decay", lr_decay_steps=1, lr_decay_rate=0.5)
    code, log, _ = run_google("-model_params", chosen, "-train_steps", "4", "-report_every", "1")
    assert code == 0
    assert re.findall(r"LR ([\d.]+)", log) == ["0.010000", "0.005000", "0.002500", "0.001250"]


def test_gradients_are_means_over_words_and_clipped_twice(
    run_google: RunTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of gradient descent equals one computed here from the model's loss."""
    step = Trainer.step
    compared = []

    def checked_step(self: Trainer, batches: Any, epoch: int, iteration: int) -> StepResult:
        before = {name: part.detach().clone() for name, part in self.model.named_parameters()}
        (batch,) = batches
        training_step: TrainingStep = self._training_step(epoch, iteration)
        loss = self.model.loss(batch, training_step)
        words = int((batch.tgt_output[..., 0] != 0).sum())
        gradients = torch.autograd.grad(loss.total / words, list(self.model.parameters()))
        norm = torch.sqrt(sum((part**2).sum() for part in gradients))  # type: ignore[arg-type]
        expected = {}
        for (name, old), gradient in zip(before.items(), gradients, strict=True):
            gradient = gradient * min(1.0, 0.05 / float(norm))
            if name in ("source.words", "decoder.embeddings.words"):
                gradient = gradient * min(1.0, 0.001 / float(gradient.norm()))
            expected[name] = old - 0.5 * gradient
        result = step(self, batches, epoch, iteration)
        for name, part in self.model.named_parameters():
            torch.testing.assert_close(part.detach(), expected[name], rtol=1e-4, atol=1e-7)
        compared.append(float(norm) > 0.05)
        return result

    monkeypatch.setattr(Trainer, "step", checked_step)
    chosen = params(name="SGD", learning_rate=0.5, clip_gradients=0.05, clip_embed_gradients=0.001)
    assert run_google("-model_params", chosen, "-train_steps", "6")[0] == 0
    assert len(compared) == 6
    assert any(compared)


def test_settings_come_from_files(run_google: RunTrain, tiny_data: str, tmp_path: Path) -> None:
    folder = Path(tiny_data).parent
    (tmp_path / "model.yml").write_text(
        f"model: BasicSeq2Seq\nmodel_params: {{embedding.dim: 9, vocab_source: {tmp_path}/v.src, "
        f"vocab_target: {tmp_path}/v.tgt}}\n",
        encoding="utf-8",
    )
    (tmp_path / "train.yml").write_text(
        "train_steps: 4\nbatch_size: 3\n"
        + "".join(
            f"input_pipeline_{setting}:\n  class: ParallelTextInputPipeline\n  params:\n"
            f"    source_files: [{folder}/{split}.src]\n    target_files: [{folder}/{split}.tgt]\n"
            for setting, split in (("train", "train"), ("dev", "valid"))
        ),
        encoding="utf-8",
    )
    for side in ("src", "tgt"):
        (tmp_path / f"v.{side}").write_text("".join(f"{letter}\t1\n" for letter in "abcd"), encoding="utf-8")
    paths = f"{tmp_path}/model.yml,{tmp_path}/train.yml"
    shrunk = "encoder.params: {rnn_cell: {cell_params: {num_units: 4}}}"
    code, log, errors = run_google(
        "-config_paths", paths, "-model_params", shrunk, "-max_batch_size", "5", model=""
    )
    assert (code, errors) == (0, "")
    assert "maximum size: 5 sentences" in log
    content = final(tmp_path)
    assert content["training"]["optimizer"]["steps"] == 4
    assert content["options"]["model"] == "BasicSeq2Seq"
    assert content["weights"]["source.words"].shape == (8, 9)
    assert content["weights"]["encoder.stack.layers.0.weight_hh"].shape == (16, 4)
    assert content["vocabularies"]["src"][0]["words"][4:] == list("abcd")


def test_vocabularies_must_be_the_data_s(run_google: RunTrain, tiny_data: str, tmp_path: Path) -> None:
    folder = Path(tiny_data).parent
    words = tmp_path / "words"
    words.write_text("".join(f"{letter}\n" for letter in "hgfedcba"), encoding="utf-8")
    chosen = ["-model_params", json.dumps(PARAMS | {"vocab_source": str(words)})]
    code, _, errors = run_google(*chosen)
    assert code == 2
    assert errors.count("\n") == 1
    assert "is not the vocabulary of the data (where the data has '" in errors
    assert f"prepare the data with -src_vocab {words}" in errors
    names = [f"{split}_{side}" for split in ("train", "valid") for side in ("src", "tgt")]
    argv = [word for name in names for word in (f"-{name}", str(folder / name.replace("_", ".")))]
    data = str(tmp_path / "d")
    assert preprocess([*argv, "-save_data", data, "-src_vocab", str(words)]) == 0
    assert run_google(*chosen, "-data", data, "-train_steps", "2")[0] == 0


def test_vocabularies_may_be_in_our_own_format(run_google: RunTrain, tiny_data: str, tmp_path: Path) -> None:
    own = {"vocab_source": f"{tiny_data}.src.dict", "vocab_target": f"{tiny_data}.tgt.dict"}
    chosen = ["-model_params", json.dumps(PARAMS | own), "-train_steps", "2"]
    code, _, errors = run_google(*chosen, "-data", tiny_data)
    assert (code, errors) == (0, "")
    folder = Path(tiny_data).parent
    texts = [word for side in ("src", "tgt") for word in (f"-train_{side}", str(folder / f"train.{side}"))]
    code, _, errors = run_google(*chosen, *texts)
    assert (code, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-model_params", "{a"], "-model_params: line 1, column 3"),
        (["-model_params", "embedding.dim: '8'"], "embedding.dim must be a whole number"),
        (["-rnn_size", "8"], "-rnn_size: the class of -model"),
        (["-learning_rate", "1", "-optim", "sgd"], "-optim, -learning_rate: the class of -model"),
        (["-train_steps", "3", "-end_epoch", "2"], "-train_steps and -end_epoch"),
        (["-config_paths", "nowhere.yml"], "cannot read -config_paths nowhere.yml: No such file"),
        (["-model_type", "lm"], "it needs -model_type seq2seq"),
        (["-model_params", "vocab_source: nowhere"], "cannot read the vocabulary"),
    ],
)
def test_what_a_user_can_cause_is_one_line(
    run_google: RunTrain, tiny_data: str, arguments: list[str], told: str
) -> None:
    code, _, errors = run_google(*arguments, "-data", tiny_data)
    assert told in errors
    assert code in (1, 2)
    assert errors.startswith("train.py: ")
    assert errors.count("\n") == 1


def test_a_file_is_no_class(run_google: RunTrain, tmp_path: Path) -> None:
    code, _, errors = run_google(model=str(tmp_path / "m.pt"))
    assert code == 2
    assert errors.endswith(f"use -train_from {tmp_path}/m.pt\n")


def test_the_dialects_do_not_mix_on_a_restart(
    run_google: RunTrain, run_train: RunTrain, tmp_path: Path
) -> None:
    assert run_google("-train_steps", "2")[0] == 0
    assert run_train("-end_epoch", "1", "-save_model", str(tmp_path / "lua"))[0] == 0
    ours, lua = (str(next(tmp_path.glob(f"{stem}_epoch1_*"))) for stem in ("m", "lua"))
    code, _, errors = run_google("-train_from", ours, "-dropout", "0.5")
    assert code == 2
    assert "-dropout: the class of -model" in errors
    code, log, _ = run_google("-train_from", lua, "-model", "BasicSeq2Seq", "-end_epoch", "1")
    assert code == 0
    assert "Cannot change the option -model of the model. Ignoring." in log
