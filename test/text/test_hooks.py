"""Hooks: functions of the user that the tokenizer calls."""

from dataclasses import dataclass
from types import ModuleType

import pytest

from onmt.errors import DataError, OptionError
from onmt.hooks import NO_HOOKS, tokenizer_hooks
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import Tokenizer

OPTIONS = TokenizerOptions(joiner="@")


def module(code: str) -> ModuleType:
    result = ModuleType("my_hooks")
    exec(code, vars(result))
    return result


def test_no_module_is_no_hooks() -> None:
    assert tokenizer_hooks(None, OPTIONS) is NO_HOOKS
    assert NO_HOOKS.preprocessed(["a"]) == ["a"]


def test_functions_get_the_options_first() -> None:
    hooks = tokenizer_hooks(
        module(
            "def mpreprocess(options, lines): return [line + options.joiner for line in lines]\n"
            "def tokenize(options, line): return tuple(line)\n"
            "def post_tokenize(options, tokens): return None\n"
            "def detokenize(options, words, features): return options.joiner.join(words) + str(features)\n"
        ),
        OPTIONS,
    )
    assert hooks.preprocessed(["a", "b"]) == ["a@", "b@"]
    assert hooks.tokenize is not None
    assert hooks.tokenize("ab") == ["a", "b"]
    assert hooks.post_tokenize is not None
    assert hooks.post_tokenize(["a"]) is None
    assert hooks.detokenize is not None
    assert hooks.detokenize(["a", "b"], [["1", "2"]]) == "a@b[['1', '2']]"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def mpreprocess(options, lines): return lines[1:]", "return a list of 2 lines"),
        ("def mpreprocess(options, lines): return [1, 2]", "return a list of 2 lines"),
        ("def mpreprocess(options, lines):\n  return 1 / 0", r"line 2: ZeroDivisionError: division by zero"),
        ("def mpreprocess(lines): return lines", "TypeError"),
    ],
)
def test_what_goes_wrong_in_preprocessing(code: str, message: str) -> None:
    hooks = tokenizer_hooks(module(code), OPTIONS)
    with pytest.raises(DataError, match=f"the hook `mpreprocess` of my_hooks: .*{message}"):
        hooks.preprocessed(["a", "b"])


@pytest.mark.parametrize("result", ["'text'", "['a b']", "['a\\n']", "[1]", "{}"])
def test_tokens_must_be_tokens(result: str) -> None:
    hooks = tokenizer_hooks(module(f"def tokenize(options, line): return {result}"), OPTIONS)
    assert hooks.tokenize is not None
    with pytest.raises(DataError, match="a list of tokens without blanks"):
        hooks.tokenize("x")


@pytest.mark.parametrize("result", ["['text']", "'two\\nlines'"])
def test_a_line_must_be_a_line(result: str) -> None:
    hooks = tokenizer_hooks(module(f"def detokenize(options, words, features): return {result}"), OPTIONS)
    assert hooks.detokenize is not None
    with pytest.raises(DataError, match="a text without line breaks"):
        hooks.detokenize(["x"], [])


def test_a_side_s_options_come_first() -> None:
    @dataclass
    class Script:
        joiner: str = "of the script"
        batch_size: int = 7

    code = "def tokenize(options, line): return [options.joiner, str(options.batch_size)]\n"
    hooks = tokenizer_hooks(module(code), Script())
    assert Tokenizer(OPTIONS, hooks=hooks).tokenize("x") == ["@", "7"]
    with pytest.raises(DataError, match="AttributeError: there is no option 'nothing'"):
        Tokenizer(
            OPTIONS, hooks=tokenizer_hooks(module(code.replace("batch_size", "nothing")), Script())
        ).tokenize("x")


def test_a_hook_must_be_a_function() -> None:
    with pytest.raises(OptionError, match="`tokenize` must be a function"):
        tokenizer_hooks(module("tokenize = 3"), OPTIONS)
