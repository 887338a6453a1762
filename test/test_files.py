"""onmt/files.py"""

import os
from pathlib import Path

import pytest

from onmt import files
from onmt.errors import DataError
from onmt.files import StagedFiles, replacing


@pytest.fixture(params=["nameless", "named"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder; `named`: the system cannot give a name to a nameless file (`O_TMPFILE`)."""
    if request.param == "named":
        monkeypatch.setattr(files, "_OPEN_FILES", "/nowhere")
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_appear_together(folder: Path) -> None:
    (folder / "a").write_bytes(b"old")
    with StagedFiles() as staged:
        for name in "ab":
            with staged.open(folder / name) as file:
                file.write(name.encode() * 3)
        assert content(folder)["a"] == b"old"
        assert "b" not in content(folder)
        staged.commit()
    assert content(folder) == {"a": b"aaa", "b": b"bbb"}
    mask = os.umask(0)
    os.umask(mask)
    assert (folder / "a").stat().st_mode & 0o777 == 0o666 & ~mask


def test_nothing_is_left_of_what_was_not_committed(folder: Path) -> None:
    (folder / "a").write_bytes(b"old")
    with StagedFiles() as staged, staged.open(folder / "a") as file:
        file.write(b"new")
    with pytest.raises(RuntimeError), replacing(folder / "b") as file:
        raise RuntimeError
    assert content(folder) == {"a": b"old"}


def test_a_file_that_looks_temporary_is_left_alone(folder: Path) -> None:
    (folder / "other").write_bytes(b"mine")
    (folder / "a.tmp").symlink_to(folder / "other")
    with replacing(folder / "a") as file:
        file.write(b"new")
    assert content(folder) == {"a": b"new", "a.tmp": b"mine", "other": b"mine"}


def test_two_writers_of_one_file_do_not_mix(folder: Path) -> None:
    with replacing(folder / "a") as first:
        first.write(b"1" * 10)
        with replacing(folder / "a") as second:
            second.write(b"22")
        assert (folder / "a").read_bytes() == b"22"
        first.write(b"1" * 10)
    assert content(folder) == {"a": b"1" * 20}


def test_the_longest_name_a_folder_takes(folder: Path) -> None:
    longest = "n" * os.pathconf(folder, "PC_NAME_MAX")
    with replacing(folder / longest) as file:
        file.write(b"new")
    assert content(folder) == {longest: b"new"}


def test_what_cannot_be_written_is_said(folder: Path) -> None:
    with (
        pytest.raises(DataError, match="none/a: cannot write: No such file"),
        replacing(folder / "none" / "a"),
    ):
        pass
    (folder / "sub").mkdir()
    with pytest.raises(DataError, match="sub: cannot write: Is a directory"), replacing(folder / "sub"):
        pass
    assert {path.name for path in folder.iterdir()} == {"sub"}
    assert not (folder / "sub.tmp").exists()


def test_what_a_link_points_to_is_replaced_and_devices_are_written_to(folder: Path) -> None:
    (folder / "real").write_bytes(b"old")
    (folder / "link").symlink_to(folder / "real")
    with replacing(folder / "link") as file:
        file.write(b"new")
    assert (folder / "link").is_symlink()
    assert (folder / "real").read_bytes() == b"new"
    with replacing(os.devnull) as file:
        file.write(b"gone")
    assert Path(os.devnull).is_char_device()


def test_what_is_outdated_goes_only_when_all_is_ready(folder: Path) -> None:
    (folder / "old").write_bytes(b"1")
    (folder / "sub").mkdir()
    with StagedFiles() as staged:
        for name in ("new", "sub"):
            with staged.open(folder / name):
                pass
        with pytest.raises(DataError, match="sub: cannot write: Is a directory"):
            staged.commit(outdated=folder / "old")
    assert {path.name for path in folder.iterdir()} == {"old", "sub"}
    with StagedFiles() as staged:
        with staged.open(folder / "new"):
            pass
        staged.commit(outdated=folder / "old")
    assert {path.name for path in folder.iterdir()} == {"new", "sub"}


def test_a_link_that_leads_back_to_itself_is_left_alone(folder: Path) -> None:
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    with pytest.raises(DataError, match="a: cannot write: Too many levels"), replacing(folder / "a"):
        pass
    assert sorted(path.name for path in folder.iterdir() if path.is_symlink()) == ["a", "b"]
