"""onmt/data/images.py: images look as a viewer shows them on a white page."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onmt.data.images import read_image
from onmt.data.vocabulary import ImageSize
from onmt.errors import DataError

Image = pytest.importorskip("PIL.Image")

ROWS, COLUMNS = 3, 2


def shown(path: Path, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Read an image as rows x columns x colours, in a signed dtype so that differences may be negative."""
    return read_image(str(path), ImageSize(rows, columns), "list, line 1").transpose(1, 2, 0).astype(int)


def write_png(path: Path, samples: np.ndarray, bits: int, kind: int, transparent: tuple[int, ...]) -> None:
    """Write a PNG file of grey (kind 0) or colour (2) samples with a transparent value."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = samples.reshape(len(samples), -1)
    bit_rows = (rows[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(bit_rows.reshape(len(rows), -1).astype(np.uint8), axis=1)
    header = struct.pack(">IIBBBBB", samples.shape[1], len(samples), bits, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed)))
        + chunk(b"IEND", b"")
    )


PIXELS = st.lists(st.tuples(*[st.integers(0, 255)] * 4), min_size=ROWS * COLUMNS, max_size=ROWS * COLUMNS)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=PIXELS,
    mode=st.sampled_from(["RGBA", "LA", "RGB", "L", "PA", "P", "1"]),
    suffix=st.sampled_from(["png", "tiff", "webp"]),
)
def test_transparent_parts_are_composed_onto_white(tmp_path, pixels, mode, suffix):
    image = Image.new("RGBA", (COLUMNS, ROWS))
    image.putdata(pixels)
    if mode == "P":
        image = image.quantize(8)  # a palette with transparent colours
    elif mode != "RGBA":
        image = image.convert(mode if mode != "PA" else "LA")
    path = tmp_path / f"x.{suffix}"
    if suffix == "webp":
        image.save(path, lossless=True, exact=True)
    else:
        image.save(path)
    with Image.open(path) as stored:
        colours = np.asarray(stored.convert("RGBA")).astype(float)
    alpha = colours[..., 3:] / 255
    assert np.abs(shown(path) - (colours[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), bits=st.sampled_from([1, 2, 4, 8, 16]))
def test_a_transparent_grey_level_is_white(tmp_path, data, bits):
    levels = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=6, max_size=6))
    key = data.draw(st.sampled_from([*levels, 0]))
    samples = np.array(levels).reshape(ROWS, COLUMNS)
    write_png(tmp_path / "x.png", samples, bits, 0, (key,))
    of_8_bits = samples >> 8 if bits == 16 else samples * 255 // (2**bits - 1)
    expected = np.where(samples == key, 255, of_8_bits)
    assert (shown(tmp_path / "x.png") == expected[..., None]).all()


def test_a_transparent_colour_is_white(tmp_path):
    samples = np.array([[[0, 0, 0], [0, 0, 1]], [[9, 8, 7], [0, 0, 0]]])
    write_png(tmp_path / "x.png", samples, 8, 2, (0, 0, 0))
    assert shown(tmp_path / "x.png", 2, 2).tolist() == [[[255] * 3, [0, 0, 1]], [[9, 8, 7], [255] * 3]]
    write_png(tmp_path / "x.png", samples, 16, 2, (0, 0, 0))
    with pytest.raises(DataError, match=r"list, line 1: the image .*x\.png' has 16 bits per colour and a tr"):
        shown(tmp_path / "x.png", 2, 2)


def test_a_transparent_palette_entry_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 0, 0])
    image.putdata([0, 1])
    for name in ("x.png", "x.gif"):
        image.save(tmp_path / name, transparency=1)
        assert shown(tmp_path / name, 1, 2).tolist() == [[[200, 0, 0], [255, 255, 255]]]
    image.save(tmp_path / "x.png", transparency=b"\x80\xff")  # half transparent
    assert shown(tmp_path / "x.png", 1, 2).tolist() == [[[227, 127, 127], [0, 0, 0]]]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_photographs_are_turned_upright(tmp_path, suffix):
    upright = np.array([[0, 60, 120], [160, 200, 240]], dtype=np.uint8)
    upright = np.repeat(np.repeat(upright, 16, 0), 16, 1)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }
    for orientation, levels in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"x.{suffix}"
        Image.fromarray(np.ascontiguousarray(levels)).save(path, exif=exif)
        assert np.abs(shown(path, 32, 48)[..., 0] - upright).max() < 25, orientation


def test_an_orientation_that_cannot_be_read_is_none(tmp_path):
    path = tmp_path / "x.jpg"
    Image.new("L", (2, 1), 7).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert (shown(path, 1, 2) == 7).all()


def test_grey_of_12_bits_and_grey_whose_white_is_0(tmp_path):
    for name, bits, photometric, row, expected in (
        ("twelve.tiff", 12, 1, b"\x00\x0f\xff", [0, 255]),
        ("inverted.tiff", 16, 0, b"\xff\xff\x00\x00", [0, 255]),
    ):
        tags = [
            (256, 2),
            (257, 1),
            (258, bits),
            (259, 1),
            (262, photometric),
            (273, 110),
            (277, 1),
            (279, len(row)),
        ]
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        content = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0" * 4
        (tmp_path / name).write_bytes(content + row)
        assert len(content) == 110
        assert shown(tmp_path / name, 1, 2)[0, :, 0].tolist() == expected


def test_other_forms(tmp_path):
    (tmp_path / "x.pgm").write_bytes(b"P5 2 1 65535\n\x80\x00\xff\xff")
    assert shown(tmp_path / "x.pgm", 1, 2)[0, :, 0].tolist() == [128, 255]
    Image.new("CMYK", (2, 1), (0, 255, 0, 51)).save(tmp_path / "x.tiff")
    assert shown(tmp_path / "x.tiff", 1, 2)[0, 0].tolist() == [204, 0, 204]
    Image.new("LAB", (2, 1)).save(tmp_path / "lab.tiff")
    with pytest.raises(DataError, match=r"lab\.tiff' has colours of mode LAB: save it as RGB"):
        shown(tmp_path / "lab.tiff", 1, 2)
    frames = [Image.new("RGB", (2, 1), (level, 0, 0)) for level in (50, 99)]
    frames[0].save(tmp_path / "x.tiff", save_all=True, append_images=frames[1:])
    assert shown(tmp_path / "x.tiff", 1, 2)[0, 0, 0] == 50
