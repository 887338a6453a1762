"""The file of models of tools/rest_multi_models.py. No torch here."""

from pathlib import Path
from typing import Any

import yaml

from onmt.errors import DataError, OptionError
from onmt.serving.options import ModelEntryOptions
from onmt.serving.values import options_from


def read_model_config(path: str) -> list[tuple[ModelEntryOptions, frozenset[str]]]:
    """The models of a YAML file, a list of mappings, with the keys that each entry gives.

    Raises DataError, or OptionError for keys and values, naming file and line.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        content = yaml.safe_load(text)
        lines = _entry_lines(text)
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}; name a file with -model_config") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not valid UTF-8 at byte offset {error.start}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}{_place(error)}: not valid YAML") from error
    if not isinstance(content, list) or not content:
        raise DataError(f"{path}: expected a list of models, each a mapping that begins with '-'")
    return [
        _entry(entry, f"{path}, line {line}, model {number}: ")
        for number, (entry, line) in enumerate(zip(content, lines, strict=True), start=1)
    ]


def _entry(entry: Any, where: str) -> tuple[ModelEntryOptions, frozenset[str]]:
    if not isinstance(entry, dict):
        raise DataError(f"{where}expected a mapping from names of options to values")
    for key in entry:
        if not isinstance(key, str):
            raise OptionError(f"{where}unknown option '{key}'")
    return options_from(ModelEntryOptions, entry, where), frozenset(entry)


def _entry_lines(text: str) -> list[int]:
    """The lines on which the entries of the list begin, from 1."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return [entry.start_mark.line + 1 for entry in node.value] if isinstance(node, yaml.SequenceNode) else []


def _place(error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return "" if mark is None else f", line {mark.line + 1}"
