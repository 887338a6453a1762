"""Read google/seq2seq's YAML, config files and `-model_params`; combine them on a restart. Torch-free."""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from onmt.commandline.values import did_you_mean
from onmt.errors import OptionError
from onmt.google.model import read_model
from onmt.google.parameters import MODELS, class_name, deep_merged, merged, names_and_values

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_DEEPEST: Final = 50  # levels; no configuration needs more, and Python's stack allows some hundreds
_LONGEST_TEXT: Final = 4096  # characters, the longest path; messages quote names and values in full
_LARGEST_WHOLE: Final = 2**63 - 1
_MOST_NODES: Final = 10_000  # names and values of a text after expanding its aliases

_YAML_FAILURES: Final = (ValueError, LookupError, AttributeError, TypeError, OverflowError, RecursionError)
"""Exceptions that PyYAML raises, besides its own, for scalars that do not fit their tag (`!!int ''`)."""


def read_yaml(text: str, where: str) -> Any:
    """Parse a YAML text of dicts with strings as names, lists, strings, finite numbers, booleans and None.

    `1e-4` is read as a number, although YAML 1.1 calls it a string. Aliases (`*name`) and merges (`<<`) are
    supported. Raises OptionError, in one line that begins with `where`, for everything else: malformed text,
    names given twice, dates, aliases that contain themselves or expand to more than `_MOST_NODES` values.
    """
    import yaml  # imported here, because only a few runs need it

    try:
        return _plain(yaml.load(text, Loader=_loader()), where, 0)
    except yaml.YAMLError as error:
        raise OptionError(f"{where}: {_in_one_line(error)}") from None
    except _YAML_FAILURES as error:
        raise OptionError(f"{where}: a value cannot be read: {' '.join(str(error).split())}") from None


def read_yaml_file(path: str, flag: str) -> Any:
    """Parse a YAML file that `flag` names. Raises OptionError if it can't be read or isn't UTF-8, and as
    `read_yaml` does.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OptionError(f"cannot read -{flag} {path}: {reason}") from error
    try:
        text = content.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise OptionError(f"{path}, line {line}, byte offset {error.start}: not valid UTF-8") from error
    return read_yaml(text, path)


def _loader() -> Any:
    """Return PyYAML's safe loader, made to refuse repeated names and huge expansions, and to read `1e-4`."""
    import yaml

    class Loader(yaml.SafeLoader):
        has_aliases = False

        def get_single_node(self) -> yaml.Node | None:
            node = super().get_single_node()
            if node is not None and self.has_aliases:
                _check_expansion(node, {})
            return node

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            self.has_aliases |= self.check_event(yaml.AliasEvent)
            return super().compose_node(parent, index)

        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            # check before construction, which adds the names from `<<` to the mapping's own
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in seen:
                    raise yaml.composer.ComposerError(
                        None, None, f"'{key.value}' is given twice", key.start_mark
                    )
                seen.add(key.value)
            return node

    exponent = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+\Z")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    return Loader


def _check_expansion(node: Any, sizes: dict[int, int]) -> int:
    """Count the nodes at and below `node` with all aliases expanded, in time linear in the text.

    sizes: counts found so far, by the node's id(); 0 for ancestors. Raises yaml.composer.ComposerError for a
    value that contains itself, and for more than `_MOST_NODES` nodes.
    """
    import yaml

    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = 0
        pairs = isinstance(node, yaml.MappingNode)
        parts = [part for pair in node.value for part in pair] if pairs else node.value
        size = 1 + sum(_check_expansion(part, sizes) for part in parts)
        if size > _MOST_NODES:
            problem = f"its aliases expand to more than {_MOST_NODES} values: write fewer of them"
            raise yaml.composer.ComposerError(None, None, problem, node.start_mark)
        sizes[id(node)] = size
    elif not sizes[id(node)]:
        raise yaml.composer.ComposerError(None, None, "a value contains itself", node.start_mark)
    return sizes[id(node)]


def _plain(value: Any, where: str, depth: int) -> Any:
    """Return the value if parameters allow all types and sizes in it. Otherwise raises OptionError that
    begins with `where`.
    """
    if isinstance(value, dict):
        _check_depth(where, depth)
        return {
            _checked_name(name, where): _plain(part, f"{where}: {name}", depth + 1)
            for name, part in value.items()
        }
    if isinstance(value, list):
        _check_depth(where, depth)
        return [_plain(part, where, depth + 1) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(f"{where}: {value} is not a finite number")
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        raise OptionError(f"{where}: a number of {value.bit_length()} bits is too large")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise OptionError(f"{where}: a text of {len(value)} characters is too long")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise OptionError(f"{where}: {value!r} is neither a number nor a text")


def _check_depth(where: str, depth: int) -> None:
    if depth > _DEEPEST:
        first = where.partition(": ")[0]
        raise OptionError(f"{first}: more than {_DEEPEST} levels of names and values")


def _checked_name(name: Any, where: str) -> str:
    if not isinstance(name, str):
        raise OptionError(f"{where}: a name must be a text, not {str(name)[:80]}")
    if len(name) > _LONGEST_TEXT:
        raise OptionError(f"{where}: a name of {len(name)} characters is too long")
    return name


def _in_one_line(error: Any) -> str:
    """Format an error of PyYAML as `line 3, column 7: problem`."""
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    mark = getattr(error, "problem_mark", None)
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


SETTING_FLAGS: Final[Mapping[str, str]] = {
    "batch_size": "max_batch_size",
    "train_steps": "train_steps",
    "eval_every_n_steps": "eval_every_n_steps",
    "save_checkpoints_steps": "save_every",
    "keep_checkpoint_max": "keep_checkpoint_max",
    "tf_random_seed": "seed",
}
"""Settings whose value is a whole number, and the flags that they become."""

IDLE_SETTINGS: Final[Mapping[str, str]] = {
    "buckets": "batches hold sources of one length anyway, unless -uneven_batches",
    "save_checkpoints_secs": "use save_checkpoints_steps",
    "keep_checkpoint_every_n_hours": "use -save_every_epochs",
    "gpu_memory_fraction": "memory is taken as needed",
    "gpu_allow_growth": "memory is taken as needed",
    "log_device_placement": "-gpuid says where everything is",
}
"""Settings that have no effect here, whatever their value, and what to do instead."""

HOOKS: Final[Mapping[str, str]] = {
    "PrintModelAnalysisHook": "the log lists the model's parts and counts its parameters",
    "MetadataCaptureHook": "use -profiler",
    "TrainSampleHook": "use -save_validation_translation_every",
    "SyncReplicasOptimizerHook": "several -gpuid always train synchronously",
    "DelayStartHook": "all replicas start together",
    "VariableRestoreHook": "use -train_from",
}
"""The original's hooks, and what to do instead."""

YAML_SETTINGS: Final = ("hooks", "metrics", "input_pipeline_train", "input_pipeline_dev")
"""Settings whose flags take YAML."""

CONFIG_KEYS: Final = (
    "model",
    "model_params",
    *SETTING_FLAGS,
    "input_pipeline_train",
    "input_pipeline_dev",
    "metrics",
    "schedule",
    "hooks",
    "output_dir",
    *IDLE_SETTINGS,
)


SETTINGS_AS_FLAGS: Final = tuple(
    name
    for name in CONFIG_KEYS
    if name not in ("model", "model_params", "train_steps", "eval_every_n_steps", "keep_checkpoint_max")
)
"""Flags that are only translated to others; a configuration file stores the flags that they became."""


TRANSLATED_FLAGS: Final = frozenset({"config_paths", *SETTINGS_AS_FLAGS})
"""Flags that `-save_config` leaves out: it writes those that they became."""


def read_config_files(paths: Sequence[str]) -> dict[str, Any]:
    """Read the settings of several files, deeply merged from left to right, without those that are null.

    Raises OptionError for a file that contains anything but the original's settings.
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


def with_settings_given(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of files, overridden by flags of the same names; mappings are merged.

    given: flags with their values, YAML as text. Raises OptionError for text that can't be parsed.
    """
    merged = dict(settings)
    for name in CONFIG_KEYS:
        value = given.get(name)
        if value is None or value == "" or name in ("model", "model_params"):
            continue
        if name in YAML_SETTINGS:
            value = read_yaml(value, f"-{name}")
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = deep_merged(merged[name], value) if both else value
    return merged


def read_model_params(text: str) -> dict[str, Any]:
    """Read the parameters of `-model_params`, which is YAML or the name of a YAML file. Raises OptionError if
    it can't be read or isn't a mapping.
    """
    if os.path.isdir(text):
        raise OptionError(f"-model_params {text} is a folder, not a file")
    if os.path.isfile(text):
        content, where = read_yaml_file(text, "model_params"), text
    else:
        content, where = read_yaml(text, "-model_params"), "-model_params"
    if isinstance(content, str):
        raise OptionError(
            f"-model_params: there is no file '{content[:80]}', and it is not YAML with names and values"
        )
    return {} if content is None else names_and_values(content, where)


def check_model_name(name: str) -> str:
    """Return the class that `-model` names, in its short form.

    In other scripts `-model` names a model file: raises OptionError if the value looks like one.
    """
    if os.path.isfile(name) or name.endswith((".pt", ".t7")):
        raise OptionError(
            f"-model {name}: train.py takes the name of a model class here; to start from a model's file use "
            f"-train_from {name}"
        )
    return class_name(name, MODELS, "-model")


def to_text(parameters: Mapping[str, Any]) -> str:
    """Return parameters as options hold them: JSON, sorted by name; an empty text if there are none."""
    return json.dumps(parameters, sort_keys=True, ensure_ascii=False) if parameters else ""


def from_text(text: str) -> dict[str, Any]:
    """Inverse of `to_text`."""
    parameters: dict[str, Any] = json.loads(text) if text else {}
    return parameters


@dataclass(frozen=True)
class RestartedParameters:
    """The parameters of a restart. text: all of them (see `to_text`). changed: the new values. ignored: names
    of parameters that the user asked to change, but that can't change.
    """

    text: str
    changed: Mapping[str, Any]
    ignored: tuple[str, ...]


def restarted_parameters(name: str, stored: str, asked: str, continues: bool) -> RestartedParameters:
    """Combine the `stored` parameters of a model of class `name` with those `asked` for on a restart.

    Only `optimizer.*` can change (but not `optimizer.clip_embed_gradients`), and only if the training is not
    one that `continues`. A new optimiser does not inherit the old one's arguments. Both texts come from
    `to_text`. Raises OptionError for parameters that `name` lacks.
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
    """Return whether two values of a parameter are equal, ignoring the packages of classes."""
    if name.endswith((".class", "optimizer.name")):
        return bool(one.split(".")[-1] == other.split(".")[-1])
    return bool(one == other)


def _of_training(name: str) -> bool:
    return name.startswith("optimizer.") and name != "optimizer.clip_embed_gradients"
