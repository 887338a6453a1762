"""tools/import_lua_model.py on language_model.t7.gz.

test/torch7 builds this file from its `lm_lstm` numbers; a test there compares the two.
"""

import gzip
from pathlib import Path

import pytest

from onmt.checkpoint import load_checkpoint
from onmt.commands.model_files import import_lua_model


@pytest.fixture
def model(tmp_path):
    """A Lua model."""
    path = tmp_path / "model.t7"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "language_model.t7.gz").read_bytes()))
    return path


def test_writes_a_checkpoint_beside_the_model(model, capsys):
    assert import_lua_model(["-model", str(model)]) == 0
    content = load_checkpoint(model.with_suffix(".pt"))
    assert content["spec"]["model_type"] == "lm"
    assert "training" not in content
    assert "notes" not in content
    log = capsys.readouterr().out
    assert "lm model, 2913 parameters, released" in log


def test_writes_where_it_is_told_and_replaces_only_when_it_is_told(model, tmp_path, capsys):
    output = tmp_path / "other.pt"
    output.write_bytes(b"precious")
    arguments = ["-model", str(model), "-output", str(output)]
    assert import_lua_model(arguments) == 2
    assert output.read_bytes() == b"precious"
    assert capsys.readouterr().err.count("\n") == 1
    assert import_lua_model([*arguments, "-force"]) == 0
    assert load_checkpoint(output)["origin"] == "OpenNMT Lua"


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, capsys):
    path = tmp_path / "broken.t7"
    path.write_bytes(b"\x04\x00\x00\x00 and nothing that follows from it")
    assert import_lua_model(["-model", str(path), "-output", str(tmp_path / "out.pt")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "broken.t7' is not a valid Torch7 file" in error
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["broken.t7"]


def test_a_truncated_model_is_refused(model, capsys):
    model.write_bytes(model.read_bytes()[:-1000])
    assert import_lua_model(["-model", str(model)]) == 1
    assert "the file ends inside" in capsys.readouterr().err
    assert not model.with_suffix(".pt").exists()
