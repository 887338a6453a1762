"""Every command that would use a model refuses one with weights that are not finite."""

import math
from pathlib import Path

import pytest

from onmt.checkpoint import load_checkpoint, save_checkpoint
from onmt.commandline.document import commands
from onmt.commands.model_files import inspect_model


def spoil(path: Path, value: float) -> str:
    """Replace the model by a copy with one weight set to `value`; return the name of the weight's tensor."""
    content = load_checkpoint(path)
    name = sorted(content["weights"])[-1]
    content["weights"][name] = content["weights"][name].clone()
    content["weights"][name].view(-1)[-1] = value
    path.unlink()
    save_checkpoint(path, content)
    return name


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("command", "model", "arguments"),
    [
        ("translate", "words", "-model words.pt -src src -output out"),
        ("translate", "lm", "-model words.pt -lm_model lm.pt -src src -output out"),
        ("lm", "lm", "score -model lm.pt -src tgt -output out"),
        ("tag", "tagger", "-model tagger.pt -src src -output out"),
        ("release_model", "words", "-model words.pt -output_model out"),
        ("average_models", "words", "-models last.pt words.pt -output_model out"),
        ("extract_embeddings", "words", "-model words.pt -output_dir ."),
        ("train", "words", "-train_from words.pt -train_src src -train_tgt tgt -save_model out"),
    ],
)
def test_it_is_refused(
    work: Path, capsys: pytest.CaptureFixture[str], command: str, model: str, arguments: str, value: float
) -> None:
    name = spoil(work / f"{model}.pt", value)
    before = sorted(work.rglob("*"))
    code = commands()[command](arguments.split())
    errors = capsys.readouterr().err
    assert f"{model}.pt: the model is useless, '{name}' has numbers that are not finite" in errors
    assert code == 1
    assert not [path for path in sorted(work.rglob("*")) if path not in before and path.is_file()]


def test_it_can_be_inspected(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = spoil(work / "words.pt", math.nan)
    assert inspect_model(["-model", "words.pt"]) == 0
    output = capsys.readouterr()
    assert f"WARNING] the model is useless: '{name}' has numbers that are not finite" in output.err
    assert "model type: seq2seq" in output.out
