"""Hooks: a Python module of the user's that takes over steps of the text processing."""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from types import ModuleType
from typing import TypeVar, cast

from onmt.commandline.declare import option
from onmt.commandline.schema import declared_options
from onmt.errors import OptionError

Options = TypeVar("Options")


@dataclass(frozen=True, kw_only=True)
class HookOptions:
    """Hook"""

    hook_file: str = option(
        "", "Python module whose functions replace steps of the text processing: a file, or a module's name."
    )


def load_hook_module(hook_file: str) -> ModuleType | None:
    """Import the module that `-hook_file` names, by path (`hooks/chinese.py`) or by name (`hooks.chinese`).

    A name is looked up in the current folder first; an empty name is no module. Raises OptionError, naming
    the line at fault, when there is no such module or when importing it fails.
    """
    if not hook_file:
        return None
    try:
        if hook_file.endswith(".py") or os.sep in hook_file:
            return _import_file(hook_file)
        return _import_name(hook_file)
    except OptionError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's module may do
        raise OptionError(f"-hook_file {hook_file}: {_place(error)}{_summary(error)}") from error


def hooked_options(options: type[Options], words: Mapping[str, str]) -> type[Options]:
    """The options of a script, given the words of its command line: what `-hook_file` declares is added.

    The module's `declareOpts(options)` gets the dataclass of the usual options and returns a subclass of it,
    whose fields are more options (see `onmt.commandline.declare`), or the usual ones with another default;
    None changes nothing. Raises OptionError when the module fails or returns something else.
    """
    hook_file = words.get("hook_file", "")
    module = load_hook_module(hook_file)
    declare: Callable[[type], object] | None = None if module is None else vars(module).get("declareOpts")
    if declare is None:
        return options
    try:
        declared = declare(options)
    except Exception as error:  # whatever the user's module may do
        raise OptionError(f"-hook_file {hook_file}: {_place(error)}{_summary(error)}") from error
    if declared is None:
        return options
    if not (isinstance(declared, type) and issubclass(declared, options) and is_dataclass(declared)):
        raise OptionError(
            f"-hook_file {hook_file}: `declareOpts` must return a dataclass derived from its argument"
        )
    try:
        declared_options(declared)
    except TypeError as error:
        raise OptionError(f"-hook_file {hook_file}: {error}") from error
    return cast(type[Options], declared)


def _import_file(path: str) -> ModuleType:
    if not os.path.isfile(path):
        raise OptionError(f"-hook_file {path}: there is no such file")
    name = os.path.basename(path).removesuffix(".py")
    spec = importlib.util.spec_from_file_location(f"onmt_hook_{name}", path)
    if spec is None or spec.loader is None:
        raise OptionError(f"-hook_file {path}: not a Python file (its name should end in .py)")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _import_name(name: str) -> ModuleType:
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise OptionError(f"-hook_file {name}: there is no module of that name") from error
        raise
    finally:
        sys.path.remove(here)


def _place(error: BaseException) -> str:
    """`file:line: ` of the last step inside the user's code."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


def _summary(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
