"""onmt/google/parameters.py: names, types and merging. Effects are tested in test_google_table.py."""

from collections.abc import Mapping
from typing import Any

import pytest

from onmt.errors import OptionError
from onmt.google.parameters import (
    ATTENTIONS,
    BRIDGES,
    CELLS,
    DECODERS,
    ENCODERS,
    MODELS,
    RNN_CELL,
    class_name,
    deep_merged,
    merged,
)


@pytest.mark.parametrize(
    "name",
    [
        "AttentionSeq2Seq",
        "seq2seq.models.AttentionSeq2Seq",
        "seq2seq.models.attention_seq2seq.AttentionSeq2Seq",
    ],
)
def test_class_names_may_be_qualified(name: str) -> None:
    assert class_name(name, MODELS, "-model") == "AttentionSeq2Seq"


@pytest.mark.parametrize("package", ["", "seq2seq.", "seq2seq.any.module.", "tensorflow.contrib.rnn.", "tf."])
@pytest.mark.parametrize("known", [*map(list, (ATTENTIONS, BRIDGES, CELLS, DECODERS, ENCODERS, MODELS))])
def test_every_class_may_be_qualified(package: str, known: list[str]) -> None:
    assert [class_name(package + name, dict.fromkeys(known), "x") for name in known] == known


def test_nothing_is_cast() -> None:
    assert merged({"a": 1.0}, {"a": 3}, "x") == {"a": 3.0}
    for default, value in ((False, "false"), (False, 1), (1, True), (1, 2.5), (1.0, "2"), ("a", 1), ({}, [])):
        with pytest.raises(OptionError, match="must"):
            merged({"a": default}, {"a": value}, "x")


def whole_numbers(params: Mapping[str, Any]) -> dict[str, int]:
    return {name: value for name, value in params.items() if type(value) is int}


@pytest.mark.parametrize(
    "defaults", [*MODELS.values(), *ENCODERS.values(), *DECODERS.values(), *CELLS.values(), RNN_CELL]
)
def test_whole_numbers_may_be_written_as_floats(defaults: Mapping[str, Any]) -> None:
    for name, default in whole_numbers(defaults).items():
        for value in (1e3, float(default), 7.0):
            found = merged(defaults, {name: value}, "x")[name]
            assert (found, type(found)) == (value, int)
        with pytest.raises(OptionError, match=r"must be a whole number, not 2\.5"):
            merged(defaults, {name: 2.5}, "x")


def test_nested_mappings_merge_and_all_else_is_replaced() -> None:
    lower = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": {"g": 1}}
    upper = {"a": {"c": {"h": 3}}, "e": [2], "f": 4}
    assert deep_merged(lower, upper) == {"a": {"b": 1, "c": {"d": 2, "h": 3}}, "e": [2], "f": 4}
    assert lower["a"] == {"b": 1, "c": {"d": 2}}
