"""A ModelSpec survives a round trip through JSON; foreign content is refused in one line."""

import json

import pytest

from onmt.errors import CheckpointError
from onmt.models.lua import DataSizes, spec_from_options
from onmt.models.options import LanguageModelOptions, Seq2SeqModelOptions, TaggerOptions
from onmt.spec.model import ModelSpec

SPECS = [
    spec_from_options(Seq2SeqModelOptions(encoder_type=encoder, bridge="dense"), DataSizes((9, 5), (8, 5)))
    for encoder in ("rnn", "brnn", "dbrnn", "pdbrnn", "gnmt", "cnn")
] + [
    spec_from_options(LanguageModelOptions(), DataSizes((9,), ())),
    spec_from_options(TaggerOptions(loglikelihood="sentence"), DataSizes((9,), (7,))),
    spec_from_options(Seq2SeqModelOptions(), DataSizes((), (7,), src_vector_size=4)),
]


@pytest.mark.parametrize("spec", SPECS)
def test_round_trip_through_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_state(json.loads(json.dumps(spec.to_state()))) == spec


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "parser"}, "parser"),
        ({"wings": 2}, "wings"),
        ({"word_dropout": "much"}, "much"),
        ({"encoder": {"kind": "transformer"}}, "transformer"),
        ({"outputs": 3}, "int"),
    ],
)
def test_foreign_descriptions_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        ModelSpec.from_state(SPECS[0].to_state() | change)


def test_missing_parts_are_refused() -> None:
    state = SPECS[0].to_state()
    del state["encoder"]
    with pytest.raises(CheckpointError, match="encoder"):
        ModelSpec.from_state(state)
