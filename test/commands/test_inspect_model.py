import gzip
from pathlib import Path

import pytest

from onmt.commands.model_files import describe, import_lua_model, inspect_model
from onmt.torch7.convert import convert_model


@pytest.fixture
def model(tmp_path):
    """A Lua model."""
    path = tmp_path / "model.t7"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "language_model.t7.gz").read_bytes()))
    return path


def test_says_what_a_lua_model_is(model, capsys):
    assert inspect_model(["-model", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"file: {model}", "origin: OpenNMT Lua"]
    for line in (
        "model type: lm",
        "data type: monotext",
        "  source words: 29",
        "parameters: 2,913",
        "  encoder.stack.layers.1.weight_hh: 48 x 12",
        "training: none (a released model)",
        "  encoder.stack.cell.kind = lstm",
        "  source.tables.0.size = 29",
        "  rnn_size = 12",
    ):
        assert line in lines


def test_says_the_same_of_the_converted_model(model, capsys):
    assert import_lua_model(["-model", str(model), "-disable_logs"]) == 0
    assert inspect_model(["-model", str(model)]) == 0
    before = capsys.readouterr().out.splitlines()
    assert inspect_model(["-model", str(model.with_suffix(".pt"))]) == 0
    after = capsys.readouterr().out.splitlines()
    assert after[0] == f"file: {model.with_suffix('.pt')}"
    assert after[1:] == before[1:]


def test_finds_the_converted_model_under_the_old_name(model, capsys):
    assert import_lua_model(["-model", str(model), "-disable_logs"]) == 0
    model.unlink()
    assert inspect_model(["-model", str(model)]) == 0
    assert capsys.readouterr().out.startswith(f"file: {model.with_suffix('.pt')}\n")


def test_says_where_a_training_stands(model):
    content = convert_model(model)
    content["training"] = {
        "epoch": 3,
        "iteration": 7,
        "minutes": 2.5,
        "gold_probability": 0.5,
        "rate": {"value": 0.01, "last_score": 12.345, "decaying": False},
        "optimizer": {"name": "adam", "steps": 9, "gathered": {}},
    }
    lines = list(describe("model.t7", content))
    start = lines.index("training:")
    assert lines[start + 1 : start + 8] == [
        "  next epoch: 3",
        "  next iteration: 7",
        "  learning rate: 0.01",
        "  last validation score: 12.35",
        "  minutes so far: 2.50",
        "  probability of the gold word: 0.5",
        "  optimiser: adam",
    ]


def test_a_model_that_is_not_there_is_refused_in_one_line(tmp_path, capsys):
    assert inspect_model(["-model", str(tmp_path / "none.t7")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "none.t7" in error


def test_flags_that_say_nothing_of_a_google_model_are_left_out(model):
    content = convert_model(model)
    content["options"] |= {"model": "BasicSeq2Seq", "rnn_size": 500, "beam_size": 1}
    lines = list(describe("model.pt", content))
    assert "  beam_size = 1" in lines
    assert not any(line.startswith("  rnn_size = ") for line in lines)
    content["options"]["model"] = ""
    assert "  rnn_size = 500" in describe("model.pt", content)
