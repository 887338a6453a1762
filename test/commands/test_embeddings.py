"""tools/embeddings.py, tools/apply_embeddings.py and tools/extract_embeddings.py."""

import re
import struct
from pathlib import Path

import pytest
import torch

from onmt.commands.word_vectors import apply_embeddings, embeddings, extract_embeddings
from onmt.data.indexed import read_archive
from onmt.data.vocabulary import Vocabularies, Vocabulary

VECTORS = {"house": (3.0, 4.0), "Tree": (0.0, 2.0), "of": (1.0, 0.0), "é": (0.0, -1.0)}


@pytest.fixture
def vocabulary(tmp_path: Path) -> Vocabulary:
    words = ["<blank>", "<unk>", "<s>", "</s>", "house", "tree", "￭of", "HOUSE", "é", "unseen"]
    vocabulary = Vocabulary(words)
    vocabulary.write(tmp_path / "words.dict")
    return vocabulary


def write_vectors(folder: Path, kind: str) -> str:
    path = folder / "vectors"
    rows = [f"{word} {x} {y}" for word, (x, y) in VECTORS.items()]
    if kind == "glove":
        path.write_bytes("\n".join([*rows, ". . 1 2", ""]).encode())
    elif kind == "word2vec-txt":
        path.write_bytes("\n".join([f"{len(rows)} 2", *(f"{row} " for row in rows)]).encode())
    else:
        entries = (word.encode() + b" " + struct.pack("<2f", *row) for word, row in VECTORS.items())
        separator = b"\n" if kind.endswith("\n") else b""
        path.write_bytes(f"{len(rows)} 2\n".encode() + separator.join(entries) + separator)
    return str(path)


@pytest.mark.parametrize("kind", ["glove", "word2vec-txt", "word2vec-bin", "word2vec-bin\n"])
def test_exact_words(tmp_path: Path, vocabulary: Vocabulary, kind: str) -> None:
    arguments = ["-dict_file", str(tmp_path / "words.dict"), "-embed_file", write_vectors(tmp_path, kind)]
    arguments += ["-embed_type", kind.strip(), "-save_data", str(tmp_path / "out")]
    assert embeddings([*arguments, "-save_unknown_dict", str(tmp_path / "unknown")]) == 0
    table = torch.load(tmp_path / "out-embeddings-2.pt", weights_only=True)
    assert table.shape == (len(vocabulary), 2)
    assert table.dtype == torch.float32
    assert table[vocabulary.id("house")].tolist() == pytest.approx([0.6, 0.8])
    assert table[vocabulary.id("é")].tolist() == [0, -1]
    assert (tmp_path / "unknown").read_text(encoding="utf-8") == "tree 6\n￭of 7\nHOUSE 8\nunseen 10\n"
    assert embeddings([*arguments, "-normalize", "false"]) == 0
    again = torch.load(tmp_path / "out-embeddings-2.pt", weights_only=True)
    assert again[vocabulary.id("house")].tolist() == [3, 4]
    assert torch.equal(again[vocabulary.id("unseen")], table[vocabulary.id("unseen")])


@pytest.mark.parametrize("flags", [[], ["-approximate"]])
def test_log_lines_are_the_original_s(
    tmp_path: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    vectors, out = write_vectors(tmp_path, "glove"), tmp_path / "out"
    arguments = ["-dict_file", str(tmp_path / "words.dict"), "-embed_file", vectors, "-embed_type", "glove"]
    assert embeddings([*arguments, "-save_data", str(out), "-report_every", "4", *flags]) == 0
    lines = [line.split("INFO] ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert re.fullmatch(r"Completed in \d+\.\d{3} seconds\. ", lines.pop(-4))
    assert lines == [
        f"Processing embeddings file '{vectors}'...",
        "... 4 embeddings processed (6/10 matched with the dictionary)",
        "... done.",
        " * 6/10 embeddings matched with dictionary tokens",
        *([" * 3 approximate lookup"] if flags else []),
        f" * {1 if flags else 4}/10 vocabs randomly assigned with a normal distribution",
        f"Saving embeddings to '{out}-embeddings-2.pt'...",
        "",
        f"For source embeddings, set the options '-pre_word_vecs_enc {out}-embeddings-2.pt "
        "-src_word_vec_size 2' with train.py",
        f"For target embeddings, set the options '-pre_word_vecs_dec {out}-embeddings-2.pt "
        "-tgt_word_vec_size 2' with train.py",
    ]


def test_approximate_words(tmp_path: Path, vocabulary: Vocabulary) -> None:
    arguments = ["-dict_file", str(tmp_path / "words.dict"), "-embed_file", write_vectors(tmp_path, "glove")]
    arguments += ["-embed_type", "glove", "-save_data", str(tmp_path / "out"), "-approximate"]
    assert embeddings([*arguments, "-save_unknown_dict", str(tmp_path / "unknown")]) == 0
    table = torch.load(tmp_path / "out-embeddings-2.pt", weights_only=True)
    assert table[vocabulary.id("tree")].tolist() == [0, 1]
    assert table[vocabulary.id("￭of")].tolist() == [1, 0]
    assert table[vocabulary.id("HOUSE")].tolist() == pytest.approx([0.6, 0.8])
    assert (tmp_path / "unknown").read_text() == "unseen 10\n"


def test_the_noise_has_the_spread_of_the_original(tmp_path: Path) -> None:
    specials = ("<blank>", "<unk>", "<s>", "</s>")
    Vocabulary([*specials, *(f"w{i}" for i in range(3000))]).write(tmp_path / "words.dict")
    arguments = ["-dict_file", str(tmp_path / "words.dict"), "-embed_file", write_vectors(tmp_path, "glove")]
    assert embeddings([*arguments, "-embed_type", "glove", "-save_data", str(tmp_path / "out")]) == 0
    table = torch.load(tmp_path / "out-embeddings-2.pt", weights_only=True)
    assert table.std().item() == pytest.approx(0.9, abs=0.03)
    assert table.mean().item() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("glove", b"", "line 1: expected a word and its vector"),
        ("glove", b"3 2\nhouse 1 2\n", "-embed_type word2vec-txt"),
        ("glove", b"a 1 2\nhouse 1\n", "line 2: expected a word and 2 numbers"),
        ("glove", b"a 1 2\nhouse 1 x\n", "line 2: could not convert"),
        ("glove", b"a 1 2\nhouse 1 nan\n", "line 2: the vector has a number that is not finite"),
        ("word2vec-txt", b"a 1 2\n", "line 1: expected the number of words and the dimension"),
        (
            "word2vec-bin",
            b"2 2\nhouse " + struct.pack("<2f", 1, 2) + b"tree \x00",
            "breaks off at word 2 of 2",
        ),
        ("word2vec-bin", b"\xff\xfe", "line 1"),
    ],
)
def test_files_of_another_kind(
    tmp_path: Path,
    vocabulary: Vocabulary,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    content: bytes,
    message: str,
) -> None:
    (tmp_path / "bad").write_bytes(content)
    arguments = ["-dict_file", str(tmp_path / "words.dict"), "-embed_file", str(tmp_path / "bad")]
    arguments += ["-embed_type", kind, "-save_data", str(tmp_path / "out"), "-disable_logs"]
    assert embeddings(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["-lang", "en"], "-lang"), ([], "-embed_file: the file of pretrained word vectors is missing")],
)
def test_what_is_missing(
    tmp_path: Path,
    vocabulary: Vocabulary,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    given = ["-dict_file", str(tmp_path / "words.dict"), "-save_data", str(tmp_path / "out")]
    assert embeddings([*given, *arguments]) == 2
    assert message in capsys.readouterr().err


def apply(folder: Path, *arguments: str) -> int:
    files = ["-txt_src", "src", "-dict", "words.dict", "-embed_data", "table.pt", "-save_prefix", "out"]
    paths = [str(folder / word) if index % 2 else word for index, word in enumerate(files)]
    return apply_embeddings([*paths, *arguments, "-disable_logs"])


def test_text_as_vectors(tmp_path: Path, vocabulary: Vocabulary) -> None:
    torch.save(torch.arange(20).reshape(10, 2) / 8, tmp_path / "table.pt")
    (tmp_path / "src").write_bytes(b"house nowhere\n\ntree\n")
    (tmp_path / "tgt").write_bytes(b"x  y\nz\n\n")
    assert apply(tmp_path, "-txt_tgt", str(tmp_path / "tgt")) == 0
    source = (tmp_path / "out.src").read_text()
    assert source.startswith("IDX1 [\n1.0000 1.1250\n0.2500 0.3750 ]\nIDX2 [\n")
    with (tmp_path / "out.src").open("rb") as file:
        matrices = [entry.matrix.tolist() for entry in read_archive(file, "out.src")]
    assert matrices == [[[1, 1.125], [0.25, 0.375]], [], [[1.25, 1.375]]]
    assert (tmp_path / "out.tgt").read_text() == "IDX1 x y\nIDX2 z\nIDX3 \n"


@pytest.mark.parametrize(
    ("source", "target", "rows", "message"),
    [
        ("a￨x\n", "b\n", 10, "src, line 1: words with features"),
        ("a\nb\n", "b\n", 10, "tgt: this file has 1 lines"),
        ("a\n", "b\n", 3, "3 x 2 numbers do not fit the 10 words"),
    ],
)
def test_what_does_not_fit_leaves_no_file(
    tmp_path: Path,
    vocabulary: Vocabulary,
    capsys: pytest.CaptureFixture[str],
    source: str,
    target: str,
    rows: int,
    message: str,
) -> None:
    torch.save(torch.zeros(rows, 2), tmp_path / "table.pt")
    (tmp_path / "src").write_bytes(source.encode())
    (tmp_path / "tgt").write_bytes(target.encode())
    assert apply(tmp_path, "-txt_tgt", str(tmp_path / "tgt")) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_vectors_of_a_model(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    vocabulary: Vocabulary,
) -> None:
    target = Vocabulary(["<blank>", "<unk>", "<s>", "</s>", "Haus"])
    content = {
        "vocabularies": Vocabularies(src=(vocabulary,), tgt=(target,)).to_state(),
        "weights": {
            "source.words": torch.arange(20).reshape(10, 2) / 3,
            "decoder.embeddings.words": torch.zeros(5, 3),
        },
        "spec": {"decoder": {"shares_source_embedding": False}},
    }
    monkeypatch.setattr("onmt.models.loading.read_content", lambda path: content)
    (tmp_path / "model.pt").touch()
    arguments = ["-model", str(tmp_path / "model.pt"), "-output_dir", str(tmp_path)]
    assert extract_embeddings(arguments) == 0
    assert [line.split("INFO] ")[1] for line in capsys.readouterr().out.splitlines()] == [
        f"Loading model '{tmp_path}/model.pt'...",
        "Found source embeddings of size 10",
        "Found target embeddings of size 5",
        "Writing source embeddings",
        "Writing target embeddings",
        "... done.",
    ]
    lines = (tmp_path / "src_embeddings.txt").read_text(encoding="utf-8").split("\n")
    assert lines[4] == "house 2.666667 3.000000"
    assert len(lines) == 11
    assert (tmp_path / "tgt_embeddings.txt").read_text().endswith("Haus 0.000000 0.000000 0.000000\n")
    content["weights"] = {}
    assert extract_embeddings(arguments) == 1
    content |= {
        "vocabularies": Vocabularies(src=(vocabulary,), tgt=(vocabulary,)).to_state(),
        "weights": {"source.words": torch.arange(20).reshape(10, 2) / 3},
        "spec": {"decoder": {"shares_source_embedding": True}},
    }
    assert extract_embeddings(arguments) == 0
    assert (tmp_path / "tgt_embeddings.txt").read_bytes() == (tmp_path / "src_embeddings.txt").read_bytes()
