import dataclasses
import sys

import pytest

from onmt.commandline.parser import parse
from onmt.commandline.schema import declared_options
from onmt.commands.pipeline import preprocess, train, translate
from onmt.commands.text import detokenize, learn_bpe, tokenize
from onmt.errors import OptionError
from onmt.hooks import HookOptions, hooked_options, load_hook_module
from onmt.logger import Logger, LoggerOptions


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
    names = ("my_test_hook.py", str(tmp_path / "my_test_hook.py"), str(tmp_path / "my_test_hook"))
    for hook_file in (*names, "./my_test_hook", "my_test_hook"):
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


def test_functions_are_logged(tmp_path, capsys):
    (tmp_path / "hook.py").write_text("def tokenize(o, l): ...\ndef declareOpts(o): ...\ndef helper(): ...\n")
    load_hook_module(f"{tmp_path}/hook", Logger(LoggerOptions(), sys.stdout))
    lines = [line.split("INFO] ")[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == [f"Register hook '{name}' from {tmp_path}/hook" for name in ("declareOpts", "tokenize")]


TAKING_AWAY = """
from dataclasses import dataclass
from typing import Literal
from onmt.commandline.declare import option, removed

def declareOpts(options):
    @dataclass(frozen=True, kw_only=True)
    class Changed(options):
        "Jean's"
        profiler: bool = removed(False)
        sample_vocab: bool = option(True, "Now the default.")
        sample_vocab_type: Literal["beet", "carrot"] = option("beet", "Type of sample vocabulary.")
        happy: bool = option(False, "Are you happy?")
    return Changed
"""


def test_a_module_may_change_and_remove_options_of_train(tmp_path):
    (tmp_path / "hook.py").write_text(TAKING_AWAY)
    usual = {option.flag for option in declared_options(train.script.choose({}))}
    changed = train.script.choose({"hook_file": f"{tmp_path}/hook"})
    declared = {option.flag: option for option in declared_options(changed)}
    assert usual - declared.keys() == {"profiler"}
    assert declared.keys() - usual == {"sample_vocab_type", "happy"}
    assert declared["sample_vocab"].default is True
    assert changed().profiler is False
    argv = ["-save_model", "m", "-data", "d", "-hook_file", f"{tmp_path}/hook"]
    with pytest.raises(OptionError, match="unknown option -profiler"):
        parse(train.script, [*argv, "-profiler"])


MODE = """
from dataclasses import dataclass
from typing import Literal
from onmt.commandline.declare import option

def declareTokenizerOpts(options):
    @dataclass(frozen=True, kw_only=True)
    class More(options):
        "More"
        mode: Literal["space", "conservative", "char"] = option({default}, "Where tokens end.")
        joiner: str = option("@", "Mark.")
        depth: int = option(3, "Depth.")
    return More
"""


@pytest.mark.parametrize(
    ("script", "default", "modes"),
    [
        (tokenize.script, "conservative", {"mode": "conservative"}),
        (tokenize.script, "char", {"mode": "char"}),
        (detokenize.script, "char", {"mode": "char"}),
        (learn_bpe.script, "conservative", {"tok_mode": "space"}),
        (preprocess.script, "conservative", {"tok_src_mode": "space", "tok_tgt_mode": "space"}),
        (train.script, "char", {"tok_src_mode": "char", "tok_tgt_mode": "char"}),
        (translate.script, "conservative", {"tok_src_mode": "space", "tok_tgt_mode": "space"}),
    ],
)
def test_options_of_tokenizers_come_wherever_text_is_cut(tmp_path, script, default, modes):
    (tmp_path / "hook.py").write_text(MODE.replace("{default}", repr(default)))
    hooked = {one.flag: one for one in declared_options(script.choose({"hook_file": f"{tmp_path}/hook"}))}
    assert {flag: hooked[flag].default for flag in modes} == modes
    for flag in modes:
        prefix = flag.removesuffix("mode")
        assert "char" in hooked[flag].accepted
        assert (hooked[f"{prefix}joiner"].default, hooked[f"{prefix}depth"].default) == ("@", 3)


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
