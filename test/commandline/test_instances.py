import dataclasses
import json

import pytest

from onmt.commandline.parser import parse
from onmt.commandline.values import check_options, options_from_dict, options_to_dict, replace_options
from onmt.errors import OptionError


@pytest.fixture
def options(script):
    return parse(script, ["-save_data", "demo", "-sizes", "3,4", "-fix", "pretrained", "-brnn"]).options


def test_stored_and_restored(options):
    stored = json.loads(json.dumps(options_to_dict(options)))
    assert stored["sizes"] == [3, 4]
    assert stored["tok_src_mode"] == "space"
    assert stored["continue"] is False
    assert "brnn" not in stored
    assert options_from_dict(type(options), stored) == options


def test_what_is_not_stored_takes_its_default(options):
    assert options_from_dict(type(options), {}) == type(options)()


def test_a_whole_number_stored_for_a_fraction_is_one(options):
    restored = options_from_dict(type(options), {"dropout": 0})
    assert type(restored.dropout) is float


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"no_such": 1}, "stored options: unknown option -no_such"),
        ({"layers": "2"}, "stored options: -layers cannot be '2'"),
        ({"layers": True}, "stored options: -layers cannot be True"),
        ({"sort": 1}, "stored options: -sort cannot be 1"),
        ({"encoder": "cnn"}, "stored options: -encoder cannot be 'cnn'"),
        ({"fix": "maybe"}, "stored options: -fix cannot be 'maybe'"),
        ({"sizes": 3}, "stored options: -sizes should be a list, not 3"),
        ({"sizes": ["3"]}, "stored options: -sizes cannot be '3'"),
    ],
)
def test_stored_values_that_do_not_fit(options, stored, message):
    with pytest.raises(OptionError, match=f"^{message}$"):
        options_from_dict(type(options), stored)


def test_replace_reaches_into_groups(options):
    changed = replace_options(options, {"layers": 5, "tok_src_mode": "conservative", "continue": True})
    assert (changed.layers, changed.tok_src.mode, changed.continue_) == (5, "conservative", True)
    assert changed.tok_tgt == options.tok_tgt
    assert options.layers == 2
    with pytest.raises(OptionError, match="unknown option -tok_src"):
        replace_options(options, {"tok_src": None})


def test_check_calls_each_class_once(options):
    check_options(options)
    with pytest.raises(OptionError, match="4 layers at most"):
        check_options(dataclasses.replace(options, layers=5))
