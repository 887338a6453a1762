"""onmt/data/images.py, and preprocess.py -data_type img."""

import sys
from pathlib import Path

import numpy as np
import pytest

from onmt.commands.pipeline import preprocess
from onmt.data import images as images_module
from onmt.data.images import beside, read_image, read_image_list
from onmt.data.loading import open_prepared
from onmt.data.vocabulary import ImageSize
from onmt.errors import DataError, OptionError

Image = pytest.importorskip("PIL.Image")

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
CAPTIONS = {"red": RED, "green": GREEN, "blue": BLUE}


def write_images(folder: Path, name: str = "train.tsv", mode: str = "RGB") -> Path:
    """Write a folder of one-coloured images, and a list of them with captions that name the colours."""
    (folder / "pictures").mkdir(exist_ok=True)
    for word, colour in CAPTIONS.items():
        Image.new("RGB", (6, 4), colour).convert(mode).save(folder / "pictures" / f"{word}.png")
    path = folder / name
    path.write_bytes(b"".join(f"pictures/{word}.png\ta {word} one\n".encode() for word in CAPTIONS))
    return path


def prepare(folder: Path, listed: Path, *flags: str) -> int:
    size = ["-image_height", "4", "-image_width", "5"]
    data = ["-data_type", "img", "-train", str(listed), "-save_data", str(folder / "d")]
    return preprocess([*data, *size, *flags])


def test_an_image_is_resized_and_its_colours_come_first(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    picture = Image.new("RGB", (4, 2), RED)
    picture.paste(BLUE, (2, 0, 4, 2))
    picture.save(path)
    same = read_image(str(path), ImageSize(2, 4), "here")
    assert same.shape == (3, 2, 4)
    assert same[0].tolist() == [[255, 255, 0, 0]] * 2
    assert same[2].tolist() == [[0, 0, 255, 255]] * 2
    # Resized to one pixel: the bilinear filter is symmetric, so both halves have the same weight.
    assert read_image(str(path), ImageSize(1, 1), "here")[:, 0, 0].tolist() == [128, 0, 128]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_every_kind_of_colours_becomes_red_green_blue(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.tiff"
    Image.new("RGB", (3, 3), WHITE).convert(mode).save(path)
    assert read_image(str(path), ImageSize(2, 2), "here").min() == 255


@pytest.mark.parametrize("name", ["x.png", "x.tiff"])
def test_16_bits_become_8(tmp_path: Path, name: str) -> None:
    levels = np.array([[0x0000, 0x00FF], [0x8000, 0xFFFF]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / name)
    read = read_image(str(tmp_path / name), ImageSize(2, 2), "here")
    assert read.tolist() == [[[0, 0], [128, 255]]] * 3


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_levels_of_unknown_range_are_refused(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.ones((2, 2), dtype=kind)).save(tmp_path / "x.tiff")
    with pytest.raises(DataError, match=r"here: the image .*x\.tiff' has grey levels of unknown range"):
        read_image(str(tmp_path / "x.tiff"), ImageSize(2, 2), "here")


def test_a_bad_byte_of_a_caption_is_counted_in_its_line(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"x.png\ta \xff\n")
    with pytest.raises(DataError, match="list, line 1, byte offset 8: not valid UTF-8"):
        list(read_image_list(str(tmp_path / "list"), lambda _: None))


def test_lists_are_read_in_small_blocks_with_the_numbers_of_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "_IMAGES_AT_A_TIME", 2)
    path = tmp_path / "x.tsv"
    path.write_bytes("a.png\tein Bär\r\n/b.png\t\nc d.png\tx y".encode())
    blocks = list(read_image_list(str(path), lambda _: None))
    assert [len(images) for images, _ in blocks] == [2, 1]
    assert [image for images, _ in blocks for image in images.images] == [
        str(tmp_path / "a.png"),
        "/b.png",
        str(tmp_path / "c d.png"),
    ]
    assert [line for _, captions in blocks for line in captions.lines()] == ["ein Bär", "", "x y"]
    assert blocks[1][0].where(0) == blocks[1][1].where(0) == f"{path}, line 3"


@pytest.mark.parametrize("line", ["a.png", "\tcaption", "a.png\tone\ttwo", ""])
def test_lines_that_are_no_image_with_caption_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(f"a.png\tfine\n{line}\n")
    with pytest.raises(DataError, match=r"x\.tsv, line 2: expected the path"):
        list(read_image_list(str(path), lambda _: None))


def test_names_start_from_the_folder_of_the_list() -> None:
    assert beside("list.tsv", "a.png") == "a.png"
    assert beside("there/list.tsv", "a.png") == "there/a.png"
    assert beside("there/list.tsv", "/a.png") == "/a.png"


def test_prepared_images_are_stored_as_bytes_beside_their_captions(tmp_path: Path) -> None:
    listed = write_images(tmp_path)
    assert prepare(tmp_path, listed, "-valid", str(listed), "-shard_size", "2") == 0
    data = open_prepared(str(tmp_path / "d"))
    assert data.data_type == "img"
    assert data.vocabularies.src == ()
    assert data.vocabularies.src_image_size == ImageSize(4, 5)
    assert {path.name for path in tmp_path.glob("*.dict")} == {"d.tgt.dict"}
    for dataset in (data.train, data.valid):
        assert dataset is not None
        batch = dataset.batch(np.arange(3))
        assert str(batch.src.dtype) == "torch.uint8"
        assert tuple(batch.src.shape) == (3, 3, 4, 5)
        assert batch.src_words == 3
        assert batch.tgt_output is not None
        for image, caption in zip(batch.src, batch.tgt_output[..., 0].tolist(), strict=True):
            word = data.vocabularies.tgt[0].word(caption[1])
            assert tuple(image[:, 2, 3].tolist()) == CAPTIONS[word]


def test_worker_processes_and_samples_give_the_same_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onmt.data import preparation

    listed = write_images(tmp_path)
    listed.write_bytes(listed.read_bytes() * 20)
    contents = []
    for enough in (1, 1 << 30):
        monkeypatch.setattr(preparation, "_LIST_WORTH_WORKERS", enough)
        assert prepare(tmp_path, listed, "-gsample", "30", "-preprocess_pthreads", "2") == 0
        contents.append((tmp_path / "d-train-0001.bin").read_bytes())
    assert contents[0] == contents[1]
    assert len(open_prepared(str(tmp_path / "d")).train) == 30


def test_captions_that_do_not_fit_are_dropped_with_their_images_unread(tmp_path: Path) -> None:
    listed = write_images(tmp_path)
    with listed.open("a") as file:
        file.write("pictures/none.png\t\npictures/none.png\tone two three four\n")
    assert prepare(tmp_path, listed, "-tgt_seq_length", "3") == 0
    assert len(open_prepared(str(tmp_path / "d")).train) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"no image", "it is damaged, too large, or no image"),
        (b"", "it is damaged, too large, or no image"),
    ],
)
def test_a_bad_image_is_named_by_list_and_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    listed = write_images(tmp_path)
    bad = tmp_path / "pictures" / "green.png"
    bad.unlink()
    if content is not None:
        bad.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    assert prepare(tmp_path, listed) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert line.endswith(f"{listed}, line 2: the image '{bad}' cannot be read: {reason}")
    assert sorted(tmp_path.iterdir()) == before


def test_half_an_image_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.effect_noise((50, 50), 90).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match="it is damaged"):
        read_image(str(path), ImageSize(2, 2), "here")


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    Image.new("1", (300, 300)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 80_000)
    with pytest.raises(DataError, match="too large"):
        read_image(str(path), ImageSize(2, 2), "here")


def test_without_pillow_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = write_images(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert prepare(tmp_path, listed) == 2
    with pytest.raises(OptionError, match=r"install it with the extra \[image\]"):
        read_image(str(tmp_path / "pictures" / "red.png"), ImageSize(2, 2), "here")


@pytest.mark.parametrize(
    "flags", [["-idx_files"], ["-train_src", "x"], ["-image_height", "0"], ["-train_dir", "."]]
)
def test_flags_that_mean_nothing_for_images_are_refused(tmp_path: Path, flags: list[str]) -> None:
    assert prepare(tmp_path, write_images(tmp_path), *flags) == 2


def test_lists_of_a_folder(tmp_path: Path) -> None:
    write_images(tmp_path, "one.tsv")
    write_images(tmp_path, "two.tsv")
    size = ["-image_height", "2", "-image_width", "2"]
    data = ["-data_type", "img", "-train_dir", str(tmp_path), "-save_data", str(tmp_path / "d")]
    assert preprocess([*data, *size]) == 0
    assert len(open_prepared(str(tmp_path / "d")).train) == 6
