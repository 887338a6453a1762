"""Checks of single values. A validator returns what must hold when the value breaks it, otherwise None.

On a list option (`tuple[int, ...]`) every element is checked, only `not_empty` looks at the whole.
The wording completes "invalid argument for option -x: ...".
"""

import os
from collections.abc import Callable
from typing import Any

from onmt.saved_models import saved_models

Validator = Callable[[Any], str | None]


def at_least(minimum: float) -> Validator:
    """The number, or each number of a list, is `minimum` or more."""

    def check(value: Any) -> str | None:
        if all(number >= minimum for number in _elements(value)):
            return None
        return f"the {_kind(value)} must be at least {minimum}"

    return check


def between(minimum: float, maximum: float) -> Validator:
    """The number, or each number of a list, lies between the two bounds, both included."""

    def check(value: Any) -> str | None:
        if all(minimum <= number <= maximum for number in _elements(value)):
            return None
        return f"the {_kind(value)} must be between {minimum} and {maximum}"

    return check


def not_empty(value: Any) -> str | None:
    """The text or the list has something in it."""
    return None if len(value) > 0 else "the argument must not be empty"


def existing_file(value: Any) -> str | None:
    """A file that can be read is there (`-`, standard input, counts as one)."""
    for path in _elements(value):
        if not path:
            return "the file must exist, but its name is empty"
        if path != "-" and not os.path.exists(path):
            return f"the file must exist, but there is no '{path}'"
        if os.path.isdir(path):
            return f"it must be a file, but '{path}' is a folder"
    return None


def existing_file_or_empty(value: Any) -> str | None:
    """As `existing_file`; an empty name means "none"."""
    return None if not value else existing_file(value)


def existing_folder_or_empty(value: Any) -> str | None:
    """A folder of that name is there; an empty name means "none"."""
    if not value or os.path.isdir(value):
        return None
    return f"the folder must exist, but there is no folder '{value}'"


def existing_model(value: Any) -> str | None:
    """A model file is there; a name ending in `.t7` may also stand for the `.pt` file of the same stem."""
    for path in _elements(value):
        if path.endswith(".t7") and os.path.isfile(path.removesuffix(".t7") + ".pt"):
            continue
        problem = existing_file(path)
        if problem is not None:
            return problem
    return None


def existing_model_or_empty(value: Any) -> str | None:
    """As `existing_model`; an empty name means "none"."""
    return None if not value else existing_model(value)


def existing_checkpoint_or_empty(value: Any) -> str | None:
    """As `existing_model_or_empty`; a folder of saved models, or a training's `-save_model`, does too."""
    if os.path.isdir(value) and not saved_models(value):
        return f"no training has saved a model in the folder '{value}'"
    return None if saved_models(value) else existing_model_or_empty(value)


def _elements(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _kind(value: Any) -> str:
    return "integer" if all(isinstance(number, int) for number in _elements(value)) else "number"
