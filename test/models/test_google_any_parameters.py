"""Any parameters and settings give either a model or an error message of one line."""

from collections.abc import Iterator, Mapping
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import OptionError
from onmt.google.model import read_model, spec_of
from onmt.google.optimisation import OPTIMIZER_PARAMS, optimizer_settings, schedule_of
from onmt.google.parameters import (
    ATTENTIONS,
    BRIDGES,
    CELLS,
    DECODERS,
    ENCODERS,
    MODELS,
    RNN_CELL,
    deep_merged,
)
from onmt.google.settings import CONFIG_KEYS, from_text, read_yaml, restarted_parameters, to_text
from onmt.models.lua import DataSizes
from onmt.training.options import implied_flags

PARTS: list[Mapping[str, Mapping[str, Any]]] = [
    ENCODERS,
    DECODERS,
    ATTENTIONS,
    BRIDGES,
    CELLS,
    OPTIMIZER_PARAMS,
]
NAMES = sorted(
    {name for parameters in (*MODELS.values(), RNN_CELL) for name in parameters}
    | {name for part in PARTS for parameters in part.values() for name in parameters}
)
WORDS = sorted(
    {name for part in (*PARTS, MODELS) for name in part}
    | {"add", "concat", "tensorflow.add", "tf.tanh", "exponential_decay", "polynomial_decay", "", "a.b"}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.sampled_from([0.0, 0.5, 1.0, -1.0, 1e-4, 1e300])
    | st.sampled_from(WORDS)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


def fitting(name: str) -> st.SearchStrategy[Any]:
    """Values that mostly have the right type, so that they get beyond the first check."""
    default = {**MODELS["BasicSeq2Seq"], **MODELS["AttentionSeq2Seq"]}.get(name)
    if isinstance(default, Mapping):
        return st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, int | float):
        return st.integers(-3, 300) | st.sampled_from([0.5, 1e300])
    return st.sampled_from(WORDS)


PARAMETERS = st.lists(st.sampled_from(sorted(MODELS["AttentionSeq2Seq"])), unique=True, max_size=4).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES | fitting(name) for name in names})
)


def one_line(error: OptionError) -> bool:
    return "\n" not in str(error) and len(str(error)) > 10


@given(st.sampled_from(sorted(MODELS)), PARAMETERS)
def test_any_parameters(name: str, parameters: dict[str, Any]) -> None:
    refused = None
    try:
        model = read_model(name, parameters)
        spec = spec_of(model, DataSizes((9,), (9,)))
        assert spec.outputs == (9,)
        assert optimizer_settings(model.parameters).clip_gradients >= 0
        assert schedule_of(model.parameters).after(1000) > 0
    except OptionError as error:
        refused = error
    assert refused is None or one_line(refused)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A current folder for the folders that `output_dir` makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("scratch"))
        yield


SETTINGS = st.dictionaries(st.sampled_from(CONFIG_KEYS), VALUES | st.text(max_size=5), max_size=4)


@pytest.mark.usefixtures("scratch")
@given(SETTINGS, st.dictionaries(st.sampled_from(["train_steps", "max_batch_size"]), st.integers(1, 9)))
def test_any_settings(settings: dict[str, Any], given_flags: dict[str, Any]) -> None:
    refused = None
    with NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
        file.write(to_text(settings))
        file.flush()
        try:
            implied = implied_flags({**given_flags, "config_paths": (file.name,)})
            assert not implied.values.keys() & given_flags.keys()
            assert len(implied.warnings) <= 1
        except OptionError as error:
            refused = error
    assert refused is None or one_line(refused)


@given(PARAMETERS)
def test_the_form_in_options_is_yaml_too(parameters: dict[str, Any]) -> None:
    assert from_text(to_text(parameters)) == parameters
    if parameters:
        assert read_yaml(to_text(parameters), "here") == parameters


@given(st.sampled_from(sorted(MODELS)), PARAMETERS, PARAMETERS, st.booleans())
def test_a_restart_keeps_the_model(
    name: str, stored: dict[str, Any], asked: dict[str, Any], continues: bool
) -> None:
    try:
        restarted = restarted_parameters(name, to_text(stored), to_text(asked), continues)
    except OptionError as error:
        assert one_line(error)  # noqa: PT017 - most are accepted
        return
    found = from_text(restarted.text)
    changed = dict(restarted.changed)
    assert not (continues and changed)
    assert all(key.startswith("optimizer.") and asked[key] == value for key, value in changed.items())
    kept = {key: value for key, value in stored.items() if key not in changed}
    if "optimizer.name" in changed:
        kept.pop("optimizer.params", None)
    assert found == kept | changed
    assert set(restarted.ignored) <= {key for key, value in asked.items() if value is not None} - set(changed)


@given(VALUES, VALUES)
def test_merging_changes_neither_side(lower: Any, upper: Any) -> None:
    if isinstance(lower, dict) and isinstance(upper, dict):
        before = to_text(lower), to_text(upper)
        merged = deep_merged(lower, upper)
        assert merged.keys() == lower.keys() | upper.keys()
        assert (to_text(lower), to_text(upper)) == before
