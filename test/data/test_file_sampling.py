"""onmt/data/file_sampling.py"""

from collections import Counter
from pathlib import Path

import pytest

from onmt.data.corpus import LineBlock
from onmt.data.file_sampling import FileSample, _CorpusFile, _find_files, _plan_sample, _read_rules
from onmt.errors import DataError


def corpus(**lines: int) -> list[_CorpusFile]:
    return [_CorpusFile(stem, (stem,), count) for stem, count in lines.items()]


def rules(folder: Path, text: str) -> Path:
    path = folder / "rules"
    path.write_text(text, encoding="utf-8")
    return path


def plan(folder: Path, files: list[_CorpusFile], text: str, size: float) -> dict[str, int | None]:
    return {one.stem: one.drawn for one in _plan_sample(files, _read_rules(str(rules(folder, text))), size)}


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("* 1", 50, {"news1": 5, "news2": 15, "web": 30}),
        ("* 1", 0.5, {"news1": 50, "news2": 150, "web": 300}),
        ("* 1", 1, {"news1": 1, "news2": 1, "web": 1}),
        ("news 3\nweb 1", 40, {"news1": 8, "news2": 23, "web": 10}),
        ("^news1$ 1\n* 1", 40, {"news1": 20, "news2": 7, "web": 14}),
        ("news 1", 40, {"news1": 10, "news2": 30}),
        ("news1 *\n* 1", 400, {"news1": None, "news2": 100, "web": 200}),
        ("news1 *\n* 1", 0.5, {"news1": None, "news2": 150, "web": 300}),
        ("news *", 400, {"news1": None, "news2": None}),
        ("news1 , web *\nnothing,\tx 7\n* 1", 900, {"news1": None, "news2": 200, "web": None}),
        ("web 0\n* 1", 4, {"news1": 1, "news2": 3}),
        ("web *\n* 1", 100, {"news1": 0, "news2": 0, "web": None}),
    ],
)
def test_quotas(tmp_path: Path, text: str, size: float, expected: dict[str, int | None]) -> None:
    assert plan(tmp_path, corpus(news1=100, news2=300, web=600, empty=0), text, size) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no rules"),
        ("a", "line 1: expected 'pattern weight'"),
        ("\na 1 x=2 y=3", "line 2: 'x=2': options after the weight are not supported"),
        ("a 1 b", "line 1: expected 'pattern weight', found 3 fields"),
        ("a x", "line 1: the weight must be a number"),
        ("a -1", "line 1: the weight must be a number"),
        ("a nan", "line 1: the weight must be a number"),
        ("%b() 1", "line 1: the pattern '%b()': %b is not supported"),
    ],
)
def test_malformed_rules_are_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        _read_rules(str(rules(tmp_path, text)))
    assert message in str(error.value)


def test_files_are_found_with_their_partners(tmp_path: Path) -> None:
    for name in ("b.src", "a.src", "b.tgt", "a.tgt", "readme.txt"):
        (tmp_path / name).write_bytes(b"x\ny")
    (tmp_path / "c.src").mkdir()
    found = _find_files(str(tmp_path), [".src", ".tgt"], pairs_of_lines=True)
    assert [(file.stem, file.lines) for file in found] == [("a", 2), ("b", 2)]
    assert found[0].paths == (f"{tmp_path}/a.src", f"{tmp_path}/a.tgt")
    (tmp_path / "a.tgt").write_bytes(b"x\n")
    with pytest.raises(DataError, match=r"a\.src has 2 lines but .*a\.tgt has 1"):
        _find_files(str(tmp_path), [".src", ".tgt"], pairs_of_lines=True)
    assert len(_find_files(str(tmp_path), [".src", ".tgt"], pairs_of_lines=False)) == 2
    (tmp_path / "a.tgt").unlink()
    with pytest.raises(DataError, match=r"a\.tgt', is missing"):
        _find_files(str(tmp_path), [".src", ".tgt"], pairs_of_lines=True)
    with pytest.raises(DataError, match=r"no file whose name ends with '\.x'"):
        _find_files(str(tmp_path), [".x"], pairs_of_lines=True)


def blocks(path: str) -> list[tuple[LineBlock, ...]]:
    """Return the lines 1 to 10 in three blocks."""
    cuts = [(1, 4), (4, 5), (5, 11)]
    return [
        (LineBlock(path, "".join(f"{number}\n" for number in range(*cut)).encode(), range(*cut)),)
        for cut in cuts
    ]


def drawn_lines(sample: FileSample, seed: int, epoch: int) -> list[int]:
    lines = []
    for [block] in sample.select(blocks("f"), seed, epoch):
        assert isinstance(block, LineBlock)
        assert block.lines() == [str(number) for number in block.numbers]
        lines += block.numbers
    return lines


def test_lines_are_drawn_with_replacement_anew_for_every_epoch() -> None:
    sample = FileSample("f", ("f",), lines=10, drawn=2000)
    lines = drawn_lines(sample, seed=1, epoch=1)
    assert lines == sorted(lines)
    counts = Counter(lines)
    assert sorted(counts) == list(range(1, 11))
    assert sum(counts.values()) == 2000
    assert all(140 < count < 260 for count in counts.values())  # mean 200, over 4 standard deviations
    assert drawn_lines(sample, seed=1, epoch=1) == lines
    assert drawn_lines(sample, seed=1, epoch=2) != lines
    assert drawn_lines(sample, seed=2, epoch=1) != lines
    assert drawn_lines(FileSample("f", ("f",)), seed=1, epoch=1) == list(range(1, 11))
    assert drawn_lines(FileSample("f", ("f",), lines=10, drawn=0), seed=1, epoch=1) == []
