"""Options from Python values."""

from pathlib import Path

import pytest

from onmt.decoding.options import TranslationModelOptions, TranslatorOptions
from onmt.errors import OptionError
from onmt.runtime.options import DeviceOptions
from onmt.serving.options import options_from


def test_values_of_every_kind(tmp_path: Path) -> None:
    options = options_from(TranslatorOptions, {"beam_size": 3, "length_norm": 0.5, "replace_unk": True})
    assert options == TranslatorOptions(beam_size=3, length_norm=0.5, replace_unk=True)
    assert options_from(DeviceOptions, {"gpuid": [1, 2]}).gpuid == (1, 2)
    assert options_from(DeviceOptions, {"gpuid": 3}).gpuid == (3,)
    assert options_from(TranslatorOptions, {}) == TranslatorOptions()
    file = tmp_path / "table"
    file.touch()
    assert options_from(TranslatorOptions, {"phrase_table": file}).phrase_table == str(file)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beam_siz": 3}, "unknown option 'beam_siz'; did you mean beam_size?"),
        ({"beam_size": "many"}, "should be an integer"),
        ({"beam_size": 2.5}, "should be an integer"),
        ({"beam_size": True}, "should be an integer"),
        ({"beam_size": None}, "it must not be empty"),
        ({"beam_size": {"a": 1}}, "it must not be a dict"),
        ({"beam_size": [1, 2]}, "it must not be a list"),
        ({"beam_size": 0}, "at least 1"),
        ({"replace_unk": "maybe"}, "boolean"),
        ({"n_best": 6}, "-beam_size must be at least as large"),
        ({"phrase_table": "nowhere"}, "there is no 'nowhere'"),
    ],
)
def test_values_that_do_not_fit(values: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=r"^file, line 3: ") as caught:
        options_from(TranslatorOptions, values, "file, line 3: ")
    assert message in str(caught.value)


def test_required_values() -> None:
    with pytest.raises(OptionError, match="missing required option -model"):
        options_from(TranslationModelOptions, {})
