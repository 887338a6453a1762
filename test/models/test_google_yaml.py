import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from onmt.errors import OptionError
from onmt.google.settings import read_yaml, read_yaml_file

TEXTS = st.text().filter(lambda text: not re.fullmatch(r"[-+]?[0-9][0-9_.]*[eE][-+]?[0-9]+", text))
"""Texts except those like `1e5`, which PyYAML writes without quotes but we read as numbers."""

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**63, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def _expanding(form: str) -> str:
    """Return YAML of eight levels, each holding ten aliases of the level before, formatted with `form`."""
    aliases = [", ".join([f"*a{level}"] * 10) for level in range(8)]
    lines = [f"l{level + 1}: &a{level + 1} {form.format(names)}" for level, names in enumerate(aliases)]
    return "\n".join(["l0: &a0 {x: 1}", *lines])


@given(VALUES)
def test_what_yaml_writes_is_read_back(value: Any) -> None:
    text = yaml.safe_dump(value)
    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # PyYAML cannot read all that it writes
        return
    if read == value:
        assert read_yaml(text, "here") == value


@given(st.text(alphabet="abe: -{}[]\n\t#&*!?|>'\"%@`0123.,~=<", max_size=40) | st.text(max_size=40))
def test_any_text_is_a_value_or_one_line(text: str) -> None:
    told = "here: "
    try:
        read_yaml(text, "here")
    except OptionError as error:
        told = str(error)
    assert told.startswith("here: ")
    assert "\n" not in told


@pytest.mark.parametrize("number", ["1e-4", "-2E5", "1.5e3", "+3e+2", "0.1", "1E2"])
def test_numbers_with_exponents(number: str) -> None:
    assert math.isclose(read_yaml(f"a: {number}", "here")["a"], float(number))


@pytest.mark.parametrize("text", ["1e", "e5", "1e5x", "e", "'1e5'"])
def test_texts_that_look_like_numbers(text: str) -> None:
    assert isinstance(read_yaml(text, "here"), str)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{a: b", "here: line 1, column 6: expected ',' or '}'"),
        ("a: 1\nb: 2\na: 3", "here: line 3, column 1: 'a' is given twice"),
        ("&a [*a]", "here: line 1, column 1: a value contains itself"),
        ("a: &x {<<: *x}", "here: line 1, column 4: a value contains itself"),
        ("a: *x", "here: line 1, column 4: found undefined alias"),
        (_expanding("[{}]"), "here: line 5, column [0-9]+: its aliases expand to more than 10000 values"),
        (
            _expanding("{{<<: [{}]}}"),
            "here: line 5, column [0-9]+: its aliases expand to more than 10000 values",
        ),
        ("!!python/object/apply:os.abort []", "here: line 1, column 1: could not determine"),
        ("!!int ''", "here: a value cannot be read"),
        ("!!timestamp x", "here: a value cannot be read"),
        ("[" * 5000, "here: a value cannot be read"),
        ("[" * 60 + "]" * 60, "here: more than 50 levels"),
        ("a: 2001-01-01", "here: .*date.* is neither a number nor a text"),
        ("a: {b: [.nan]}", "here: a: b: nan is not a finite number"),
        ("a: 1e400", "here: a: inf is not a finite number"),
        ("a: 9223372036854775808", "here: a: a number of 64 bits is too large"),
        ("a: 0x" + "f" * 5000, "here: a: a number of 20000 bits is too large"),
        ("a: 1" + "0" * 5000, "here: a value cannot be read"),
        ("a: " + "b" * 5000, "here: a: a text of 5000 characters is too long"),
        ("? " + "b" * 5000 + "\n: a", "here: a name of 5000 characters is too long"),
        ("1: a", "here: a name must be a text, not 1"),
        ("a: 1\n---\nb: 2", "here: line 2, column 1: but found another document"),
        ("a: \x00", "here: unacceptable character"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        read_yaml(text, "here")


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\n")
    assert read_yaml_file(str(path), "config_paths") == {"a": "\u00e9"}
    path.write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(OptionError, match=r"a\.yml, line 2, byte offset 8: not valid UTF-8"):
        read_yaml_file(str(path), "config_paths")
    for missing in (str(tmp_path / "none"), "a\0b", str(tmp_path)):
        with pytest.raises(OptionError, match="cannot read -config_paths"):
            read_yaml_file(missing, "config_paths")


def test_aliases_stand_for_their_values() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, z: [*a, *a]}\nd: *b"
    first, second = {"x": 1, "y": 2}, {"x": 3, "y": 2}
    assert read_yaml(text, "here") == {
        "a": first,
        "b": second,
        "c": second | {"z": [first, first]},
        "d": second,
    }
