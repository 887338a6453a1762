"""tools/build_vocab.py."""

from pathlib import Path

import pytest

from onmt.commands.text import build_vocab
from onmt.data.vocabulary import Vocabulary

SPECIAL = ("<blank>", "<unk>", "<s>", "</s>")


def write(folder: Path, content: str) -> str:
    path = folder / "text"
    path.write_bytes(content.encode())
    return str(path)


def test_words_and_features(tmp_path: Path) -> None:
    text = write(tmp_path, "a￨1 b￨2\n\nb￨2 c￨2\n")
    assert build_vocab(["-data", text, "-save_vocab", str(tmp_path / "v"), "-keep_frequency"]) == 0
    words = Vocabulary.read(tmp_path / "v.dict")
    assert words.words == (*SPECIAL, "a", "b", "c")
    assert words.frequencies == (0, 0, 3, 3, 1, 2, 1)
    assert Vocabulary.read(tmp_path / "v_feature_1.dict").words == (*SPECIAL, "1", "2")


def test_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = write(tmp_path, "a￨1 b￨2 c￨3\nb￨2 c￨3\nb￨3 x￨3\n")
    assert build_vocab(["-data", text, "-save_vocab", str(tmp_path / "v"), "-vocab_size", "2", "1"]) == 0
    assert [line.split("INFO] ")[1] for line in capsys.readouterr().out.splitlines()] == [
        " * Building source vocabularies...",
        " * Created word dictionary of size 6 (pruned from 8)",
        " * Created feature 1 dictionary of size 5 (pruned from 7)",
        "",
        f"Saving data vocabulary to '{tmp_path}/v.dict'...",
        f"Saving data feature 1 vocabulary to '{tmp_path}/v_feature_1.dict'...",
    ]
    assert (tmp_path / "v.dict").read_text() == "<blank> 1\n<unk> 2\n<s> 3\n</s> 4\nb 5\nc 6\n"
    assert Vocabulary.read(tmp_path / "v_feature_1.dict").words == (*SPECIAL, "3")
    assert build_vocab(["-data", text, "-save_vocab", str(tmp_path / "v"), "-words_min_frequency", "3"]) == 0
    assert Vocabulary.read(tmp_path / "v.dict").words == (*SPECIAL, "b")


@pytest.mark.parametrize("lines", [("a￨1", "b"), ("b", "a￨1")])
def test_sentences_with_and_without_features_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: tuple[str, str]
) -> None:
    text = write(tmp_path, "\n".join(lines))
    assert build_vocab(["-data", text, "-save_vocab", str(tmp_path / "v")]) == 1
    assert f"{text}, line 2: " in capsys.readouterr().err
    assert not (tmp_path / "v.dict").exists()


def test_keys_are_no_words(tmp_path: Path) -> None:
    text = write(tmp_path, "K1 a b\nK2 b\n")
    assert build_vocab(["-data", text, "-save_vocab", str(tmp_path / "v"), "-idx_files"]) == 0
    assert Vocabulary.read(tmp_path / "v.dict").words == (*SPECIAL, "a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "no word"), ("\n\n", "no word"), ("a\n\na￨1\n", "line 3"), ("a￨1 b\n", "line 1: all words")],
)
def test_failures_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    text = write(tmp_path, content)
    assert build_vocab(["-data", text, "-save_vocab", str(tmp_path / "v"), "-disable_logs"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
