import dataclasses
import sys

import pytest

from onmt.errors import OptionError
from onmt.hooks import HookOptions, hooked_options, load_hook_module


def refusal(hook_file):
    with pytest.raises(OptionError) as caught:
        load_hook_module(hook_file)
    return str(caught.value)


def test_none():
    assert load_hook_module("") is None


def test_by_path_and_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_test_hook.py").write_text("def tokenize(line):\n    return line.split()\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    for hook_file in ("my_test_hook.py", str(tmp_path / "my_test_hook.py"), "my_test_hook"):
        assert load_hook_module(hook_file).tokenize("a b") == ["a", "b"]
    assert sys.path == before
    monkeypatch.delitem(sys.modules, "my_test_hook")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ny = 1 / 0\n", "{path}:2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "{path}:1: SyntaxError: invalid syntax"),
        (
            "import no_such_module_at_all\n",
            "{path}:1: ModuleNotFoundError: No module named 'no_such_module_at_all'",
        ),
        ("raise SystemExit\n", "{path}:1: SystemExit"),
    ],
)
def test_a_module_that_fails(tmp_path, source, message):
    path = tmp_path / "hook.py"
    path.write_text(source)
    assert refusal(str(path)) == f"-hook_file {path}: {message.format(path=path)}"


def test_nothing_there(tmp_path):
    assert refusal("no_such_hook") == "-hook_file no_such_hook: there is no module of that name"
    assert refusal("no_such.hook") == "-hook_file no_such.hook: there is no module of that name"
    assert refusal("no/such.py") == "-hook_file no/such.py: there is no such file"
    (tmp_path / "hook.lua").write_text("return {}")
    assert "not a Python file" in refusal(str(tmp_path / "hook.lua"))


def test_a_name_that_is_none():
    assert refusal("..").startswith("-hook_file ..: ")


DECLARING = """
from dataclasses import dataclass
from onmt.commandline.declare import option

def declareOpts(options):
    @dataclass(frozen=True, kw_only=True)
    class More(options):
        "More"
        extra: int = option(3, "One more.")
    return {result}
"""


def declaring(folder, result):
    path = folder / "hook.py"
    path.write_text(DECLARING.replace("{result}", result))
    return {"hook_file": str(path)}


def test_a_module_may_add_options(tmp_path):
    options = hooked_options(HookOptions, declaring(tmp_path, "More"))
    assert [field.name for field in dataclasses.fields(options)] == ["hook_file", "extra"]
    assert options().extra == 3


def test_without_declareopts_the_options_are_the_usual_ones(tmp_path):
    assert hooked_options(HookOptions, {}) is HookOptions
    assert hooked_options(HookOptions, declaring(tmp_path, "None")) is HookOptions
    (tmp_path / "hook.py").write_text("")
    assert hooked_options(HookOptions, {"hook_file": str(tmp_path / "hook.py")}) is HookOptions


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("3", "`declareOpts` must return a dataclass derived from its argument"),
        ("object", "`declareOpts` must return a dataclass"),
        ("1 / 0", "hook.py:10: ZeroDivisionError"),
        (
            "dataclass(frozen=True)(type('X', (options,), {'__annotations__': {'x': int}, 'x': 1}))",
            "X.x is neither",
        ),
    ],
)
def test_declared_options_must_be_options(tmp_path, result, message):
    with pytest.raises(OptionError) as caught:
        hooked_options(HookOptions, declaring(tmp_path, result))
    assert message in str(caught.value)
