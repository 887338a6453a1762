"""Translate the flags of google/seq2seq's bin.infer to those of translate.py. Torch-free."""

import os
from collections.abc import Mapping
from typing import Any, Final

from onmt.commandline.schema import flags_of
from onmt.commandline.script import Implied
from onmt.commandline.values import did_you_mean
from onmt.errors import OptionError
from onmt.files import saved_models
from onmt.google.flags import class_of, make_folder, parallel_texts
from onmt.google.options import GoogleInferenceOptions
from onmt.google.parameters import class_name, merged, typed
from onmt.google.settings import read_model_params, read_yaml

_TASKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "DecodeText": {"delimiter": " ", "postproc_fn": "", "unk_replace": False, "unk_mapping": ""},
    "DumpAttention": {"output_dir": "", "dump_plots": True},
    "DumpBeams": {"file": ""},
}
"""The original's tasks with their parameters and defaults."""

_SEARCH: Final[Mapping[str, tuple[str, Any]]] = {
    "inference.beam_search.beam_width": ("beam_size", 0),
    "inference.beam_search.length_penalty_weight": ("length_norm", 0.0),
    "inference.beam_search.choose_successors_fn": ("", "choose_top_k"),
    "decoder.params": ("", {}),
}
"""The model parameters that affect the search, with the flag that each becomes and its default."""


def inference_flags(given: Mapping[str, Any]) -> Implied:
    """Return the flags that follow from `-tasks`, `-model_dir`, `-checkpoint_path`, `-input_pipeline` and
    `-model_params`; given flags take precedence.

    Raises OptionError for invalid settings.
    """
    values: dict[str, Any] = {}
    if given.get("model_dir") or given.get("checkpoint_path"):
        values["model"] = (_model(given),)
    if given.get("input_pipeline"):
        values |= _sources(read_yaml(given["input_pipeline"], "-input_pipeline"))
    if given.get("model_params"):
        values |= _search(read_model_params(given["model_params"]))
    if given.get("tasks"):
        values |= _tasks(read_yaml(given["tasks"], "-tasks"))
    for flag in ("model", "src"):
        if flag in values and flag in given:
            other = "-model_dir and -checkpoint_path" if flag == "model" else "-input_pipeline"
            raise OptionError(f"-{flag} beside {other}: give one of them")
    not_given = {flag: value for flag, value in values.items() if flag not in given}
    return Implied(not_given, idle=flags_of(GoogleInferenceOptions))


def _model(given: Mapping[str, Any]) -> str:
    folder, path = given.get("model_dir", ""), given.get("checkpoint_path", "")
    if path:
        return str(path)
    models = saved_models(folder) if os.path.isdir(folder) else []
    if not models:
        raise OptionError(f"-model_dir {folder}: there is no model in this folder")
    return str(models[0])


def _sources(pipeline: Any) -> dict[str, Any]:
    name = class_of(pipeline, "-input_pipeline")
    if name != "ParallelTextInputPipeline":
        raise OptionError(f"-input_pipeline: {name} is not supported: give the sources as -src")
    files, odd = parallel_texts(pipeline, "-input_pipeline", sides=("src",))
    shuffled = [name for name in odd if not name.endswith(": shuffle")]
    if shuffled:
        raise OptionError(f"{shuffled[0]} is not supported: leave it out")
    if len(files["src"]) > 1:
        raise OptionError("-input_pipeline: translate one source file at a time")
    return {"src": files["src"][0]}


def _search(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags of the search; a beam width of 0 or 1 is greedy search."""
    flags: dict[str, Any] = {}
    for name, value in params.items():
        if name not in _SEARCH:
            raise OptionError(
                f"-model_params: {name} cannot be changed for a translation"
                f"{did_you_mean(name, _SEARCH, '')}; there are {', '.join(_SEARCH)}"
            )
        flag, default = _SEARCH[name]
        if value is None:
            continue
        checked = typed(default, value, f"-model_params: {name}")
        if name == "decoder.params":
            flags |= _decoder(checked)
        elif flag:
            flags[flag] = max(1, checked) if flag == "beam_size" else checked
        elif checked != default:
            raise OptionError(f"-model_params: {name} must be {default}")
    return flags


def _decoder(params: Mapping[str, Any]) -> dict[str, Any]:
    for name in params:
        if name != "max_decode_length":
            raise OptionError(f"-model_params: decoder.params: {name} cannot be changed for a translation")
    return {"max_sent_length": typed(1, params["max_decode_length"], "max_decode_length")} if params else {}


def _tasks(tasks: Any) -> dict[str, Any]:
    if not isinstance(tasks, list):
        raise OptionError(f"-tasks must be a list, not {repr(tasks)[:80]}")
    flags: dict[str, Any] = {}
    for task in tasks:
        name = class_name(class_of(task, "-tasks"), _TASKS, "-tasks: class")
        flags |= _flags_of_task(name, merged(_TASKS[name], task.get("params") or {}, f"-tasks: {name}"))
    if "output" not in flags and flags:
        flags["output"] = os.devnull  # as in the original, only DecodeText prints texts
    return flags


def _flags_of_task(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    if name == "DumpBeams":
        if not params["file"]:
            raise OptionError("-tasks: DumpBeams needs a `file`")
        file = params["file"]
        return {"save_beam_to": file if file.endswith(".npz") else f"{file}.npz"}
    if name == "DumpAttention":
        folder = params["output_dir"]
        if not folder:
            raise OptionError("-tasks: DumpAttention needs an `output_dir`")
        make_folder(folder, "-tasks: DumpAttention: output_dir")
        flags = {"save_attention": os.path.join(folder, "attention_scores.npz")}
        return flags | ({"plot_attention": folder} if params["dump_plots"] else {})
    if params["delimiter"] != " ":
        raise OptionError("-tasks: DecodeText: words are joined by blanks here: leave delimiter out")
    if params["postproc_fn"]:
        raise OptionError(
            f"-tasks: DecodeText: postproc_fn {params['postproc_fn']} is not called here: for texts cut by "
            "subword-nmt use `sed 's/@@ //g'`, for those of this toolkit -detokenize_output"
        )
    flags = {"output": "-", "replace_unk": params["unk_replace"]}
    return flags | ({"phrase_table": params["unk_mapping"]} if params["unk_mapping"] else {})
