from pathlib import Path

import pytest

from onmt.commands import demo
from onmt.commands.demo import Answer
from onmt.errors import DataError

RIGHT = Answer("noon on 1 may 2026", "2026-05-01 12:00", "2026-05-01 12:00")
WRONG = Answer("7 am on 1 may 2026", "2026-05-01 17:00", "2026-05-01 07:00")


def test_only_a_whole_line_counts() -> None:
    assert demo.exact_match([RIGHT, WRONG, RIGHT, RIGHT]) == 75.0


def test_the_table_lines_up() -> None:
    header, rule, first, second = demo.table([RIGHT, WRONG]).split("\n")
    column = header.index("reference")
    assert first[column:] == "2026-05-01 12:00  ✓"
    assert second[column:] == "2026-05-01 07:00  ✗"
    assert set(rule) == {"-", " "}


def test_answers_are_joined(tmp_path: Path) -> None:
    for name, text in (("src", "7 _ a m\n"), ("pred", "0 7\n"), ("tgt", "0 8\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    answers = demo.read_answers(tmp_path / "src", tmp_path / "pred", tmp_path / "tgt")
    assert answers == [Answer("7 am", "07", "08")]


def test_files_of_different_length_are_refused(tmp_path: Path) -> None:
    (tmp_path / "two").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "one").write_text("a\n", encoding="utf-8")
    with pytest.raises(DataError, match="2, 1, 2 lines"):
        demo.read_answers(tmp_path / "two", tmp_path / "one", tmp_path / "two")


def test_the_model_is_found_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not 0"):
        demo.trained_model(tmp_path)
    (tmp_path / "dates_epoch7_1.00.pt").touch()
    assert demo.trained_model(tmp_path).name == "dates_epoch7_1.00.pt"


def test_a_failing_step_ends_the_demo(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = demo.main(["-data", str(tmp_path / "nowhere"), "-output", str(tmp_path / "out")])
    assert code == 1
    assert capfd.readouterr().err.split("\n")[-2].startswith("demo.py: the demo stops here: preprocess.py")
