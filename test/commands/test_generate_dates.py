from pathlib import Path

import pytest

from onmt.commands.demo import generate_dates

CORPUS = Path(__file__).resolve().parents[2] / "data" / "dates"
FILES = [f"{split}.{side}" for split in ("train", "valid", "test") for side in ("src", "tgt")]


def test_the_defaults_write_the_corpus_of_the_repository(tmp_path: Path) -> None:
    assert generate_dates(["-output", str(tmp_path / "new" / "dates")]) == 0
    for name in FILES:
        assert (tmp_path / "new" / "dates" / name).read_bytes() == (CORPUS / name).read_bytes()


def test_sizes(tmp_path: Path) -> None:
    assert (
        generate_dates(["-output", str(tmp_path), "-train", "5", "-valid", "3", "-test", "2", "-seed", "9"])
        == 0
    )
    lines = [(tmp_path / name).read_bytes().count(b"\n") for name in FILES]
    assert lines == [5, 5, 3, 3, 2, 2]


def test_a_bad_size_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_dates(["-output", str(tmp_path), "-train", "0"]) == 2
    assert "-train" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert generate_dates(["-output", str(tmp_path / "file" / "dates")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
