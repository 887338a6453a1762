"""Repeat three whole trainings of the original program, from numbers kept here; test_golden_training.py
repeats many more."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onmt.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from onmt.commands.pipeline import preprocess
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.options import Seq2SeqModelOptions
from onmt.training.trainer import StepResult, Trainer

EXCERPTS = Path(__file__).parent / "golden_excerpts"
COMMON = "-max_batch_size 20 -curriculum 1000 -report_every 1 -save_every 0"
RUNS = {
    "adam": ("rnn", "base", "-end_epoch 2 -optim adam -learning_rate 0.002"),
    "sgd_decay_default": (
        "rnn",
        "base",
        "-end_epoch 3 -optim sgd -learning_rate 1 -decay default -start_decay_at 1 -learning_rate_decay 0.5",
    ),
    "uneven_brnn_sum": (
        "brnn",
        "unsorted",
        "-end_epoch 2 -optim sgd -learning_rate 0.2 -uneven_batches -max_tokens 60",
    ),
}


@pytest.fixture(scope="module")
def corpus() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((EXCERPTS / "corpus.json").read_text())
    return content


def prepared(corpus: dict[str, Any], package: str, folder: Path) -> str:
    """The data in the original's order and with its vocabularies."""
    argv = ["-save_data", str(folder / package), "-shuffle", "0", "-sort", "0"]
    for side in ("src", "tgt"):
        Vocabulary(corpus[f"{side}_vocab"]).write(folder / f"{side}.dict")
        argv += [f"-{side}_vocab", str(folder / f"{side}.dict")]
        for split, order in zip(("train", "valid"), corpus[f"{package}_order"], strict=True):
            path = folder / f"{split}.{side}"
            path.write_text("".join(corpus[f"{split}_{side}"][line - 1] + "\n" for line in order))
            argv += [f"-{split}_{side}", str(path)]
    assert preprocess(argv) == 0
    return str(folder / package)


def initial_model(corpus: dict[str, Any], encoder: str, folder: Path) -> str:
    """A released model with the original's initial weights."""
    options = Seq2SeqModelOptions(encoder_type=encoder, rnn_size=12, word_vec_size=8, dropout=0.0)  # type: ignore[arg-type]
    src, tgt = (Vocabulary(corpus[f"{side}_vocab"]) for side in ("src", "tgt"))
    with np.load(EXCERPTS / f"init_{'brnn_sum' if encoder == 'brnn' else encoder}.npz") as arrays:
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
    content = {
        "format": FORMAT,
        "version": "test",
        "data_type": "bitext",
        "spec": spec_from_options(options, DataSizes(src=(len(src),), tgt=(len(tgt),))).to_state(),
        "options": {"dropout": 0.0},
        "vocabularies": Vocabularies(src=(src,), tgt=(tgt,)).to_state(),
        "weights": weights,
    }
    save_checkpoint(folder / "init.pt", content)
    return str(folder / "init.pt")


@pytest.mark.parametrize("name", RUNS)
def test_the_original_is_repeated(
    name: str,
    corpus: dict[str, Any],
    run_train: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    results: list[tuple[StepResult, float]] = []
    step = Trainer.step

    def recording_step(self: Trainer, *arguments: Any) -> StepResult:
        rate = self.state.rate.value
        results.append((step(self, *arguments), rate))
        return results[-1][0]

    monkeypatch.setattr(Trainer, "step", recording_step)
    encoder, package, flags = RUNS[name]
    data, init = prepared(corpus, package, tmp_path), initial_model(corpus, encoder, tmp_path)
    code, log, errors = run_train("-data", data, "-train_from", init, *COMMON.split(), *flags.split())
    assert code == 0, errors
    (path,) = tmp_path.glob(f"m_epoch{flags.split()[1]}_*")
    final = load_checkpoint(path)["weights"]
    with np.load(EXCERPTS / f"{name}.npz") as golden:
        np.testing.assert_allclose([result.loss.item() for result, _ in results], golden["losses"], rtol=1e-5)
        norms = [result.grad_norm.item() for result, _ in results]
        np.testing.assert_allclose(norms, golden["grad_norms"], rtol=2e-4)
        np.testing.assert_allclose([rate for _, rate in results], golden["rates"], rtol=1e-12)
        perplexities = re.findall(r"Validation perplexity: (\S+)", log)
        assert perplexities == [f"{value:.2f}" for value in golden["perplexities"]]
        for key, weight in final.items():
            np.testing.assert_allclose(weight, golden[f"final {key}"], atol=5e-5, rtol=0, err_msg=key)
