from pathlib import Path
from typing import Any

import pytest
import torch

from onmt.checkpoint import load_checkpoint, save_checkpoint
from onmt.commands.model_files import average_models, release_model


def content(weight: torch.Tensor, word: str = "a") -> dict[str, Any]:
    return {
        "format": 1,
        "version": "0",
        "data_type": "bitext",
        "spec": {"kind": "any"},
        "options": {"layers": 2},
        "vocabularies": {"src": [word]},
        "weights": {"w": weight},
        "training": {"epoch": 3},
    }


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    paths = [str(tmp_path / f"m_epoch{epoch}_9.5{epoch}.pt") for epoch in (1, 2, 3)]
    for path, value in zip(paths, (1.0, 2.0, 6.0), strict=True):
        save_checkpoint(path, content(torch.full((2, 2), value)))
    return paths


def test_a_released_model_has_no_training_state(models: list[str], tmp_path: Path) -> None:
    assert release_model(["-model", models[0]]) == 0
    released = load_checkpoint(tmp_path / "m_epoch1_9.51_release.pt")
    original = load_checkpoint(models[0])
    assert "training" in original
    assert released.keys() == original.keys() - {"training"}
    assert torch.equal(released["weights"]["w"], original["weights"]["w"])


def test_the_average_is_the_mean_of_all(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "mean.pt"
    assert average_models(["-models", ", ".join(models), "-output_model", str(output)]) == 0
    assert [line.split("INFO] ")[1] for line in capsys.readouterr().out.splitlines()] == [
        *(line for model in models for line in (f"Loading model '{model}'...", "... done.")),
        f"Saving model '{output}'...",
        "... done.",
    ]
    averaged = load_checkpoint(output)
    assert torch.equal(averaged["weights"]["w"], torch.full((2, 2), 3.0))
    assert averaged["weights"]["w"].dtype == torch.float32
    assert "training" not in averaged
    assert averaged["options"] == {"layers": 2}


def test_files_are_replaced_only_when_asked(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "there.pt"
    output.write_text("precious")
    for arguments in (["-model", models[0]], ["-models", *models]):
        command = release_model if arguments[0] == "-model" else average_models
        arguments += ["-output_model", str(output)]
        assert command(arguments) == 2
        assert "is there already" in capsys.readouterr().err
        assert output.read_text() == "precious"
        assert command([*arguments, "-force"]) == 0
        assert load_checkpoint(output)["weights"]
        output.write_text("precious")


def test_models_that_differ_are_not_averaged(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for other, told in (
        (content(torch.ones(3)), "another structure"),
        (content(torch.ones(2, 2), word="b"), "other vocabularies"),
    ):
        save_checkpoint(tmp_path / "other.pt", other)
        arguments = [
            "-models",
            models[0],
            str(tmp_path / "other.pt"),
            "-output_model",
            str(tmp_path / "mean.pt"),
        ]
        assert average_models(arguments) == 1
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
    assert not (tmp_path / "mean.pt").exists()


def test_averaging_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert average_models([]) == 2
    assert "-models is missing" in capsys.readouterr().err
