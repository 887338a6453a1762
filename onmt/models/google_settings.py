"""What `-model`, `-model_params` and `-config_paths` say, and what a restart makes of it. No torch here."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from onmt.commandline.suggestions import did_you_mean
from onmt.errors import OptionError
from onmt.models.google import GoogleModel, read_model
from onmt.models.google_parameters import MODELS, class_name, deep_merged, merged, names_and_values
from onmt.models.google_yaml import read_yaml, read_yaml_file

SETTING_FLAGS: Final[Mapping[str, str]] = {
    "batch_size": "max_batch_size",
    "train_steps": "train_steps",
    "eval_every_n_steps": "eval_every_n_steps",
    "save_checkpoints_steps": "save_every",
    "keep_checkpoint_max": "keep_checkpoint_max",
    "tf_random_seed": "seed",
}
"""Settings that hold a whole number, and the flags that they become."""

IDLE_SETTINGS: Final = (
    "hooks",
    "buckets",
    "output_dir",
    "save_checkpoints_secs",
    "keep_checkpoint_every_n_hours",
    "gpu_memory_fraction",
    "gpu_allow_growth",
    "log_device_placement",
)
"""Settings that have no effect here, whatever their value."""

CONFIG_KEYS: Final = (
    "model",
    "model_params",
    *SETTING_FLAGS,
    "input_pipeline_train",
    "input_pipeline_dev",
    "metrics",
    "schedule",
    *IDLE_SETTINGS,
)


def read_config_files(paths: Sequence[str]) -> dict[str, Any]:
    """The settings of several files, deeply merged from left to right; what is null is not there.

    Raises OptionError for a file that holds anything else than the original's settings.
    """
    settings: dict[str, Any] = {}
    for path in paths:
        content = read_yaml_file(path, "config_paths")
        if content is None:
            continue
        given = names_and_values(content, path)
        for name in given:
            if name not in CONFIG_KEYS:
                raise OptionError(f"{path}: unknown setting '{name}'{did_you_mean(name, CONFIG_KEYS, '')}")
        settings = deep_merged(settings, given)
    return {name: value for name, value in settings.items() if value is not None}


def read_model_params(text: str) -> dict[str, Any]:
    """The parameters that `-model_params` gives, as YAML or in a file of that name. Raises OptionError for
    what cannot be read, or holds no names and values.
    """
    if os.path.isdir(text):
        raise OptionError(f"-model_params {text} is a folder, not a file")
    if os.path.isfile(text):
        content, where = read_yaml_file(text, "model_params"), text
    else:
        content, where = read_yaml(text, "-model_params"), "-model_params"
    if isinstance(content, str):
        raise OptionError(f"-model_params: there is no file '{content[:80]}', and as YAML it holds no names")
    return {} if content is None else names_and_values(content, where)


def check_model_name(name: str) -> str:
    """The class that `-model` names, in its short form.

    OpenNMT's flag of this name means a model's file elsewhere; raises OptionError if it seems to here.
    """
    if os.path.isfile(name) or name.endswith((".pt", ".t7")):
        raise OptionError(
            f"-model {name}: train.py takes the name of a model class here; to start from a model's file use "
            f"-train_from {name}"
        )
    return class_name(name, MODELS, "-model")


def to_text(parameters: Mapping[str, Any]) -> str:
    """Parameters in the one form in which options hold them: JSON, sorted by name; none are no text."""
    return json.dumps(parameters, sort_keys=True, ensure_ascii=False) if parameters else ""


def from_text(text: str) -> dict[str, Any]:
    """Inverse of `to_text`."""
    parameters: dict[str, Any] = json.loads(text) if text else {}
    return parameters


def stored_google_model(name: str, parameters: str) -> GoogleModel | None:
    """The model that options describe (`parameters` from `to_text`); None: it is one of OpenNMT Lua's."""
    return read_model(name, from_text(parameters)) if name else None


@dataclass(frozen=True)
class RestartedParameters:
    """The parameters to go on with (see `to_text`), those that `changed`, and those that were asked to change
    in vain.
    """

    text: str
    changed: Mapping[str, Any]
    ignored: tuple[str, ...]


def restarted_parameters(name: str, stored: str, asked: str, continues: bool) -> RestartedParameters:
    """What becomes of the `stored` parameters of a model of class `name` when others are `asked` for.

    Those of the optimiser can change, unless its training `continues`; another optimiser does not inherit
    arguments. Both texts from `to_text`. Raises OptionError for parameters that the class does not have.
    """
    before = from_text(stored)
    known = read_model(name, before).parameters
    merged(MODELS[name], from_text(asked), "model_params")
    now = {key: value for key, value in from_text(asked).items() if value is not None}
    differing = {key: value for key, value in now.items() if not _same(key, value, known[key])}
    changed = {key: value for key, value in differing.items() if _of_training(key) and not continues}
    if "optimizer.name" in changed:
        before.pop("optimizer.params", None)
        changed |= {key: value for key, value in now.items() if key == "optimizer.params"}
    ignored = sorted(differing.keys() - changed.keys())
    return RestartedParameters(to_text(before | changed), changed, tuple(ignored))


def _same(name: str, one: Any, other: Any) -> bool:
    """Whether two values of a parameter mean the same; classes may have their packages before them."""
    if name.endswith((".class", "optimizer.name")):
        return bool(one.split(".")[-1] == other.split(".")[-1])
    return bool(one == other)


def _of_training(name: str) -> bool:
    return name.startswith("optimizer.") and name != "optimizer.clip_embed_gradients"
