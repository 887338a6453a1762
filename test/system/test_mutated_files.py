"""A damaged file of any format that the commands read gives one line or a result, never a traceback.

If a format has checksums, damage that changes its content must be refused.
"""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from onmt.checkpoint import load_checkpoint
from onmt.commandline.document import commands

TINY = ["-layers", "1", "-rnn_size", "4", "-word_vec_size", "4", "-disable_logs"]
SAMPLE, ALL = 12, 800
"""Number of damaged files per format, by default and in the slow suite."""


@dataclass(frozen=True)
class Format:
    """A file format and the command that reads it.

    same: whether a damaged file still has the good file's content, so that the command may accept it; None if
    the format cannot detect damage.
    """

    name: str
    command: str
    argv: tuple[str, ...]
    same: Callable[[Path, Path], bool] | None = None


def same_json(path: Path, other: Path) -> bool:
    try:
        return bool(json.loads(path.read_bytes()) == json.loads(other.read_bytes()))
    except ValueError:
        return False


def same_model(path: Path, other: Path) -> bool:
    try:
        one, two = load_checkpoint(path), load_checkpoint(other)
    except Exception:
        return False
    return all(torch.equal(one["weights"][name], weight) for name, weight in two["weights"].items())


def never(path: Path, other: Path) -> bool:
    return path.read_bytes() == other.read_bytes()


TRAIN = ("-save_model", "out/m", "-train_steps", "1", *TINY)
TRANSLATE = ("-src", "src", "-output", "out/o", "-disable_logs")
FORMATS = (
    Format("d-train.json", "train", ("-data", "d", *TRAIN), same_json),
    Format("d-train-0001.bin", "train", ("-data", "d", *TRAIN), never),
    Format("m.pt", "translate", ("-model", "m.pt", *TRANSLATE), same_model),
    Format(
        "vectors.pt",
        "apply_embeddings",
        ("-txt_src", "src", "-dict", "d.src.dict", "-embed_data", "vectors.pt", "-save_prefix", "out/a"),
    ),
    Format(
        "d.src.dict",
        "preprocess",
        (
            "-train_src",
            "src",
            "-train_tgt",
            "src",
            "-valid_src",
            "src",
            "-valid_tgt",
            "src",
            "-src_vocab",
            "d.src.dict",
            "-save_data",
            "out/d",
            "-disable_logs",
        ),
    ),
    Format(
        "src",
        "preprocess",
        (
            "-train_src",
            "src",
            "-train_tgt",
            "src",
            "-valid_src",
            "src",
            "-valid_tgt",
            "src",
            "-save_data",
            "out/d",
            "-disable_logs",
        ),
    ),
    Format(
        "vec.txt",
        "preprocess",
        (
            "-data_type",
            "feattext",
            "-idx_files",
            "-train_src",
            "vec.txt",
            "-train_tgt",
            "keyed",
            "-valid_src",
            "vec.txt",
            "-valid_tgt",
            "keyed",
            "-save_data",
            "out/f",
            "-disable_logs",
        ),
    ),
    Format(
        "w2v.bin",
        "embeddings",
        (
            "-embed_type",
            "word2vec-bin",
            "-embed_file",
            "w2v.bin",
            "-dict_file",
            "d.src.dict",
            "-save_data",
            "out/e",
            "-disable_logs",
        ),
    ),
    Format(
        "w2v.txt",
        "embeddings",
        (
            "-embed_type",
            "word2vec-txt",
            "-embed_file",
            "w2v.txt",
            "-dict_file",
            "d.src.dict",
            "-save_data",
            "out/e",
            "-disable_logs",
        ),
    ),
    Format(
        "bpe",
        "preprocess",
        (
            "-train_src",
            "src",
            "-train_tgt",
            "src",
            "-valid_src",
            "src",
            "-valid_tgt",
            "src",
            "-tok_src_bpe_model",
            "bpe",
            "-save_data",
            "out/d",
            "-disable_logs",
        ),
    ),
    Format("table", "translate", ("-model", "m.pt", "-phrase_table", "table", "-replace_unk", *TRANSLATE)),
    Format("config", "translate", ("-config", "config", *TRANSLATE)),
    Format("att", "visualize", ("-attention", "att", "-output", "out/p.html", "-disable_logs")),
    Format("att.npz", "visualize", ("-attention", "att.npz", "-output", "out/p.html", "-disable_logs")),
    Format("beam.json", "visualize", ("-beam", "beam.json", "-output", "out/p.html", "-disable_logs")),
    Format("log", "plot_training", ("-logs", "log", "-output", "out/p.png", "-disable_logs")),
)


def call(command: str, *argv: str) -> int:
    code = commands()[command](list(argv))
    assert isinstance(code, int)
    return code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with undamaged files of every format."""
    with pytest.MonkeyPatch.context() as patch:
        here = tmp_path_factory.mktemp("formats")
        patch.chdir(here)
        Path("out").mkdir()
        Path("src").write_text("a b c\nb c d a\nc a b\n", encoding="utf-8")
        Path("keyed").write_text("k1 a b\nk2 b\n", encoding="utf-8")
        Path("vec.txt").write_text("k1 [\n1 2\n3 4 ]\nk2 [\n5 6 ]\n", encoding="utf-8")
        flags = ("-train_src", "-train_tgt", "-valid_src", "-valid_tgt")
        pairs = [word for flag in flags for word in (flag, "src")]
        assert call("preprocess", *pairs, "-save_data", "d", "-disable_logs") == 0
        assert call("train", "-data", "d", "-save_model", "n", "-train_steps", "1", *TINY) == 0
        (model,) = here.glob("n_epoch1_*.pt")
        shutil.copy(model, "m.pt")
        torch.save(torch.rand(8, 3), "vectors.pt")
        Path("w2v.txt").write_text("2 3\na 1 2 3\nb 4 5 6\n", encoding="utf-8")
        numbers = np.arange(3, dtype=np.float32).tobytes()
        Path("w2v.bin").write_bytes(b"2 3\na " + numbers + b"\nb " + numbers + b"\n")
        Path("bpe").write_text("v3;false;true;false;<w>;</w>\na b\nab c</w>\n", encoding="utf-8")
        Path("table").write_text("a ||| b\nc ||| d\n", encoding="utf-8")
        Path("config").write_text("model = m.pt\nbeam_size = 2\n", encoding="utf-8")
        for names in (("att", "beam.json"), ("att.npz", "out/b.npz")):
            files = ["-save_attention", names[0], "-save_beam_to", names[1], "-max_sent_length", "4"]
            assert call("translate", "-model", "m.pt", *TRANSLATE, *files) == 0
        Path("log").write_text(
            "[x INFO] Epoch 1 ; Iteration 1/2 ; Optim SGD LR 1.000000 ; Source tokens/s 5 ; "
            "Perplexity 12.3\n",
            encoding="utf-8",
        )
        return here


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Truncate the content, remove, insert or replace bytes, or flip one or several bits."""
    kind, place = draw.randrange(6), draw.randrange(max(1, len(content)))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + content[place + draw.randrange(1, 9) :]
    if kind == 2:
        return content[:place] + draw.randbytes(draw.randrange(1, 9)) + content[place:]
    if kind == 3:
        pieces = [b"9" * 21, b"-1", b"\n", b"\xff", b"nan", b" ", b"1e999", b"[", b'"']
        piece = draw.choice(pieces)
        return content[:place] + piece + content[place + len(piece) :]
    changed = bytearray(content)
    for _ in range(1 if kind == 4 else draw.randrange(1, 20)):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def check(form: Format, folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    path, good = folder / form.name, folder / "good"
    content = path.read_bytes()
    good.write_bytes(content)
    draw = random.Random(form.name)
    try:
        assert call(form.command, *form.argv) == 0, "the undamaged file"
        for number in range(count):
            path.write_bytes(damaged(content, draw))
            code = call(form.command, *form.argv)  # a bug would be an exception
            assert code in (0, 1, 2), (form.name, number, code)
            if code == 0 and form.same is not None:
                assert form.same(path, good), f"damage {number} of {form.name} was not noticed"
    finally:
        path.write_bytes(content)
        good.unlink()
        shutil.rmtree(folder / "out")
        (folder / "out").mkdir()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_damaged_files(form: Format, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(form, folder, SAMPLE, monkeypatch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_many_damaged_files(form: Format, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(form, folder, ALL, monkeypatch)
