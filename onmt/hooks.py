"""Hooks: a Python module written by the user that replaces steps of the text processing."""

import dataclasses
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from types import ModuleType
from typing import Any, Final, TypeGuard, TypeVar, cast

from onmt.commandline.declare import GROUP_KEY, GroupInfo, group, option
from onmt.commandline.schema import declared_options, heading_of
from onmt.errors import DataError, OptionError
from onmt.logger import Logger

Options = TypeVar("Options")
Declare = Callable[[type], object]

HOOKS: Final = (
    "declareOpts",
    "declareTokenizerOpts",
    "mpreprocess",
    "bpreprocess",
    "tokenize",
    "post_tokenize",
    "detokenize",
)
"""The functions that a hook module may define."""

_TOKENIZERS: Final = ("Tokenizer", "Detokenizer")
"""Headings of the options for tokenization and detokenization."""


@dataclass(frozen=True, kw_only=True)
class HookOptions:
    """Hook"""

    hook_file: str = option(
        "",
        "Python module with functions that replace steps of text processing: a file, with or without .py, "
        "or the name of a module.",
        reads=("{}", "{}.py"),
    )


def load_hook_module(hook_file: str, logger: Logger | None = None) -> ModuleType | None:
    """Import the module of `-hook_file`, given as a path (`hooks/chinese`, with or without `.py`) or as a
    module name (`hooks.chinese`).

    A module name is looked up in the current folder first; for an empty name, return None. Logs the functions
    found. Raises OptionError when the module does not exist or its import fails; the message names the line
    that failed.
    """
    if not hook_file:
        return None
    try:
        is_path = hook_file.endswith(".py") or os.sep in hook_file
        module = _import_file(hook_file) if is_path else _import_name(hook_file)
    except OptionError:
        raise
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise OptionError(f"-hook_file {hook_file}: {_place(error)}{_summary(error)}") from error
    if logger is not None:
        for name in HOOKS:
            if callable(vars(module).get(name)):
                logger.info(f"Register hook '{name}' from {hook_file}")
    return module


def hooked_options(options: type[Options], words: Mapping[str, str]) -> type[Options]:
    """Return the option class of a script, changed as the module of `-hook_file` declares.

    words: the text given for each flag. The module's `declareOpts(options)` receives the dataclass of the
    usual options and returns a subclass of it. The fields of the subclass are additional options (see
    `onmt.commandline.declare`), usual options with another default, or `removed` ones; None changes nothing.
    `declareTokenizerOpts(options)` does the same for the tokenizer options, wherever the script has them
    (`-mode`, `-tok_src_mode`). Raises OptionError when the module fails or returns something else.
    """
    hook_file = words.get("hook_file", "")
    module = load_hook_module(hook_file)
    if module is None:
        return options
    declare: Declare | None = vars(module).get("declareTokenizerOpts")
    if declare is not None:
        options = _with_tokenizer_options(options, declare, hook_file)
    declare = vars(module).get("declareOpts")
    return options if declare is None else _declared(options, declare, "declareOpts", hook_file)


def _with_tokenizer_options(options: type[Options], declare: Declare, hook_file: str) -> type[Options]:
    """Return the options with the hook applied to their tokenizer groups, or else to their own tokenizer
    options if they have any.
    """
    name = "declareTokenizerOpts"
    groups = []
    for field in dataclasses.fields(cast(Any, options)):
        info: GroupInfo | None = field.metadata.get(GROUP_KEY)
        if info is not None and heading_of(info.options) in _TOKENIZERS:
            hooked: type = _declared(info.options, declare, name, hook_file)
            assert callable(field.default_factory)
            defaults = _defaults_of_group(info.options(), hooked(), field.default_factory())
            groups.append((field.name, hooked, group(hooked, info.prefix, defaults)))
    if groups:
        made = dataclasses.make_dataclass(
            options.__name__, groups, bases=(options,), frozen=True, kw_only=True
        )
        return cast(type[Options], made)
    has_own = any(is_dataclass(owner) and heading_of(owner) in _TOKENIZERS for owner in options.__mro__)
    return _declared(options, declare, name, hook_file) if has_own else options


def _defaults_of_group(usual: Any, hooked: Any, here: Any) -> dict[str, object]:
    """Return the script's own defaults (`here`) for those fields whose usual default the hook keeps."""
    names = [field.name for field in dataclasses.fields(usual)]
    return {
        name: getattr(here, name) for name in names if getattr(hooked, name) == getattr(usual, name, None)
    }


def _declared(options: type[Options], declare: Declare, name: str, hook_file: str) -> type[Options]:
    """Return the option class that the hook `name` returns for `options`, checked."""
    try:
        declared = declare(options)
    except Exception as error:  # the user's module may raise anything
        raise OptionError(f"-hook_file {hook_file}: {_place(error)}{_summary(error)}") from error
    if declared is None:
        return options
    if not (isinstance(declared, type) and issubclass(declared, options) and is_dataclass(declared)):
        raise OptionError(
            f"-hook_file {hook_file}: `{name}` must return a dataclass derived from its argument"
        )
    try:
        declared_options(declared)
    except TypeError as error:
        raise OptionError(f"-hook_file {hook_file}: {error}") from error
    return cast(type[Options], declared)


def _import_file(path: str) -> ModuleType:
    if not os.path.isfile(path):
        if not os.path.isfile(f"{path}.py"):
            raise OptionError(f"-hook_file {path}: there is no such file")
        path = f"{path}.py"
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
    """Return `file:line: ` of the innermost frame inside the user's code."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


def _summary(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@dataclass(frozen=True)
class TokenizerHooks:
    """Functions that replace or follow a step of the tokenizer; if one returns None, the usual step is done.

    preprocess: lines -> the same number of lines, before all other steps (`mpreprocess` in the user's
        module).
    tokenize: line -> tokens, instead of all steps of the tokenizer, including BPE and case.
    post_tokenize: tokens -> tokens, after all other steps.
    detokenize: words and, per feature, the values of all words -> line.
    bind: options of one side's tokenizer -> the same hooks, called with these options, see `of_side`.
    """

    preprocess: Callable[[list[str]], list[str] | None] | None = None
    tokenize: Callable[[str], list[str] | None] | None = None
    post_tokenize: Callable[[list[str]], list[str] | None] | None = None
    detokenize: Callable[[list[str], list[list[str]]], str | None] | None = None
    bind: "Callable[[object], TokenizerHooks] | None" = None

    def of_side(self, options: object) -> "TokenizerHooks":
        """Return the hooks for the side whose tokenizer has these options. They receive the side's options
        without prefix (`options.mode`), and the options of the script under all other names.
        """
        return self if self.bind is None else self.bind(options)

    def preprocessed(self, lines: list[str]) -> list[str]:
        """Return the lines after the `preprocess` hook, if there is one."""
        result = None if self.preprocess is None else self.preprocess(lines)
        return lines if result is None else result


NO_HOOKS: Final = TokenizerHooks()


def tokenizer_hooks(module: ModuleType | None, options: object) -> TokenizerHooks:
    """Return the hooks that the user's module defines; each function gets `options` as its first argument.

    The functions are mpreprocess(options, lines), tokenize(options, line), post_tokenize(options, tokens) and
    detokenize(options, words, features). `TokenizerHooks` describes their results. An exception in a
    function, or a result of another type, becomes a DataError. Raises OptionError when one of these names is
    not a function.
    """
    if module is None:
        return NO_HOOKS

    def of_side(side: object) -> TokenizerHooks:
        return _hooks_of(module, options if side is options else _SideOptions(side, options))

    return replace(_hooks_of(module, options), bind=of_side)


class _SideOptions:
    """The options of one side's tokenizer, with the script's options under all other names."""

    def __init__(self, side: object, script: object) -> None:
        self._parts = (side, script)

    def __getattr__(self, name: str) -> object:
        for part in vars(self).get("_parts", ()):
            if hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(f"there is no option '{name}'")


def _hooks_of(module: ModuleType, options: object) -> TokenizerHooks:
    preprocess = _Hook.find(module, "mpreprocess", options)
    tokenize = _Hook.find(module, "tokenize", options)
    post_tokenize = _Hook.find(module, "post_tokenize", options)
    detokenize = _Hook.find(module, "detokenize", options)
    return TokenizerHooks(
        preprocess=None if preprocess is None else preprocess.lines,
        tokenize=None if tokenize is None else tokenize.tokens,
        post_tokenize=None if post_tokenize is None else post_tokenize.tokens,
        detokenize=None if detokenize is None else detokenize.line,
    )


def pair_hook(
    module: ModuleType | None, options: object
) -> Callable[[list[str], list[str]], tuple[list[str], list[str]] | None] | None:
    """Return the hook on pairs of lines, bpreprocess(options, [source lines, target lines]), or None.

    The hook returns two lists of the same length, with any number of pairs, or None to leave the pairs as
    they are. Raises the errors of `tokenizer_hooks`.
    """
    hook = None if module is None else _Hook.find(module, "bpreprocess", options)
    return None if hook is None else hook.pairs


@dataclass(frozen=True)
class _Hook:
    """A function of the user's module, and checks of its results."""

    function: Callable[..., object]
    name: str
    file: str
    options: object

    @classmethod
    def find(cls, module: ModuleType, name: str, options: object) -> "_Hook | None":
        function = vars(module).get(name)
        if function is None:
            return None
        file = vars(module).get("__file__") or module.__name__
        if not callable(function):
            raise OptionError(f"-hook_file {file}: `{name}` must be a function")
        return cls(function, name, file, options)

    def lines(self, lines: list[str]) -> list[str] | None:
        result = self._call(lines)
        if result is None:
            return None
        if not _is_texts(result) or len(result) != len(lines):
            raise self._error(f"it must return a list of {len(lines)} lines, as many as it got")
        return list(result)

    def pairs(self, src: list[str], tgt: list[str]) -> tuple[list[str], list[str]] | None:
        result = self._call([src, tgt])
        if result is None:
            return None
        if not isinstance(result, (list, tuple)) or len(result) != 2 or not all(map(_is_texts, result)):
            raise self._error("it must return two lists of lines, source and target")
        if len(result[0]) != len(result[1]):
            raise self._error(f"it returned {len(result[0])} source lines but {len(result[1])} target lines")
        return list(result[0]), list(result[1])

    def tokens(self, text: str | list[str]) -> list[str] | None:
        result = self._call(text)
        if result is None:
            return None
        if not _is_texts(result) or any(" " in token or "\n" in token for token in result):
            raise self._error("it must return a list of tokens without blanks and line breaks")
        return list(result)

    def line(self, words: list[str], features: list[list[str]]) -> str | None:
        result = self._call(words, features)
        if result is None:
            return None
        if not isinstance(result, str) or "\n" in result:
            raise self._error("it must return a text without line breaks")
        return result

    def _call(self, *arguments: object) -> object:
        try:
            return self.function(self.options, *arguments)
        except Exception as error:  # the user's code may raise anything
            line = traceback.extract_tb(error.__traceback__)[-1].lineno
            raise self._error(f"line {line}: {type(error).__name__}: {error}") from error

    def _error(self, problem: str) -> DataError:
        return DataError(f"the hook `{self.name}` of {self.file}: {problem}")


def _is_texts(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
