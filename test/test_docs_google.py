"""docs/google-seq2seq.md agrees with the program on every parameter, default and setting."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from onmt.commandline.schema import declared_options
from onmt.commands.pipeline import preprocess, train, translate
from onmt.google.model import read_model, spec_of
from onmt.google.optimisation import OPTIMIZER_PARAMS
from onmt.google.parameters import ATTENTIONS, BRIDGES, CELLS, DECODERS, ENCODERS, MODELS, RNN_CELL
from onmt.google.settings import CONFIG_KEYS, read_config_files
from onmt.models.lua import DataSizes
from onmt.training.options import implied_flags

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "google-seq2seq.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples" / "google").glob("*.yml"))


def section(title: str) -> str:
    text = re.split(rf"^#+ {re.escape(title)}\n", PAGE, flags=re.MULTILINE)[1]
    return re.split(r"^#+ ", text, flags=re.MULTILINE)[0]


def rows(title: str) -> list[list[str]]:
    """The rows of the tables in a section, as lists of cells, without headings."""
    lines = [line for line in section(title).split("\n") if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [
        row for row, after in zip(cells, [*cells[1:], [""]], strict=True) if "---" not in row[0] + after[0]
    ]


def documented(title: str) -> dict[str, Any]:
    """The names and defaults in a table of parameters."""
    return {row[0].strip("`"): yaml.safe_load(row[1]) for row in rows(title)}


def by_class(title: str) -> dict[str, dict[str, Any]]:
    """The names and defaults by class, in a table whose first column names classes."""
    found: dict[str, dict[str, Any]] = {}
    name = ""
    for row in rows(title):
        name = row[0] or name
        found.setdefault(name, {})
        if row[1]:
            found[name][row[1].strip("`")] = yaml.safe_load(row[2])
    return found


def test_every_parameter_of_the_models_is_documented() -> None:
    page = {
        **documented("Of every model"),
        **documented("Of models that translate: BasicSeq2Seq, AttentionSeq2Seq"),
    }
    page["optimizer.lr_min_learning_rate"] = float(page["optimizer.lr_min_learning_rate"])
    assert page == {**MODELS["AttentionSeq2Seq"], **MODELS["BasicSeq2Seq"]}


def test_image2seq_differs_as_documented() -> None:
    words = ("source.max_seq_len", "source.reverse", "vocab_source", "embedding.share")
    expected = {name: value for name, value in MODELS["AttentionSeq2Seq"].items() if name not in words}
    expected |= {
        "encoder.class": "seq2seq.encoders.InceptionV3Encoder",
        "attention.params": {"num_units": 128},
    }
    found = dict(MODELS["Image2Seq"])
    found["bridge.class"] = "seq2seq.models.bridges." + found["bridge.class"]
    assert found == expected
    text = section("Of the model that reads images: Image2Seq")
    assert all(name in text for name in ("`source.*`", "`vocab_source`", "`embedding.share`"))
    assert "encoder.class" in text
    assert "{num_units: 128}" in text


def test_every_parameter_of_cells_is_documented() -> None:
    of_cells = {name: value for params in CELLS.values() for name, value in params.items()}
    assert documented("Recurrent cells") == {**RNN_CELL, **of_cells}


def test_every_parameter_of_parts_is_documented() -> None:
    known = {name: dict(params) for name, params in ENCODERS.items()}
    assert by_class("Encoders") == known
    others = {**DECODERS, **ATTENTIONS, **BRIDGES}
    assert by_class("Decoders, attention, bridges") == {name: dict(params) for name, params in others.items()}


def test_every_argument_of_an_optimiser_is_documented() -> None:
    for name, arguments in rows("Optimisers"):
        found = dict(
            re.findall(r"`(\w+)` (-?[\w.-]+)", arguments.replace("`momentum` (needed)", "`momentum` 0.0"))
        )
        wanted = {key: str(value).lower() for key, value in OPTIMIZER_PARAMS[name].items()}
        assert found == wanted
    assert [row[0] for row in rows("Optimisers")] == list(OPTIMIZER_PARAMS)


def test_every_setting_is_documented() -> None:
    named = "".join(row[0] for row in rows("Configuration files"))
    assert set(re.findall(r"`(\w+)`", named)) == set(CONFIG_KEYS)


def test_documented_flags_exist() -> None:
    flags = set(re.findall(r"`-(\w+)", PAGE))
    known = {
        option.flag
        for script in (train.script, preprocess.script, translate.script)
        for option in declared_options(script.choose({}))
    }
    assert {flag for flag in flags if not flag.endswith("_")} <= known


SIZES = {
    "small": ("gru_reset_before", 1, 1, 128, "projected_dot"),
    "medium": ("gru_reset_before", 1, 2, 256, "bahdanau"),
    "large": ("lstm", 2, 4, 512, "bahdanau"),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_examples_have_the_published_values(name: str) -> None:
    config = read_config_files([str(ROOT / "examples" / "google" / f"{name}.yml")])
    spec = spec_of(read_model(config["model"], config["model_params"]), DataSizes((40,), (40,)))
    decoder: Any = spec.decoder
    encoder: Any = spec.encoder
    kind, below, above, units, score = SIZES[name]
    assert (encoder.stack.cell.kind, encoder.stack.layers, encoder.stack.hidden_size) == (
        kind,
        below,
        2 * units,
    )
    assert (decoder.stack.cell.kind, decoder.stack.layers, decoder.stack.hidden_size) == (kind, above, units)
    assert (decoder.attention.score, decoder.attention.units) == (score, units)
    assert decoder.stack.input_dropout == encoder.stack.input_dropout == pytest.approx(0.2)
    assert decoder.embedding.output_size == units
    assert not spec.policies.source_reverse


def test_the_example_of_convolutions_has_the_published_values() -> None:
    config = read_config_files([str(ROOT / "examples" / "google" / "conv.yml")])
    encoder: Any = spec_of(
        read_model(config["model"], config["model_params"]), DataSizes((40,), (40,))
    ).encoder
    keys, values = encoder.keys, encoder.values
    assert (keys.units, keys.kernel, keys.layers) == (512, 3, 15)
    assert (values.units, values.kernel, values.layers) == (256, 3, 5)
    assert (encoder.positions.count, encoder.positions.combine) == (52, "add")
    assert encoder.input_dropout == pytest.approx(0.2)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_accepted(path: Path) -> None:
    implied = implied_flags({"config_paths": (str(path),)})
    assert implied.warnings == ()
    assert implied.values
