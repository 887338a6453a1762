from dataclasses import dataclass
from typing import Any, cast

import pytest

from onmt.decoding.ensemble import with_search_of
from onmt.decoding.options import TranslatorOptions
from onmt.errors import OptionError
from onmt.google.model import read_model, spec_of
from onmt.models.loading import LoadedModel
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.options import Seq2SeqModelOptions
from onmt.spec.model import ModelSpec

STORED = {"beam_size": 3, "length_norm": 0.6, "max_sent_length": 40}
GOOGLE = spec_of(read_model("BasicSeq2Seq", {}), DataSizes((9,), (9,)))
LUA = spec_from_options(Seq2SeqModelOptions(), DataSizes((9,), (9,)))


@dataclass
class Loaded:
    """The part of a loaded model that `with_search_of` reads."""

    spec: ModelSpec
    options: dict[str, Any]


def search_of(spec: ModelSpec, options: TranslatorOptions, *given: str) -> TranslatorOptions:
    return with_search_of(cast(LoadedModel, Loaded(spec, STORED)), options, frozenset(given))


def test_a_google_model_says_how_to_search() -> None:
    found = search_of(GOOGLE, TranslatorOptions())
    assert (found.beam_size, found.length_norm, found.max_sent_length) == (3, 0.6, 40)


def test_the_command_line_says_it_better() -> None:
    found = search_of(GOOGLE, TranslatorOptions(beam_size=7), "beam_size")
    assert (found.beam_size, found.length_norm) == (7, 0.6)


def test_lua_s_models_do_not() -> None:
    assert search_of(LUA, TranslatorOptions()) == TranslatorOptions()


def test_the_result_must_fit_together() -> None:
    with pytest.raises(OptionError, match="the beam has only 3"):
        search_of(GOOGLE, TranslatorOptions(n_best=4), "n_best")


def test_a_file_s_values_are_checked() -> None:
    loaded = cast(LoadedModel, Loaded(GOOGLE, {"beam_size": "many"}))
    with pytest.raises(OptionError, match="-beam_size cannot be 'many'"):
        with_search_of(loaded, TranslatorOptions(), frozenset())
