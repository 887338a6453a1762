"""The sources of preprocess.py's texts: folders and samples of files; hooks that change the texts."""

from pathlib import Path

import pytest
from prepared_text import PAIRS, files, run_failing, stored_text, write_pairs

from onmt.commands.pipeline import preprocess
from onmt.data.loading import open_prepared


def write_folder(folder: Path) -> list[str]:
    (folder / "corpora").mkdir()
    for stem, letter in (("news", "n"), ("web", "w")):
        (folder / "corpora" / f"{stem}.src").write_text("".join(f"{letter} {i}\n" for i in range(6)))
        (folder / "corpora" / f"{stem}.tgt").write_text("".join(f"{letter}{i}\n" for i in range(6)))
    return ["-train_dir", f"{folder}/corpora", "-sort", "0", "-shuffle", "0", "-save_data", f"{folder}/d"]


def test_all_files_of_a_folder(tmp_path: Path) -> None:
    assert preprocess(write_folder(tmp_path)) == 0
    letters = [src[0] for src, _ in stored_text(f"{tmp_path}/d")]
    assert letters == ["n"] * 6 + ["w"] * 6


def test_a_sample_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = write_folder(tmp_path)
    (tmp_path / "rules").write_text("^n *\n* 1\n")
    sample = ["-gsample", "16", "-gsample_dist", f"{tmp_path}/rules"]
    assert preprocess([*flags, *sample]) == 0
    pairs = stored_text(f"{tmp_path}/d")
    assert [src for src, _ in pairs][:6] == [f"n {i}" for i in range(6)]
    assert len(pairs) == 16
    assert all(tgt == src.replace(" ", "") + " </s>" for src, tgt in pairs)
    output = capsys.readouterr().out
    assert "news.src': all of 6 lines" in output
    assert "web.src' (): 6 total, 10 drawn, 10 kept" in output


def test_a_dry_run_writes_nothing_and_needs_no_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_folder(tmp_path)[:2]
    assert preprocess([*flags, "-gsample", "0.5", "-dry_run"]) == 0
    assert "web.src': 3 of 6 lines" in capsys.readouterr().out
    assert files(tmp_path) == {"corpora"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["-gsample_dist", __file__], "-gsample_dist needs -gsample"),
        (["-gsample", "3", "-idx_files"], "-gsample cannot be used with -idx_files"),
        (["-train_src", __file__], "-train_dir and -train_src exclude each other"),
    ],
)
def test_contradictions_about_files_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    code, error = run_failing([*write_folder(tmp_path), *extra], capsys)
    assert (code, message in error) == (2, True), error


HOOKS = """
def mpreprocess(options, lines):
    return [line.upper() for line in lines]

def bpreprocess(options, sides):
    pairs = [(src, tgt) for src, tgt in zip(*sides) if src != "C"]
    return [src for src, _ in pairs], [tgt + " !" for _, tgt in pairs]

def tokenize(options, line):
    return None if " " in line else list(line)
"""


def test_hooks_change_lines_pairs_and_tokens(tmp_path: Path) -> None:
    (tmp_path / "my_hooks.py").write_text(HOOKS)
    flags = [*write_pairs(tmp_path, [("a b", "x y"), ("c", "z"), ("de", "f")]), "-hook_file"]
    flags += [f"{tmp_path}/my_hooks.py", "-sort", "0", "-shuffle", "0", "-save_data", f"{tmp_path}/d"]
    assert preprocess(flags) == 0
    data = open_prepared(f"{tmp_path}/d")
    assert data.vocabularies.src[0].words[4:] == ("A", "B", "C", "D", "E")
    assert data.vocabularies.tgt[0].words[4:] == ("X", "Y", "Z", "F")
    assert stored_text(f"{tmp_path}/d") == [("A B", "X Y <unk> </s>"), ("D E", "F <unk> </s>")]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def mpreprocess(options, lines): return lines[1:]", "as many as it got"),
        ("def mpreprocess(options, lines): return ['a\\nb' for line in lines]", "a line break inside a line"),
        ("def mpreprocess(options, lines): return ['\\udc80' for line in lines]", "not valid Unicode"),
        ("def bpreprocess(options, sides): return sides[0]", "two lists of lines"),
        ("def bpreprocess(options, sides): return sides[0], []", "5 source lines but 0 target lines"),
        ("def tokenize(options, line): return 7", "must return a list of tokens"),
        ("def tokenize(options, line): return line[99]", "IndexError"),
        ("1 +", "SyntaxError"),
        ("tokenize = 3", "must be a function"),
    ],
)
def test_bad_hooks_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    (tmp_path / "my_hooks.py").write_text(code)
    flags = [*write_pairs(tmp_path, PAIRS), "-hook_file", f"{tmp_path}/my_hooks.py"]
    found, error = run_failing([*flags, "-save_data", f"{tmp_path}/d"], capsys)
    assert found in (1, 2)
    assert message in error
