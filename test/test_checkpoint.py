import os
import random
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onmt.checkpoint import FORMAT, load_checkpoint, load_tensors, save_checkpoint
from onmt.errors import CheckpointError


def example_content() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    return {
        "format": FORMAT,
        "version": "0.1",
        "data_type": "bitext",
        "spec": {"kind": "seq2seq", "sizes": [1, 2]},
        "options": {"learning_rate": 1.0, "gpuid": (0,), "fix": None},
        "vocabularies": {"src": ["<blank>", "größe"]},
        "weights": {"a": torch.rand(7, 5, generator=generator), "b": torch.arange(3)},
        "training": {"epoch": 2, "optimizer": {"mean": {"a": torch.rand(7, 5, generator=generator)}}},
    }


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, example_content())
    assert same(load_checkpoint(path), example_content())
    assert os.listdir(tmp_path) == ["model.pt"]


def test_saving_replaces_the_file_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    (tmp_path / "model.pt.tmp").symlink_to(tmp_path / "mine")
    (tmp_path / "mine").write_bytes(b"kept")
    save_checkpoint(path, example_content())
    save_checkpoint(path, example_content() | {"version": "0.2"})
    assert load_checkpoint(path)["version"] == "0.2"
    assert sorted(os.listdir(tmp_path)) == ["mine", "model.pt", "model.pt.tmp"]
    assert (tmp_path / "mine").read_bytes() == b"kept"


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link.pt").symlink_to(tmp_path / "model.pt")
    save_checkpoint(tmp_path / "link.pt", example_content())
    assert (tmp_path / "link.pt").is_symlink()
    assert same(load_checkpoint(tmp_path / "model.pt"), example_content())


def test_a_device_is_written_to() -> None:
    save_checkpoint(os.devnull, example_content())
    assert Path(os.devnull).is_char_device()


def test_a_failed_save_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, example_content())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = example_content() | {"weights": {"a": torch.rand(1000, 1000)}}
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
            save_checkpoint(path, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same(load_checkpoint(path), example_content())
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.parametrize(
    "value", [torch.__version__, np.float64(1), {1: 2}, torch.nn.Parameter(torch.ones(1))]
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(AssertionError, match="a checkpoint cannot hold"):
        save_checkpoint(tmp_path / "model.pt", example_content() | {"training": {"value": value}})
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere/model\.pt': No such file"):
        save_checkpoint(tmp_path / "nowhere" / "model.pt", example_content())


@pytest.mark.parametrize("name", ["missing.pt", "."])
def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="cannot read the model"):
        load_checkpoint(tmp_path / name)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    for damage in (b"", b"hello\n", b"PK\x03\x04", bytes(100)):
        path.write_bytes(damage)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "not ours")
    with pytest.raises(CheckpointError, match="not a model of this program"):
        load_checkpoint(path)
    foreign: list[Any] = [{"state_dict": {}}, [1], torch.zeros(2), example_content() | {"weights": {"a": 1}}]
    for content in foreign:
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="not a model of this program"):
            load_checkpoint(path)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"format": FORMAT, "weights": Hostile()}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "model.pt")
    assert not (tmp_path / "executed").exists()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    torch.save(example_content() | {"format": FORMAT + 1}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="newer version"):
        load_checkpoint(tmp_path / "model.pt")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, example_content())
    whole = path.read_bytes()
    draw = random.Random(5)
    for length in [*range(40), *draw.sample(range(len(whole)), 60), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


def test_a_changed_byte_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, example_content())
    whole = path.read_bytes()
    draw = random.Random(6)
    refused = 0
    for position in draw.sample(range(len(whole)), 300):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            content = load_checkpoint(path)
        except CheckpointError:
            refused += 1
        else:  # padding between the members of the archive
            assert same(content, example_content())
    assert refused > 100


def test_a_member_marked_as_folder_is_refused(tmp_path: Path) -> None:
    """This bit is covered by no checksum, and setting it makes torch return uninitialised memory."""
    path = tmp_path / "model.pt"
    save_checkpoint(path, example_content())
    whole = bytearray(path.read_bytes())
    entry = (
        whole.rindex(b"archive/data/0") - 46
    )  # an entry of the central directory has 46 bytes before the name
    whole[entry + 38] |= 0x10
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="marked as a folder"):
        load_checkpoint(path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "m.pt", example_content())
    with (
        zipfile.ZipFile(tmp_path / "m.pt") as stored,
        zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as compressed,
    ):
        for member in stored.infolist():
            compressed.writestr(member.filename, stored.read(member))
    with pytest.raises(CheckpointError, match="is compressed, as torch never does"):
        load_checkpoint(tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="is compressed"):
        load_tensors(tmp_path / "c.pt")
