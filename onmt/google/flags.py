"""Translate google/seq2seq's settings to flags of train.py, before the flags are checked. Torch-free."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from onmt.commandline.argv import list_elements
from onmt.commandline.script import Implied
from onmt.errors import OptionError
from onmt.files import replacing, saved_models
from onmt.google.model import GoogleModel, check_parts, read_model
from onmt.google.optimisation import optimizer_settings, schedule_of
from onmt.google.options import STEPS_BETWEEN_EVALUATIONS
from onmt.google.parameters import check_names, class_name, deep_merged, names_and_values, typed
from onmt.google.settings import (
    HOOKS,
    IDLE_SETTINGS,
    SETTING_FLAGS,
    TRANSLATED_FLAGS,
    check_model_name,
    read_config_files,
    read_model_params,
    to_text,
    with_settings_given,
)

_METRICS: Final[Mapping[str, str]] = {
    "LogPerplexityMetricSpec": "perplexity",
    "BleuMetricSpec": "bleu",
    "RougeMetricSpec": "",  # depends on its rouge_type
}
_ROUGE_TYPES: Final = tuple(
    f"{kind}/{part}"
    for kind in ("rouge_1", "rouge_2", "rouge_l")
    for part in ("f_score", "r_score", "p_score")
)
_POSTPROCESSING: Final = ("strip_bpe", "decode_sentencepiece")
_METRIC_PARAMETERS: Final[Mapping[str, Any]] = {
    "separator": " ",
    "eos_token": "SEQUENCE_END",
    "sos_token": "SEQUENCE_START",
    "postproc_fn": "",
    "rouge_type": "",
}
_PIPELINES: Final[Mapping[str, str]] = {
    "ParallelTextInputPipeline": "",
    "TFRecordInputPipeline": "give the texts as -train_src and -train_tgt, or prepare them and give -data",
    "ImageCaptioningInputPipeline": "prepare the images with preprocess.py -data_type img and give -data",
}
"""Pipelines of the original; for those that can't be read here, what to do instead."""

_PARALLEL_TEXTS: Final[Mapping[str, Any]] = {
    "shuffle": True,
    "num_epochs": None,
    "source_files": [],
    "target_files": [],
    "source_delimiter": " ",
    "target_delimiter": " ",
}
"""Parameters of ParallelTextInputPipeline and their defaults."""

_SPLITS: Final[Mapping[str, str]] = {"input_pipeline_train": "train", "input_pipeline_dev": "valid"}
"""Settings of pipelines, and the first word of their files' flags."""

_DELIMITERS: Final = ("source_delimiter", "target_delimiter")

MODEL_IN_FOLDER: Final = "model"
"""Stem of the models in `-output_dir`."""

ANY_LENGTH: Final = 2**31 - 1
"""The value of `-src_seq_length` and `-tgt_seq_length` for models that truncate texts."""

LENGTH_FLAGS: Final = ("src_seq_length", "tgt_seq_length")
_TEXT_FLAGS: Final = ("data", "train_src", "train_tgt", "train_dir")


def refuse_flags_of_lua_models(given: Collection[str], flags_of_lua_models: Sequence[str]) -> None:
    """Raise OptionError if the user gave flags that `-model` and its parameters decide."""
    refused = [f"-{flag}" for flag in flags_of_lua_models if flag in given]
    if refused:
        raise OptionError(
            f"{', '.join(refused)}: the class of -model and its -model_params (optimizer.* included) "
            "determine this; flags of OpenNMT Lua do not apply"
        )


def flags_from_settings(given: Mapping[str, Any], flags_of_lua_models: Sequence[str]) -> Implied:
    """Return the flags that follow from `-model`, `-model_params` and `-config_paths`; given flags win.

    given: values by flag. flags_of_lua_models: the flags that describe a Lua model, its loss or its schedule.
    Raises OptionError for invalid settings.
    """
    config = with_settings_given(read_config_files(given.get("config_paths", ())), given)
    name, params = _named_model(config, given)
    if given.get("train_steps") and "end_epoch" in given:
        raise OptionError("-train_steps and -end_epoch both say when to stop: give one of them")
    values, ignored = _flags_of_config(config, given)
    folder = _text(config, "output_dir")
    notices: tuple[str, ...] = ()
    if folder:
        of_folder, notices = _flags_of_folder(folder, {**values, **given})
        values |= of_folder
    model_flags: dict[str, Any] = {}
    if name:
        refuse_flags_of_lua_models(given, flags_of_lua_models)
        model = checked_model(check_model_name(name), params)
        model_flags = {"model": model.name, "model_params": to_text(params)}
        values |= _flags_of_model(model, {**values, **given})
        ignored += _parameters_without_effect(model)
    elif params:
        model_flags = {"model_params": to_text(params)}
    steps = given.get("train_steps") or values.get("train_steps")
    if steps and not {**values, **given}.get("continue"):
        values.setdefault("eval_every_n_steps", STEPS_BETWEEN_EVALUATIONS)
    not_given = {flag: value for flag, value in values.items() if flag not in given}
    if folder:
        make_folder(folder, "-output_dir")
    not_given |= _texts_beside_models(
        not_given, str(not_given.get("save_model") or given.get("save_model", ""))
    )
    warnings = [f"these settings have no effect here: {', '.join(ignored)}"] if ignored else []
    idle = {*(flags_of_lua_models if name else ()), *(["end_epoch"] if steps else ())}
    return Implied(not_given | model_flags, tuple(warnings), TRANSLATED_FLAGS | idle, notices)


def _flags_of_folder(folder: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the flags that follow from `output_dir`, and lines for the log."""
    for flag in ("save_model", "train_from"):
        if given.get(flag):
            raise OptionError(f"-output_dir says where models are saved and found: leave -{flag} out")
    stem = os.path.join(folder, MODEL_IN_FOLDER)
    flags: dict[str, Any] = {"save_model": stem}
    notices = []
    if saved_models(stem):
        flags |= {"train_from": stem, "continue": True}
        notices.append(f"'{folder}' holds a training of this model, which goes on")
    if not given.get("train_steps") and "end_epoch" not in given:
        flags |= {"end_epoch": 0, "eval_every_n_steps": STEPS_BETWEEN_EVALUATIONS}
        notices.append("Without -train_steps the training goes on until it is stopped")
    return flags, tuple(notices)


def checked_model(name: str, params: Mapping[str, Any]) -> GoogleModel:
    """Return the model, with its parts, optimiser and schedule checked. Raises OptionError."""
    model = read_model(name, params)
    check_parts(model)
    optimizer_settings(model.parameters)
    schedule_of(model.parameters)
    return model


def _named_model(config: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the model's class as the user wrote it, empty if there is none, and its parameters."""
    name = given.get("model", "") or _text(config, "model")
    params = names_and_values(config.get("model_params", {}), "model_params")
    if given.get("model_params"):
        params = deep_merged(params, read_model_params(given["model_params"]))
    if params and not name and not given.get("train_from"):
        raise OptionError("-model_params needs a google/seq2seq model: name its class with -model")
    if name and given.get("model_type", "seq2seq") != "seq2seq":
        raise OptionError(f"-model {name} translates: it needs -model_type seq2seq")
    return name, params


def _parameters_without_effect(model: GoogleModel) -> list[str]:
    names = ("optimizer.sync_replicas", "optimizer.sync_replicas_to_aggregate")
    return [name for name in names if model.parameters[name]]


def _flags_of_config(config: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return flags by name, and the settings that have no effect here."""
    flags: dict[str, Any] = {
        flag: typed(1, config[name], name) for name, flag in SETTING_FLAGS.items() if name in config
    }
    ignored = [f"{name} ({instead})" for name, instead in IDLE_SETTINGS.items() if config.get(name)]
    ignored += _hooks(config.get("hooks") or [])
    if "end_epoch" in given and flags.pop("train_steps", 0):
        ignored.append("train_steps")
    if config.get("schedule", "continuous_train_and_eval") != "continuous_train_and_eval":
        ignored.append("schedule")
    of_metrics, other_metrics = _metrics(config.get("metrics") or [])
    flags |= of_metrics
    files, other_settings = _texts(config, given)
    return flags | files, ignored + other_settings + other_metrics


def _hooks(hooks: Any) -> list[str]:
    """Return for each hook a text that names it and its replacement."""
    if not isinstance(hooks, list):
        raise OptionError(f"hooks must be a list, not {hooks!r}")
    names = [class_name(class_of(entry, "hooks"), HOOKS, "hooks: class") for entry in hooks]
    return [f"hooks: {name} ({HOOKS[name]})" for name in names]


def _texts(config: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the input pipelines' files by flag, unless the user names data, and the settings without effect
    here.
    """
    flags: dict[str, Any] = {}
    ignored: list[str] = []
    for setting, split in _SPLITS.items():
        if config.get(setting) is None:
            continue
        _check_delimiters(config[setting], setting, given)
        name = class_name(class_of(config[setting], setting), _PIPELINES, f"{setting}: class")
        if any(given.get(flag) for flag in _TEXT_FLAGS):
            ignored.append(setting)
        elif name == "ParallelTextInputPipeline":
            files, odd = parallel_texts(config[setting], setting)
            if len({len(of_side) for of_side in files.values()}) > 1:
                raise OptionError(
                    f"{setting}: source_files and target_files must name the same number of files"
                )
            flags |= {f"{split}_{side}": of_side for side, of_side in files.items()}
            ignored += odd
        elif split == "train":
            raise OptionError(f"{setting}: {name} is not supported: {_PIPELINES[name]}")
        else:
            ignored.append(setting)
    return flags, ignored


def _check_delimiters(pipeline: Any, where: str, given: Mapping[str, Any]) -> None:
    """Raise OptionError if tokens aren't separated by blanks, unless the data is prepared already."""
    params = pipeline.get("params") if isinstance(pipeline, Mapping) else None
    if given.get("data") or not isinstance(params, Mapping):
        return
    for name in _DELIMITERS:
        if params.get(name, " ") not in (" ", None):
            raise OptionError(
                f"{where}: {name} {params[name]!r}: texts are cut at blanks here. Leave it out; for "
                "characters give -hook_file examples/hooks/characters.py, otherwise put blanks between tokens"
            )


def _metrics(metrics: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the flags of the metrics, and the parameters without effect here. The first metric other than
    ROUGE becomes `-validation_metric`; the others are logged.
    """
    if not isinstance(metrics, list):
        raise OptionError(f"metrics must be a list, not {metrics!r}")
    names: list[str] = []
    ignored: list[str] = []
    postprocess = ""
    for entry in metrics:
        kind = class_name(class_of(entry, "metrics"), _METRICS, "metrics: class")
        params = names_and_values(entry.get("params") or {}, f"metrics: {kind}: params")
        check_names(params, _METRIC_PARAMETERS, f"metrics: {kind}")
        names.append(_METRICS[kind] or _rouge(params))
        named = str(params.get("postproc_fn") or "").split(".")[-1]
        postprocess = named if named in _POSTPROCESSING else postprocess
        ignored += [
            f"metrics: {kind}: {name}"
            for name, value in params.items()
            if name != "rouge_type"
            and value not in (None, _METRIC_PARAMETERS[name])
            and not (name == "postproc_fn" and named in _POSTPROCESSING)
        ]
    deciding = next((name for name in names if not name.startswith("rouge")), None)
    flags: dict[str, Any] = {} if deciding is None else {"validation_metric": deciding}
    others = tuple(dict.fromkeys(name for name in names if name != deciding))
    flags |= {"log_metrics": others} if others else {}
    return flags | ({"metrics_postprocess": postprocess} if postprocess else {}), ignored


def _rouge(params: Mapping[str, Any]) -> str:
    """Return the name in `-log_metrics` of a RougeMetricSpec."""
    kind = params.get("rouge_type") or ""
    if kind not in _ROUGE_TYPES:
        raise OptionError(
            f"metrics: RougeMetricSpec: rouge_type must be one of {', '.join(_ROUGE_TYPES)}, not {kind!r}"
        )
    name, _, part = str(kind).partition("/")
    if part != "f_score":
        raise OptionError(f"metrics: RougeMetricSpec: {kind} is not supported, use {name}/f_score")
    return name


def _texts_beside_models(flags: Mapping[str, Any], stem: str) -> dict[str, str]:
    """Return one file for each flag of `_texts`. Several files are joined in a new one beside the models,
    whose names begin with `stem`.
    """
    of_flag = {}
    for setting, split in _SPLITS.items():
        for flag in (f"{split}_src", f"{split}_tgt"):
            files = flags.get(flag, ())
            if len(files) == 1:
                of_flag[flag] = files[0]
            elif files:
                if not stem:
                    raise OptionError(
                        f"{setting}: several files are joined into one beside the models: give -output_dir "
                        "or -save_model"
                    )
                of_flag[flag] = f"{stem}_{flag.replace('_', '.')}.txt"
                _join(files, of_flag[flag], setting)
    return of_flag


def _join(files: Sequence[str], joined: str, where: str) -> None:
    """Concatenate the files to a new one, ending the last line of each with a line feed."""
    try:
        with replacing(joined) as target:
            for file in files:
                with open(file, "rb") as source:
                    last = b"\n"
                    while block := source.read(1 << 20):
                        target.write(block)
                        last = block[-1:]
                    if last != b"\n":
                        target.write(b"\n")
    except OSError as error:
        raise OptionError(f"{where}: cannot join {', '.join(files)}: {error.strerror or error}") from error


def make_folder(folder: str, where: str) -> None:
    """Make a folder and its parents, unless it exists. Raises OptionError that begins with `where`."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{where} {folder}: {error.strerror}") from error


def parallel_texts(
    setting: Mapping[str, Any], where: str, sides: Sequence[str] = ("src", "tgt")
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the files of each side of a ParallelTextInputPipeline, and its settings without effect here.

    Raises OptionError for unknown parameters, and for a side without files.
    """
    given = setting.get("params")
    params = {} if given is None else names_and_values(given, f"{where}: params")
    check_names(params, _PARALLEL_TEXTS, where)
    files = {}
    for side, name in (("src", "source_files"), ("tgt", "target_files")):
        if side not in sides:
            continue
        named = params.get(name, [])
        is_list = isinstance(named, list) and all(isinstance(file, str) for file in named)
        elements = list_elements(named) if is_list else ()
        if not elements:
            raise OptionError(f"{where}: {name} must be a list of files, not {named!r}")
        files[side] = elements
    odd = [f"{where}: {name}" for name in setting if name not in ("class", "params")]
    odd += [
        f"{where}: {name}"
        for name, value in params.items()
        if not name.endswith("_files") and value is not None and value != _PARALLEL_TEXTS[name]
    ]
    return files, odd


def _flags_of_model(model: GoogleModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags of the model's vocabularies, of lengths (long texts are cut, not dropped) and of the
    search in validation. On a restart, lengths and search follow from the stored model instead
    (`Restart.use_google_model`).
    """
    parameters = model.parameters
    has_texts = bool(given.get("train_src") or given.get("train_dir"))
    words = {"src_vocab": parameters.get("vocab_source"), "tgt_vocab": parameters["vocab_target"]}
    flags: dict[str, Any] = {flag: file for flag, file in words.items() if file and has_texts}
    if given.get("train_from"):
        return flags
    if has_texts:
        flags |= dict.fromkeys(LENGTH_FLAGS, ANY_LENGTH)
    return flags | {
        "beam_size": max(1, parameters["inference.beam_search.beam_width"]),
        "length_norm": parameters["inference.beam_search.length_penalty_weight"],
        "max_sent_length": model.max_decode_length,
    }


def class_of(entry: Any, where: str) -> str:
    """Return the class that a YAML entry names, without its package. Raises OptionError if it names none."""
    name = entry.get("class") if isinstance(entry, Mapping) else None
    if not isinstance(name, str):
        raise OptionError(
            f"{where}: each entry must name its `class`, but this one does not: {repr(entry)[:80]}"
        )
    return name.split(".")[-1]


def _text(config: Mapping[str, Any], name: str) -> str:
    value = config.get(name, "")
    if not isinstance(value, str):
        raise OptionError(f"{name} must be a text, not {value!r}")
    return value
