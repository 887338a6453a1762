"""Whole runs on the pretended GPU (train, save, continue, translate) give the CPU's results."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ledger import Ledger
from measuring import masks_of_a_gpu
from pretended_gpu import pretended_gpu

from onmt.checkpoint import load_checkpoint
from onmt.commands.pipeline import lm, preprocess, tag, train, translate
from onmt.data.dataset import Batch
from onmt.models.networks import Seq2Seq
from onmt.serving.api import load_translator
from onmt.training.progress import Phases

pytestmark = pytest.mark.slow
MODEL = "-rnn_size 8 -word_vec_size 6 -layers 2 -encoder_type brnn -max_batch_size 10 -dropout 0.4".split()
ADAM = "-optim adam -learning_rate 0.01".split()
STEPS = ("forward", "backward", "update")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data whose targets are the reversed sources."""
    folder = tmp_path_factory.mktemp("runs")
    draw = random.Random(11)
    flags = []
    for split, size in (("train", 120), ("valid", 30)):
        sources = [[draw.choice("abcdefgh") for _ in range(draw.randint(1, 6))] for _ in range(size)]
        for side, texts in (("src", sources), ("tgt", [words[::-1] for words in sources])):
            path = folder / f"{split}.{side}"
            path.write_text("".join(" ".join(words) + "\n" for words in texts))
            flags += [f"-{split}_{side}", str(path)]
    assert preprocess([*flags, "-save_data", str(folder / "data")]) == 0
    return folder


@contextlib.contextmanager
def counting(ledger: Ledger) -> Iterator[None]:
    """Count events by the trainer's phases, without the syncs that timing the phases needs."""

    class Counting(Phases):
        def __init__(self, enabled: bool, device: torch.device) -> None:
            super().__init__(False)

        def during(self, name: str) -> Any:
            return ledger.during(name)

        def waiting(self, name: str, items: Any) -> Any:
            yield from items

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("onmt.training.run.Phases", Counting)
        yield


def trained(folder: Path, name: str, *flags: str, gpu: bool = True) -> dict[str, Any]:
    """Train and return the last checkpoint; with `gpu` also check that steps don't wait for the device."""
    argv = ["-save_model", str(folder / name), *flags]
    if not {"-train", "-train_src"} & set(flags):
        argv += ["-data", str(folder / "data")]
    if not gpu:
        with masks_of_a_gpu():
            assert train(argv) == 0
    else:
        with pretended_gpu() as session, counting(session.ledger):
            assert train([*argv, "-gpuid", "1"]) == 0
        assert not session.refused
        assert session.ledger.count("sync", *STEPS) == 0, session.ledger.places("sync")
        assert blocking(session.ledger) == []
        assert session.ledger.count("loose weights") == 0
    return load_checkpoint(last_model(folder, name))


def blocking(ledger: Ledger) -> list[str]:
    """Return the blocking uploads except those that move the model to the device at the start."""
    moving = ("training/run.py", "models/loading.py", "modules/rnn.py", "training/optim.py")
    return [place for place in ledger.places("upload") if not any(file in place for file in moving)]


def last_model(folder: Path, name: str) -> Path:
    return max(
        folder.glob(f"{name}_epoch*.pt"), key=lambda path: int(path.name.split("_epoch")[1].split("_")[0])
    )


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    return max(
        float((values - other["weights"][name]).abs().max()) for name, values in one["weights"].items()
    )


def test_training_equals_the_cpus_and_continues_as_if_never_stopped(folder: Path) -> None:
    whole = trained(folder, "whole", *MODEL, *ADAM, "-end_epoch", "2", "-report_every", "5")
    cpu = trained(folder, "cpu", *MODEL, *ADAM, "-end_epoch", "2", gpu=False)
    assert difference(whole, cpu) < 1e-5
    assert "cuda a pretended GPU, float32 products" in whole["training"]["environment"]["compute"]
    trained(folder, "half", *MODEL, *ADAM, "-end_epoch", "1", "-save_every", "7")
    start = ["-train_from", str(last_model(folder, "half")), "-continue", "-end_epoch", "2"]
    rest = trained(folder, "rest", *start, "-max_batch_size", "10")
    assert difference(whole, rest) == 0
    with pretended_gpu():
        pass
    assert train(["-data", str(folder / "data"), "-save_model", str(folder / "other"), *start]) == 0


@pytest.mark.parametrize(
    "flags",
    [
        "-validation_metric bleu",
        "-sample 60 -sample_type perplexity -sample_vocab",
        "-uneven_batches -dropout_words 0.1",
        "-precision bf16",
        "-precision tf32",
        "-deterministic",
    ],
)
def test_training_waits_for_nothing(folder: Path, flags: str) -> None:
    trained(folder, f"n{abs(hash(flags))}", *MODEL, "-end_epoch", "2", *flags.split())
    torch.use_deterministic_algorithms(False)


def test_a_report_waits_once(folder: Path) -> None:
    argv = ["-data", str(folder / "data"), "-save_model", str(folder / "report"), *MODEL, "-end_epoch", "1"]
    with pretended_gpu() as session, counting(session.ledger):
        assert train([*argv, "-report_every", "1", "-gpuid", "1"]) == 0
    places = [place for place in session.ledger.places("sync") if "gradients.py" in place]
    assert len(places) == 1
    assert [place for place in session.ledger.places("sync") if "progress.py" in place] == []


def test_too_large_a_batch_ends_the_run_before_the_first_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes: list[tuple[int, int]] = []
    loss = Seq2Seq.loss

    def limited(self: Seq2Seq, batch: Batch, step: Any) -> Any:
        assert batch.tgt_output is not None
        sizes.append((batch.size, batch.src.shape[1] + batch.tgt_output.shape[1]))
        if len(sizes) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return loss(self, batch, step)

    monkeypatch.setattr(Seq2Seq, "loss", limited)
    argv = ["-data", str(folder / "data"), "-save_model", str(folder / "large"), *MODEL, "-end_epoch", "1"]
    with pretended_gpu():
        assert train([*argv, "-gpuid", "1"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "epoch 1, before the first step, with a batch of 10 sentences of source length" in told
    assert "-max_batch_size" in told
    with pretended_gpu():
        assert train([*argv, "-gpuid", "1"]) == 0
    first, *steps = sizes[1:]
    assert first[0] * first[1] >= max(size * length for size, length in steps)


def test_captured_steps_train_and_continue_as_plain_ones(folder: Path) -> None:
    flags = ["-encoder_type", "cnn", "-cnn_size", "8", "-bridge", "dense", "-layers", "1", "-rnn_size", "8"]
    flags += ["-word_vec_size", "6", "-max_batch_size", "5", "-dropout", "0.4", "-curriculum", "3"]
    plain = trained(folder, "plain", *flags, "-end_epoch", "3")
    captured = trained(folder, "captured", *flags, "-end_epoch", "3", "-cuda_graphs")
    assert difference(plain, captured) < 1e-6
    trained(folder, "stopped", *flags, "-end_epoch", "2", "-cuda_graphs")
    again = ["-train_from", str(last_model(folder, "stopped")), "-continue", "-max_batch_size", "5"]
    continued = trained(folder, "continued", *again, "-end_epoch", "3", "-cuda_graphs")
    assert difference(plain, continued) < 1e-6


def test_validation_by_translation_waits_for_translations_only(folder: Path) -> None:
    argv = ["-data", str(folder / "data"), "-save_model", str(folder / "valid"), *MODEL, "-end_epoch", "1"]
    with pretended_gpu() as session:
        assert train([*argv, "-validation_metric", "bleu", "-gpuid", "1"]) == 0
    assert [place for place in session.ledger.places("sync") if "evaluation.py" in place] == []


def test_fp16_keeps_its_loss_scale(folder: Path) -> None:
    first = trained(folder, "fp16", *MODEL, "-end_epoch", "1", "-fp16")
    scale = first["training"]["loss_scale"]
    assert scale["steps"] > 0
    assert "float16 and TF32" in first["training"]["environment"]["compute"]
    start = ["-train_from", str(last_model(folder, "fp16")), "-continue", "-end_epoch", "2", "-fp16"]
    second = trained(folder, "fp16b", *start, "-max_batch_size", "10")
    assert second["training"]["loss_scale"]["steps"] > scale["steps"]


@pytest.mark.parametrize("beam", ["1", "5"])
def test_translations_equal_the_cpus(folder: Path, beam: str) -> None:
    if not list(folder.glob("translated_epoch*.pt")):
        trained(folder, "translated", *MODEL, *ADAM, "-end_epoch", "2")
    argv = ["-model", str(last_model(folder, "translated")), "-src", str(folder / "valid.src")]
    argv += ["-tgt", str(folder / "valid.tgt"), "-beam_size", beam, "-replace_unk"]
    with pretended_gpu() as session:
        assert translate([*argv, "-output", str(folder / "gpu.txt"), "-gpuid", "1"]) == 0
    assert not session.refused
    assert blocking(session.ledger) == []
    assert translate([*argv, "-output", str(folder / "cpu.txt")]) == 0
    assert (folder / "gpu.txt").read_text() == (folder / "cpu.txt").read_text()


def test_the_python_api_copies_as_the_command_line_does(folder: Path) -> None:
    """Translating through the Python API, as servers do, has no blocking uploads and the CPU's results."""
    trained(folder, "api", *MODEL, *ADAM, "-end_epoch", "1")
    lines = (folder / "valid.src").read_text().splitlines()[:6]
    path = last_model(folder, "api")
    with pretended_gpu() as session:
        translator = load_translator(path, gpuid=1, beam_size=3)
        session.ledger.clear()
        ours = [line.text for line in translator.translate(lines)]
    assert not session.refused
    assert blocking(session.ledger) == []
    assert [place for place in session.ledger.places("sync") if "serving/" in place] == []
    assert ours == [line.text for line in load_translator(path, beam_size=3).translate(lines)]


def test_taggers_and_language_models_equal_the_cpus(folder: Path) -> None:
    texts = {name: str(folder / f"{split}.{name}") for split in ("train",) for name in ("src", "tgt")}
    tagged = ["-model_type", "seqtagger", *MODEL[:6], "-end_epoch", "1"]
    common = ["-train_src", texts["src"], "-train_tgt", texts["src"], "-valid_src", texts["src"]]
    trained(folder, "tagger", *tagged, *common, "-valid_tgt", texts["src"])
    language = ["-model_type", "lm", *MODEL[:6], "-end_epoch", "1", "-train", texts["src"]]
    trained(folder, "lm", *language, "-valid", texts["src"])
    for main, model, mode in ((tag, "tagger", []), (lm, "lm", ["score"])):
        argv = [*mode, "-model", str(last_model(folder, model)), "-src", str(folder / "valid.src")]
        with pretended_gpu() as session:
            assert main([*argv, "-output", str(folder / "gpu.txt"), "-gpuid", "1"]) == 0
        assert blocking(session.ledger) == []
        assert main([*argv, "-output", str(folder / "cpu.txt")]) == 0
        ours, theirs = ((folder / name).read_text().split() for name in ("gpu.txt", "cpu.txt"))
        if mode:
            assert list(map(float, ours)) == pytest.approx(list(map(float, theirs)), rel=1e-6)
        else:
            assert ours == theirs
