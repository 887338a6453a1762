from dataclasses import replace
from typing import Any

import pytest

from onmt.commandline.values import options_to_dict
from onmt.training.options import TrainSeq2SeqOptions
from onmt.training.restart import Restart

BASE = TrainSeq2SeqOptions(data="d", save_model="m", train_from="x.pt")
SAVED = options_to_dict(replace(BASE, rnn_size=64, dropout=0.1, optim="adam", learning_rate=0.002, seed=7))


def restart(saved: dict[str, Any], rate: float = 0.001, epoch: int = 4, **given: Any) -> Restart:
    """Restart with these options on the command line."""
    continues = given.pop("continue_", False)
    flags = frozenset(given)
    return Restart.of(replace(BASE, **given, continue_=continues), flags, saved, rate, epoch)


def test_structure_comes_from_the_checkpoint() -> None:
    result = restart(SAVED)
    assert result.options.rnn_size == 64
    assert not result.warnings


def test_structure_cannot_be_changed() -> None:
    result = restart(SAVED, rnn_size=500, param_init=0.3)
    assert result.options.rnn_size == 64
    assert result.options.param_init == 0.1
    assert [warning for warning in result.warnings if "Cannot change" in warning] == result.warnings
    assert len(result.warnings) == 2


def test_repeating_the_stored_structure_is_no_change() -> None:
    result = restart(SAVED, rnn_size=64, src_word_vec_size=(500,))
    assert not result.warnings


def test_dropout_is_kept_or_changed() -> None:
    assert restart(SAVED).options.dropout == 0.1
    result = restart(SAVED, dropout=0.5)
    assert result.options.dropout == 0.5
    assert result.applied == {"dropout": "0.5"}


def test_training_options_are_new_without_continue() -> None:
    options = restart(SAVED).options
    assert (options.optim, options.learning_rate) == ("sgd", 1.0)


def test_training_options_are_restored_by_continue() -> None:
    result = restart(SAVED, continue_=True, optim="sgd")
    assert result.options.continue_
    assert (result.options.optim, result.options.learning_rate) == ("adam", 0.002)
    assert result.warnings == ["Cannot change the option -optim with -continue. Ignoring."]


def test_what_is_neither_is_never_restored() -> None:
    saved = SAVED | {"max_batch_size": 3, "end_epoch": 99, "save_every": 1, "report_every": 2}
    options = restart(saved, continue_=True).options
    assert (options.max_batch_size, options.end_epoch) == (BASE.max_batch_size, BASE.end_epoch)


@pytest.mark.parametrize(("flag", "value"), [("learning_rate", 0.7), ("start_epoch", 2)])
def test_another_rate_or_epoch_cancels_continue(flag: str, value: float) -> None:
    given: dict[str, Any] = {flag: value}
    result = restart(SAVED, continue_=True, **given)
    assert not result.options.continue_
    assert result.options.optim == "sgd"
    assert result.warnings == [f"-{flag} {value:g} is not that of the checkpoint: -continue is cancelled."]


@pytest.mark.parametrize("rate", [0.002, 0.001])
def test_the_stored_or_the_present_rate_cancels_nothing(rate: float) -> None:
    result = restart(SAVED, continue_=True, learning_rate=rate, start_epoch=4)
    assert result.options.continue_
    assert result.options.learning_rate == 0.002


def test_the_seed_is_kept_unless_given() -> None:
    assert restart(SAVED).options.seed == 7
    assert restart(SAVED, seed=8).options.seed == 8


@pytest.mark.parametrize(
    ("flag", "kept", "given"),
    [
        ("scheduled_sampling", 0.5, 0.9),
        ("scheduled_sampling_scope", "sentence", "token"),
        ("scheduled_sampling_decay_type", "invsigmoid", "linear"),
        ("scheduled_sampling_decay_rate", 0.25, 0.5),
    ],
)
def test_scheduled_sampling_is_kept_unless_given(flag: str, kept: Any, given: Any) -> None:
    saved = SAVED | {flag: kept}
    assert vars(restart(saved).options)[flag] == kept
    assert vars(restart(saved, **{flag: given}).options)[flag] == given


def test_lua_s_types_are_understood() -> None:
    saved = {
        "rnn_size": 12.0,
        "input_feed": 0,
        "src_word_vec_size": [8.0, 3.0],
        "fix_word_vecs_enc": "false",
        "dropout": 0,
        "brnn": True,
        "unknown": "whatever",
        "layers": "many",
        "tgt_word_vec_size": 5,
    }
    options = restart(saved).options
    assert options.rnn_size == 12
    assert isinstance(options.rnn_size, int)
    assert options.input_feed is False
    assert options.src_word_vec_size == (8, 3)
    assert options.fix_word_vecs_enc is False
    assert options.dropout == 0.0
    assert options.layers == BASE.layers
    assert options.tgt_word_vec_size == BASE.tgt_word_vec_size


def test_steps_have_evaluations_when_continue_is_cancelled() -> None:
    by_steps = SAVED | {"eval_every_n_steps": 7}
    assert restart(by_steps, continue_=True, train_steps=90).options.eval_every_n_steps == 7
    cancelled = restart(by_steps, continue_=True, train_steps=90, start_epoch=9)
    assert cancelled.options.eval_every_n_steps == 1000
    given = restart(by_steps, continue_=True, train_steps=90, start_epoch=9, eval_every_n_steps=5)
    assert given.options.eval_every_n_steps == 5


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 2.5])
def test_a_stored_number_that_is_no_whole_one_is_left_out(value: float) -> None:
    assert restart(SAVED | {"layers": value}).options.layers == BASE.layers
    assert restart(SAVED | {"layers": 3.0}).options.layers == 3


def test_the_number_of_steps_is_kept_unless_an_end_is_given() -> None:
    by_steps = SAVED | {"train_steps": 60, "eval_every_n_steps": 7}
    assert restart(by_steps, continue_=True).options.train_steps == 60
    assert restart(by_steps, continue_=True, train_steps=90).options.train_steps == 90
    assert restart(by_steps, continue_=True, end_epoch=3).options.train_steps == 0
    assert restart(by_steps).options.train_steps == 0
