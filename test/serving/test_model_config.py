"""The YAML file of models."""

from pathlib import Path

import pytest

from onmt.errors import OnmtError
from onmt.serving.options import read_model_config

DOCUMENTED = """
-
  model: '/NMTModels/en-fr/model-enfr_epoch600_3.03.t7'
  replace_unk: true
  mode: aggressive
  joiner_annotate: true
  case_feature: true
  segment_case: true
  beam_size: 5
-
  model: '/NMTModels/en-it/model-enit_epoch600_4.17.t7'
"""


def written(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "models.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_the_documented_example(tmp_path: Path) -> None:
    (first, given), (second, _) = read_model_config(written(tmp_path, DOCUMENTED))
    assert first.model == ("/NMTModels/en-fr/model-enfr_epoch600_3.03.t7",)
    assert (first.replace_unk, first.mode, first.joiner_annotate, first.beam_size) == (
        True,
        "aggressive",
        True,
        5,
    )
    assert given >= {"beam_size", "model", "mode"}
    assert (second.batch_size, second.with_attention, second.mode) == (1000, False, "conservative")


def test_an_ensemble_is_a_list_of_models(tmp_path: Path) -> None:
    content = "- model: [a, 'b, c']\n  ensemble: log_mean\n- model: a\n  ignore_when_blocking: ['.', ',']\n"
    [(first, _), (second, _)] = read_model_config(written(tmp_path, f"{content}  block_ngram_repeat: 3\n"))
    assert (first.model, first.ensemble) == (("a", "b, c"), "log_mean")
    assert (second.model, second.ignore_when_blocking) == (("a",), (".", ","))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "- model: a\n- model: b\n  beam_sise: 3",
            "line 2, model 2: unknown option 'beam_sise'; did you mean beam_size?",
        ),
        ("- model: a\n  beam_size: many", "line 1, model 1: invalid type for option -beam_size"),
        ("- model: []", "missing required option -model"),
        ("- model: a\n  ensemble: median", "'median' is not in accepted values"),
        ("- model: a\n  mode: loud", "'loud' is not in accepted values"),
        ("- model: a\n  n_best: 6", "-beam_size must be at least as large"),
        ("- model: a\n  save_beam_to: x", "-save_beam_to is for translate.py"),
        ("- model: a\n  gpuid: 1", "unknown option 'gpuid'"),
        ("- model: a\n  1: 1", "unknown option '1'"),
        ("- beam_size: 3", "missing required option -model"),
        ("- a", "line 1, model 1: expected a mapping"),
        ("model: a", "expected a list of models"),
        ("", "expected a list of models"),
        ("[]", "expected a list of models"),
        ("- model: [", "not valid YAML"),
        ("- model: 'a", "line 1: not valid YAML"),
        ("- !!python/object:os.system x", "not valid YAML"),
        (b"- model: \xff", "not valid UTF-8"),
        ("- &a [*a]", "expected a mapping"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(OnmtError) as caught:
        read_model_config(written(tmp_path, content))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/models.yml")
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(OnmtError, match="cannot read"):
        read_model_config(str(tmp_path / "none.yml"))
