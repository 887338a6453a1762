from pathlib import Path

import pytest

from onmt.commands.demo import generate_shapes

pytest.importorskip("PIL.Image")


def run(folder: Path, seed: int) -> dict[str, bytes]:
    sizes = ["-train", "3", "-valid", "2", "-test", "1", "-size", "40"]
    assert generate_shapes(["-output", str(folder), *sizes, "-seed", str(seed)]) == 0
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def test_lists_and_images_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    files = run(tmp_path / "a" / "b", 1)
    lists = [f"{split}.tsv" for split in ("train", "valid", "test")]
    named = [line.split(b"\t")[0].decode() for name in lists for line in files[name].splitlines()]
    assert sorted(files) == sorted([*lists, *named])
    assert named == [
        f"{s}/{i:06}.png" for s, n in (("train", 3), ("valid", 2), ("test", 1)) for i in range(1, n + 1)
    ]
    assert run(tmp_path / "c", 1) == files
    assert run(tmp_path / "d", 2) != files


@pytest.mark.parametrize("flags", [["-train", "0"], ["-size", "20"]])
def test_bad_sizes_are_refused(tmp_path: Path, flags: list[str]) -> None:
    assert generate_shapes(["-output", str(tmp_path / "x"), *flags]) == 2
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert generate_shapes(["-output", str(tmp_path / "file" / "shapes")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
