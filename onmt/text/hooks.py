"""The user's functions that take over steps of the tokenizer (`-hook_file`)."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Final, TypeGuard

from onmt.errors import DataError, OptionError


@dataclass(frozen=True)
class TokenizerHooks:
    """Functions that replace or follow a step of the tokenizer; a result of None means "do as usual".

    preprocess: lines -> as many lines, before anything else (`mpreprocess` in the user's module).
    tokenize: line -> tokens, in place of everything the tokenizer does, BPE and case included.
    post_tokenize: tokens -> tokens, after everything.
    detokenize: words and, per feature, the values of all words -> line.
    bind: the options of one side's tokenizer -> the same hooks, which get them, see `of_side`.
    """

    preprocess: Callable[[list[str]], list[str] | None] | None = None
    tokenize: Callable[[str], list[str] | None] | None = None
    post_tokenize: Callable[[list[str]], list[str] | None] | None = None
    detokenize: Callable[[list[str], list[list[str]]], str | None] | None = None
    bind: "Callable[[object], TokenizerHooks] | None" = None

    def of_side(self, options: object) -> "TokenizerHooks":
        """The hooks for text that is cut as `options` say: they get these, without prefixes (`options.mode`),
        and for other names the options of the script.
        """
        return self if self.bind is None else self.bind(options)

    def preprocessed(self, lines: list[str]) -> list[str]:
        """The lines after the hook `preprocess`."""
        result = None if self.preprocess is None else self.preprocess(lines)
        return lines if result is None else result


NO_HOOKS: Final = TokenizerHooks()


def tokenizer_hooks(module: ModuleType | None, options: object) -> TokenizerHooks:
    """The hooks that the user's module defines; each of its functions gets `options` as its first argument.

    mpreprocess(options, lines), tokenize(options, line), post_tokenize(options, tokens),
    detokenize(options, words, features): what they return is told at `TokenizerHooks`. What a function
    raises, and a result of another type, becomes a DataError. Raises OptionError when one of these names is
    no function.
    """
    if module is None:
        return NO_HOOKS

    def of_side(side: object) -> TokenizerHooks:
        return _hooks_of(module, options if side is options else _SideOptions(side, options))

    return replace(_hooks_of(module, options), bind=of_side)


class _SideOptions:
    """The options of one side's tokenizer, and for other names those of the script."""

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
    """The hook on pairs of lines, bpreprocess(options, [source lines, target lines]), None if there is none.

    It returns two lists of the same length, of as many pairs as it likes, or None for "do as usual".
    Errors are those of `tokenizer_hooks`.
    """
    hook = None if module is None else _Hook.find(module, "bpreprocess", options)
    return None if hook is None else hook.pairs


@dataclass(frozen=True)
class _Hook:
    """A function of the user's module, with its results checked."""

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
        except Exception as error:  # whatever the user's code may do
            line = traceback.extract_tb(error.__traceback__)[-1].lineno
            raise self._error(f"line {line}: {type(error).__name__}: {error}") from error

    def _error(self, problem: str) -> DataError:
        return DataError(f"the hook `{self.name}` of {self.file}: {problem}")


def _is_texts(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
