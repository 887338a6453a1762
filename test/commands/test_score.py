"""tools/score.py."""

import io
import re
from pathlib import Path

import pytest

from onmt.commands.score import score


def give(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="ascii"))


def test_printed_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ref").write_bytes(b"a b c d e\nf g h i\n")
    give(monkeypatch, "a b c d x\nf g h i\n")
    assert score([str(tmp_path / "ref")]) == 0
    detail = "BLEU = 79.84, 88.9/85.7/80.0/66.7 (BP=1.000, ratio=1.000, hyp_len=9, ref_len=9)"
    assert capsys.readouterr().out == f"79.84\t\t{detail}\n"
    give(monkeypatch, "a b c d x\nf g h i\n")
    assert score([str(tmp_path / "ref"), "-decimals", "12"]) == 0
    value, margin, same = capsys.readouterr().out.rstrip("\n").split("\t")
    assert float(value) == pytest.approx(100 * (8 / 9 * 6 / 7 * 4 / 5 * 2 / 3) ** 0.25, abs=1e-12)
    assert (margin, same) == ("", detail)


def test_numbered_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ref0").write_bytes(b"x y\n")
    (tmp_path / "ref1").write_bytes(b"a b\n")
    (tmp_path / "ref3").write_bytes(b"not read: there is no ref2\n")
    give(monkeypatch, "a b\n")
    assert score(["-scorer", "ter", str(tmp_path / "ref")]) == 0
    assert capsys.readouterr().out == "0.00\t\tTER = 0.00 (Ins 0.0, Del 0.0, Sub 0.0, Shft 0.0, WdSh 0.0)\n"
    give(monkeypatch, "a b\n")
    assert score(["-scorer", "dlratio", str(tmp_path / "ref")]) == 0
    assert capsys.readouterr().out.startswith("66.67\t\tDLratio = 0.6667")


def test_samples_have_a_margin_that_is_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ref").write_bytes(b"a b\n" * 10)
    printed = []
    for _ in range(2):
        give(monkeypatch, "a b\n" * 5 + "a c\n" * 5)
        assert score(["-scorer", "ter", "-sample", "4", str(tmp_path / "ref")]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    mean, margin, _ = printed[0].split("\t")
    assert 0 < float(mean) < 50
    assert re.fullmatch(r"\+/-\d+\.\d\d", margin)
    assert float(margin.removeprefix("+/-")) > 0.1


def test_detokenized_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ref").write_text("中文 text, here.\n", encoding="utf-8")
    give(monkeypatch, "中文text, here.\n")
    assert score(["-tokenizer", "max", str(tmp_path / "ref")]) == 0
    assert capsys.readouterr().out.startswith("100.00\t\tBLEU = 100.00")


@pytest.mark.parametrize(
    ("arguments", "text", "code", "message"),
    [
        (["{ref}x"], "a\n", 1, "there is no reference: neither a file"),
        (["{ref}"], "a\nb\n", 1, "there are 2 hypotheses, but reference 1 has 1 lines"),
        (["{ref}", "-sample", "2"], "a\n", 1, "-sample needs two sentences"),
        (["{ref}", "-order", "0"], "a\n", 2, "-order"),
        ([], "a\n", 2, "rfilestem"),
    ],
)
def test_failures_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    text: str,
    code: int,
    message: str,
) -> None:
    (tmp_path / "ref").write_bytes(b"a\n")
    give(monkeypatch, text)
    assert score([argument.format(ref=tmp_path / "ref") for argument in arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
