"""No command overwrites a file that it reads, whichever pair of its options names the file."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onmt.commandline.document import scripts
from onmt.commandline.parser import _reads, parse, refuse_overwriting
from onmt.commandline.schema import Option, declared_options
from onmt.commandline.script import Script
from onmt.errors import OptionError


def option_sets(script: Script[Any]) -> Iterator[tuple[Option, ...]]:
    usual = declared_options(script.choose({}))
    yield usual
    accepted = {option.flag: option.accepted for option in usual}
    for selector in script.selectors:
        for value in accepted.get(selector, ()):
            yield declared_options(script.choose({selector: value}))


@pytest.mark.parametrize("script", scripts(), ids=lambda script: Path(script.name).stem)
def test_every_pair_that_names_one_file_is_refused(
    script: Script[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("twin").symlink_to(tmp_path)
    for options in option_sets(script):
        reading = [option for option in options if _reads(option)]
        writing = [option for option in options if option.info.writes]
        for result, read in itertools.product(writing, reading):
            if read.flag in result.info.replaces:
                continue
            for pattern in result.info.writes:
                target = pattern.replace("{}", "shared").replace("*", "1")
                if "/" in target:
                    Path(target).parent.mkdir(exist_ok=True)
                Path(target).write_bytes(b"precious")
                suffix = next((p for p in _reads(read) if p == "{}"), _reads(read)[0]).removeprefix("{}")
                if "*" in suffix or not target.endswith(suffix):
                    continue
                value = target.removesuffix(suffix) if suffix else target
                named = {result.flag: "./twin/shared", read.flag: value}
                with pytest.raises(OptionError, match=f"read by this run.*[-<]{read.flag}"):
                    refuse_overwriting([(one, named.get(one.flag, one.default)) for one in options])
                assert Path(target).read_bytes() == b"precious"
                os.remove(target)


@pytest.mark.parametrize("result", ["log_file", "save_config"])
def test_a_configuration_is_not_written_over(result: str, tmp_path: Path) -> None:
    config = tmp_path / "c"
    config.write_text("size = 10\n", encoding="utf-8")
    (script,) = (one for one in scripts() if one.name.endswith("learn_bpe.py"))
    argv = ["-config", str(config), "-save_bpe", str(tmp_path / "b"), f"-{result}", str(config)]
    with pytest.raises(OptionError, match="read by this run"):
        parse(script, argv)
    assert config.read_text(encoding="utf-8") == "size = 10\n"


def test_two_results_in_one_file(tmp_path: Path) -> None:
    (script,) = (one for one in scripts() if one.name.endswith("learn_bpe.py"))
    argv = ["-save_bpe", str(tmp_path / "b"), "-log_file", str(tmp_path / "." / "b")]
    with pytest.raises(OptionError, match="cannot be the file of two results"):
        parse(script, argv)
    assert parse(script, ["-save_bpe", os.devnull, "-log_file", os.devnull]).options is not None


@pytest.mark.parametrize("named", ["hook", "hook.py"])
def test_a_hook_is_not_written_over(named: str, tmp_path: Path) -> None:
    hook = tmp_path / "hook.py"
    hook.write_text("def tokenize(options, line):\n    return None\n", encoding="utf-8")
    (script,) = (one for one in scripts() if one.name.endswith("learn_bpe.py"))
    with pytest.raises(OptionError, match="read by this run"):
        parse(script, ["-save_bpe", str(hook), "-hook_file", str(tmp_path / named)])


def test_training_goes_on_into_its_own_files(tmp_path: Path) -> None:
    (script,) = (one for one in scripts() if one.name == "train.py")
    for name in ("m_checkpoint.pt", "d-train.json"):
        (tmp_path / name).write_bytes(b"")
    stem, data = str(tmp_path / "m"), str(tmp_path / "d")
    options = parse(
        script, ["-data", data, "-save_model", stem, "-train_from", f"{stem}_checkpoint.pt"]
    ).options
    assert options.save_model == stem
    with pytest.raises(OptionError, match="read by this run"):
        parse(script, ["-data", data, "-save_model", stem, "-lm_model", f"{stem}_checkpoint.pt"])
