from pathlib import Path

import pytest

from onmt.commands import demo as script
from onmt.commands.demo import Answer, PipelineOptions, demo
from onmt.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
RIGHT = Answer("noon on 1 may 2026", "2026-05-01 12:00", "2026-05-01 12:00")
WRONG = Answer("7 am on 1 may 2026", "2026-05-01 17:00", "2026-05-01 07:00")


def test_only_a_whole_line_counts() -> None:
    assert script.exact_match([RIGHT, WRONG, RIGHT, RIGHT]) == 75.0


def test_the_table_lines_up() -> None:
    header, rule, first, second = script.table([RIGHT, WRONG]).split("\n")
    column = header.index("reference")
    assert first[column:] == "2026-05-01 12:00  ✓"
    assert second[column:] == "2026-05-01 07:00  ✗"
    assert set(rule) == {"-", " "}


def test_answers_are_joined(tmp_path: Path) -> None:
    for name, text in (("src", "7 _ a m\n"), ("pred", "0 7\n"), ("tgt", "0 8\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    answers = script.read_answers(tmp_path / "src", tmp_path / "pred", tmp_path / "tgt")
    assert answers == [Answer("7 am", "07", "08")]


def test_files_of_different_length_are_refused(tmp_path: Path) -> None:
    (tmp_path / "two").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "one").write_text("a\n", encoding="utf-8")
    with pytest.raises(DataError, match="2, 1, 2 lines"):
        script.read_answers(tmp_path / "two", tmp_path / "one", tmp_path / "two")


def test_the_model_is_found_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not 0"):
        script.trained_model(tmp_path)
    (tmp_path / "dates_epoch7_1.00.pt").touch()
    assert script.trained_model(tmp_path).name == "dates_epoch7_1.00.pt"


def test_a_failing_step_ends_the_demo(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = demo(["-data", str(tmp_path / "nowhere"), "-output", str(tmp_path / "out")])
    assert code == 1
    assert capfd.readouterr().err.split("\n")[-2].startswith("demo.py: the demo stops here: preprocess.py")


def test_the_default_corpus_is_written_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert script.corpus(PipelineOptions(data="elsewhere")) == Path("elsewhere")
    written = script.corpus(PipelineOptions())
    assert written == Path("demo/corpus")
    names = [path.name for path in (ROOT / "data" / "dates").iterdir()]
    assert len(names) == 6
    for name in names:
        assert (written / name).read_bytes() == (ROOT / "data" / "dates" / name).read_bytes()
    monkeypatch.chdir(ROOT)
    assert script.corpus(PipelineOptions()) == Path("data/dates")


def test_commands_are_shown_as_a_user_can_type_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert script.shown("train").endswith(" train.py")
    assert script.shown("generate_dates").endswith(" tools/generate_dates.py")
    monkeypatch.setattr(script, "CHECKOUT", False)
    assert script.shown("train") == "onmt_train"
