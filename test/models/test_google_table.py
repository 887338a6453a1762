"""The table of google_table/ against the program.

Each parameter is accepted, has the expected default and effect, and refuses values of another type. Table and
program have the same parameters.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from google_table import BASE, NAMES, ROWS, Row
from google_table.observations import OBSERVATIONS, Built

from onmt.errors import OptionError
from onmt.google import parameters as known
from onmt.google.optimisation import OPTIMIZER_PARAMS
from onmt.google.parameters import deep_merged

WRONG: Mapping[type, tuple[Any, ...]] = {
    bool: ("false", 1, [True]),
    int: ("3", 2.5, True, {}),
    float: ("0.1", True, [0.1]),
    str: (3, False, ["x"]),
    dict: ("x", 3, [{}]),
}
"""Values of a wrong type, by the type of the default; some only look like the right type, as "3"."""


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return `value` in nested dictionaries, one level per name of `path`."""
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def given(row: Row, *value: Any) -> dict[str, Any]:
    """Return the model's parameters, with the row's parameter set to `value` if one is given."""
    params = deep_merged(BASE[row.model], row.beside)
    return deep_merged(params, nested(row.path, *value)) if value else params


def build(row: Row, *value: Any) -> Built:
    return Built(row.model, given(row, *value))


def seen(row: Row, *value: Any) -> Any:
    """Return the row's observation for comparison; floats may differ by rounding."""
    found = OBSERVATIONS[row.seen](build(row, *value))
    numbers = found if isinstance(found, list) else [found]
    return pytest.approx(found, rel=1e-4, abs=0) if all(isinstance(one, float) for one in numbers) else found


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_accepted_with_its_default_and_changes_what_it_says(row: Row) -> None:
    before, after = row.then
    assert seen(row) == before
    for value in (row.default, None):
        assert build(row, value).spec == build(row).spec
        assert seen(row, value) == before
    if row.refused:
        with pytest.raises(OptionError, match=row.refused):
            build(row, row.other).spec  # noqa: B018
    else:
        assert seen(row, row.other) == after
        assert (before == after) == bool(row.inert)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_wrong_type_is_refused(row: Row) -> None:
    for value in WRONG[type(row.default)]:
        with pytest.raises(OptionError, match=rf"{row.path[-1]} must .*, not "):
            build(row, value).spec  # noqa: B018


@pytest.mark.parametrize("choice", NAMES, ids=lambda choice: f"{' '.join(choice[1])} {choice[2]}")
def test_what_a_name_means(choice: Any) -> None:
    model, path, name, what, then, beside = choice
    assert seen(Row(model, path, "", name, what, (None, then), beside), name) == then


def part_of(row: Row) -> str:
    """Return the class name of the part that a row's parameter belongs to."""
    side = row.path[0].removesuffix(".params")
    name = row.beside.get(f"{side}.class", known.MODELS[row.model][f"{side}.class"])
    return name.split(".")[-1]


def test_the_table_has_every_parameter_of_every_model() -> None:
    found = {model: {} for model in known.MODELS}
    for row in ROWS:
        if len(row.path) == 1:
            found[row.model][row.path[0]] = row.default
    assert found == known.MODELS


def test_the_table_has_every_parameter_of_every_part() -> None:
    parts = {**known.ENCODERS, **known.DECODERS, **known.ATTENTIONS, **known.BRIDGES}
    found: dict[str, dict[str, Any]] = {name: {} for name in parts}
    for row in ROWS:
        if len(row.path) == 2:
            found[part_of(row)][row.path[1]] = row.default
    assert found == parts


def test_the_table_has_every_parameter_of_the_cells_wherever_there_are_some() -> None:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in ROWS:
        if len(row.path) == 3:
            found.setdefault((row.model, part_of(row)), {})[row.path[2]] = row.default
    assert all(block == known.RNN_CELL for block in found.values())
    recurrent = {name for name, params in known.ENCODERS.items() if "rnn_cell" in params}
    assert {part for _, part in found} == recurrent | set(known.DECODERS)


def test_the_table_has_what_every_lstm_is_told() -> None:
    """The table has parameters of every LSTM; the other `cell_params` are in test_google_cells.py."""
    found = {row.path[3]: row.default for row in ROWS if len(row.path) == 4}
    for kind in ("BasicLSTMCell", "LSTMCell"):
        assert found.items() <= known.CELLS[kind].items()


def test_the_table_has_every_name() -> None:
    found: dict[str, set[str]] = {}
    for _, path, name, *_ in NAMES:
        found.setdefault(path[-1], set()).add(name)
    for part, classes in (
        ("encoder", known.ENCODERS),
        ("decoder", known.DECODERS),
        ("attention", known.ATTENTIONS),
        ("bridge", known.BRIDGES),
    ):
        assert found[f"{part}.class"] == set(classes)
    assert found["optimizer.name"] == set(OPTIMIZER_PARAMS)
    assert found["cell_class"] <= set(known.CELLS)  # the other cells are in test_google_cells.py
