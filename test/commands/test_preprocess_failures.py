"""preprocess.py refuses bad input with one line, and leaves no partial data behind when it fails."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared_text import PAIRS, files, run_failing, write_pairs

from onmt.commands.pipeline import preprocess
from onmt.data import preprocess as saving
from onmt.data.loading import open_prepared
from onmt.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("src", "tgt", "extra", "code", "message"),
    [
        (b"a\nb\n", b"x\n", [], 1, "train.tgt has 1 lines but"),
        (b"a\n\xff\n", b"x\ny\n", [], 1, "train.src, line 2, byte offset 0: not valid UTF-8"),
        (b"", b"", [], 1, "none of 0 sentences can be used"),
        (b"a a\n\n", b"x\ny\n", ["-src_seq_length", "1"], 1, "source empty: 1, source longer than 1: 1"),
        ("a￨X\nb\n".encode(), b"x\ny\n", [], 1, "train.src, line 2: 0 word features"),
        (b"a\n", b"x\n", ["-features_vocabs_prefix", "nowhere"], 0, ""),
        (
            "a￨X\n".encode(),
            b"x\n",
            ["-features_vocabs_prefix", "nowhere"],
            1,
            "nowhere.source_feature_1.dict",
        ),
        (b"a\n", b"x\n", ["-save_data", "/nonexistent/d"], 1, "there is no folder '/nonexistent'"),
        (b"a\n", b"x\n", ["-idx_files"], 1, "the key 'x' is not in"),
        (b"a\n", b"x\n", ["-valid_src", __file__], 2, "-valid_tgt is missing beside -valid_src"),
        (b"a\n", b"x\n", ["-data_type", "feattext"], 2, "-idx_files"),
        (
            b"a\n",
            b"x\n",
            ["-src_vocab", __file__],
            1,
            "test_preprocess_failures.py, line 1: expected 'word index",
        ),
    ],
)
def test_bad_input_ends_in_one_line_and_nothing_is_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    src: bytes,
    tgt: bytes,
    extra: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "train.src").write_bytes(src)
    (tmp_path / "train.tgt").write_bytes(tgt)
    flags = ["-train_src", f"{tmp_path}/train.src", "-train_tgt", f"{tmp_path}/train.tgt"]
    save = [] if "-save_data" in extra else ["-save_data", f"{tmp_path}/d"]
    if code == 0:
        assert preprocess([*flags, *save, *extra]) == 0
        return
    found, error = run_failing([*flags, *save, *extra], capsys)
    assert (found, message in error) == (code, True), error
    assert files(tmp_path) == {"train.src", "train.tgt"}


def test_a_missing_training_file_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = run_failing(["-save_data", f"{tmp_path}/d"], capsys)
    assert code == 2
    assert "-train_src is missing" in error


def test_a_failure_keeps_the_data_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d"]
    assert preprocess(flags) == 0
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "write_shard", full)
    code, error = run_failing([*flags, "-seed", "7"], capsys)
    assert code == 1
    assert "d-train-0001.bin: cannot write: No space left on device" in error
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "swap"])
def test_damaged_data_is_refused_in_one_line_naming_the_file(tmp_path: Path, damage: str) -> None:
    for name in "de":
        flags = write_pairs(tmp_path, PAIRS if name == "d" else PAIRS[:2])
        assert preprocess([*flags, "-save_data", f"{tmp_path}/{name}"]) == 0
    shard = tmp_path / "d-train-0001.bin"
    content = bytearray(shard.read_bytes())
    if damage == "cut":
        shard.write_bytes(content[:-4])
    elif damage == "flip":
        content[-1] ^= 1
        shard.write_bytes(content)
    elif damage == "remove":
        shard.unlink()
    else:
        shard.write_bytes((tmp_path / "e-train-0001.bin").read_bytes())
    with pytest.raises(DataError, match=r"d-train-0001\.bin: "):
        open_prepared(f"{tmp_path}/d")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("sentences", 6, "d-train-0001.bin: holds 5 sentences, but {folder}/d-train.json announces 6"),
        ("sentences", 10**15, "holds 5 sentences, but {folder}/d-train.json announces 1000000000000000"),
        ("size", 10**15, "d-train-0001.bin: damaged, {size} bytes instead of 1000000000000000"),
    ],
)
def test_counts_of_the_manifest_are_held_against_the_shards(
    tmp_path: Path, name: str, value: int, told: str
) -> None:
    assert preprocess([*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d", "-disable_logs"]) == 0
    path = tmp_path / "d-train.json"
    content = json.loads(path.read_bytes())
    size = content["train"][0]["size"]
    content["train"][0][name] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError) as refused:
        open_prepared(f"{tmp_path}/d")
    assert told.format(folder=tmp_path, size=size) in str(refused.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_manifest_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    assert preprocess([*write_pairs(folder, PAIRS), "-save_data", f"{folder}/d", "-disable_logs"]) == 0
    path = folder / "d-train.json"
    content = json.loads(path.read_bytes())
    place = data.draw(st.sampled_from(["format", "data_type", "train", "valid", "options", "vocabularies"]))
    if data.draw(st.booleans()):
        del content[place]
    else:
        content[place] = data.draw(st.sampled_from([None, 7, "x", [], [1], {"a": 1}, [{"file": 3}]]))
    text = json.dumps(content)
    path.write_text(text[: int(len(text) * data.draw(st.sampled_from([0, 0.1, 0.5, 0.9, 1, 1, 1])))])
    try:
        found = open_prepared(f"{folder}/d")
    except DataError as error:
        assert "d-train" in str(error)  # noqa: PT017 - it may also be harmless
        return
    assert len(found.train) == len(PAIRS)


@settings(max_examples=60, deadline=None)
@given(
    src=st.binary(max_size=30),
    tgt=st.binary(max_size=30),
    kind=st.sampled_from(["bitext", "idx", "feattext"]),
)
def test_any_files_are_prepared_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, src: bytes, tgt: bytes, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "s").write_bytes(src)
    (folder / "t").write_bytes(tgt)
    extra = {"bitext": [], "idx": ["-idx_files"], "feattext": ["-idx_files", "-data_type", "feattext"]}[kind]
    flags = ["-train_src", f"{folder}/s", "-train_tgt", f"{folder}/t", *extra, "-save_data", f"{folder}/d"]
    code = preprocess([*flags, "-disable_logs"])
    assert code in (0, 1)
    assert (code == 0) == (folder / "d-train.json").exists()
    if code == 0:
        assert len(open_prepared(f"{folder}/d").train) >= 1


def test_nothing_is_left_when_the_run_is_killed_while_saving(tmp_path: Path) -> None:
    flags = [*write_pairs(tmp_path, PAIRS), "-save_data", f"{tmp_path}/d"]
    program = (
        "import os, signal\n"
        "from onmt.commands.pipeline import preprocess\n"
        "from onmt.files import StagedFiles\n"
        "StagedFiles.commit = lambda self, outdated: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"preprocess({flags!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert files(tmp_path) == {"train.src", "train.tgt"}
