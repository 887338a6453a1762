"""Read images: convert them to upright, opaque 8-bit RGB and resize them. Torch-free."""

import os
import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onmt.data.corpus import ImageBlock, LineBlock, OnBytesRead, read_parallel
from onmt.data.vocabulary import ImageSize
from onmt.errors import DataError, OptionError
from onmt.text.lines import decode_line

_ALPHA_MODES: Final = ("RGBA", "RGBa", "LA", "La", "PA")
_OPAQUE_MODES: Final = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
_GREY_STEPS: Final = {"L;2": 85, "L;4": 17}
"""PNG files of 2 and 4 bits per pixel: Pillow scales the levels to 0..255, but not the transparent level."""

_ORIENTATION: Final = 0x0112
_BITS_PER_SAMPLE: Final = 258
_PHOTOMETRIC: Final = 262
"""Tags of EXIF and TIFF."""


class _UnreadableColoursError(Exception):
    """Unsupported colour format; the text gives the reason and the remedy."""


def require_pillow() -> Any:
    """Return Pillow's module `Image`. Raises OptionError if it is not installed."""
    try:
        from PIL import Image
    except ImportError as error:
        raise OptionError("reading images needs Pillow: install it with the extra [image]") from error
    return Image


def _shown_colours(image: Any) -> Any:
    """Convert a newly opened image to 8-bit RGB: upright, with transparent parts composed onto white.

    Only the first of several frames or pages is read. Raises _UnreadableColoursError.
    """
    form = str(image.tile[0][3]) if image.tile and isinstance(image.tile[0][3], str) else ""
    image.load()
    key = image.info.get("transparency")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        colours = _of_16_bit_grey(image, key)
    elif image.mode in ("I", "F"):
        raise _UnreadableColoursError(
            f"has grey levels of unknown range (mode {image.mode}): save it with 8 or 16 bits"
        )
    elif image.mode not in (*_ALPHA_MODES, *_OPAQUE_MODES):
        raise _UnreadableColoursError(f"has colours of mode {image.mode}: save it as RGB")
    elif image.mode == "L" and isinstance(key, int):
        levels = np.asarray(image)
        colours = _masked(levels, levels == key * _GREY_STEPS.get(form, 1))
    elif key is not None and ";16" in form:
        raise _UnreadableColoursError(
            "has 16 bits per colour and a transparent colour: save it with 8 bits, or with an alpha channel"
        )
    elif image.mode in _ALPHA_MODES or key is not None or _has_transparent_palette(image):
        colours = _on_white(image.convert("RGBA"))
    else:
        colours = image.convert("RGB")
    return _upright(colours, image)


def _of_16_bit_grey(image: Any, key: object) -> Any:
    """Keep the upper 8 of 16 bits: Pillow's own conversion clips all levels above 255 to white."""
    levels: npt.NDArray[np.uint16] = np.asarray(image).astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    if tags.get(_BITS_PER_SAMPLE, (16,))[0] == 12:
        levels = np.left_shift(levels, 4)
    if tags.get(_PHOTOMETRIC, 1) == 0:  # 0 is white; Pillow inverts this for 8 bits only
        levels = ~levels
    return _masked((levels >> 8).astype(np.uint8), levels == key)


def _masked(levels: npt.NDArray[np.uint8], transparent: Any) -> Any:
    """Convert grey levels to RGB, white where transparent."""
    shown = np.where(transparent, np.uint8(255), levels)
    return require_pillow().fromarray(shown).convert("RGB")


def _on_white(image: Any) -> Any:
    canvas = require_pillow().new("RGB", image.size, "white")
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def _has_transparent_palette(image: Any) -> bool:
    return image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A")


def _upright(colours: Any, image: Any) -> Any:
    """Rotate and mirror as the EXIF data say; unreadable EXIF data are ignored, as viewers do."""
    method = require_pillow().Transpose
    turns = {
        2: method.FLIP_LEFT_RIGHT,
        3: method.ROTATE_180,
        4: method.FLIP_TOP_BOTTOM,
        5: method.TRANSPOSE,
        6: method.ROTATE_270,
        7: method.TRANSVERSE,
        8: method.ROTATE_90,
    }
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged files raise exceptions of any type in Pillow
        return colours
    turn = turns.get(orientation) if isinstance(orientation, int) else None
    return colours if turn is None else colours.transpose(turn)


_IMAGES_AT_A_TIME: Final = 16  # a block of large images must fit in memory


def read_image_list(path: str, progress: OnBytesRead) -> Iterator[tuple[ImageBlock, LineBlock]]:
    """Read a list of images and captions in blocks; the images themselves are not read yet.

    Every line is the path of an image file, a tab, and the caption. Raises DataError naming a malformed line.
    """
    for [lines] in read_parallel([path], progress):
        entries = lines.data.split(b"\n")[:-1]
        for start in range(0, len(entries), _IMAGES_AT_A_TIME):
            numbers = lines.numbers[start : start + _IMAGES_AT_A_TIME]
            images, captions = [], []
            for entry, number in zip(entries[start : start + _IMAGES_AT_A_TIME], numbers, strict=True):
                name, caption = _split(entry, path, number)
                images.append(beside(path, name))
                captions.append(caption)
            yield ImageBlock(path, images, numbers), LineBlock(path, b"\n".join(captions) + b"\n", numbers)


def captions_of(path: str, progress: OnBytesRead) -> Iterator[LineBlock]:
    """Read the captions of a list of images, in blocks."""
    return (captions for _, captions in read_image_list(path, progress))


def beside(path: str, name: str) -> str:
    """Resolve an image `name` from the list `path`: relative to the list's folder, unless absolute."""
    return os.path.join(os.path.dirname(path), name)


def read_image(path: str, size: ImageSize, where: str) -> npt.NDArray[np.uint8]:
    """Read an image and resize it: 3 colours (red, green, blue) x height x width, from 0 to 255.

    Transparent parts are composed onto white and EXIF's orientation is applied, see `_shown_colours`.
    Resizing is bilinear, with antialiasing when it shrinks the image, and doesn't keep the proportions.
    where: file and line that name the image, for messages. Raises DataError if the file is no readable image
    or its colour format is unsupported (grey levels of 32 bits or floats), OptionError without Pillow.
    """
    pillow = require_pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata
            # Pillow warns above about 90 million pixels: such an image could be meant to exhaust the memory.
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            # Pass an open file: given a path, Pillow would memory-map it, and map rotated TIFF files wrongly.
            with open(path, "rb") as file, pillow.open(file) as image:
                colours = _shown_colours(image)
                resized = colours.resize((size.width, size.height), pillow.Resampling.BILINEAR)
    except _UnreadableColoursError as error:
        raise DataError(f"{where}: the image '{path}' {error}") from error
    except Exception as error:  # damaged files raise exceptions of any type in Pillow
        missing = error.strerror if isinstance(error, OSError) else None
        reason = missing or "it is damaged, too large, or no image"
        raise DataError(f"{where}: the image '{path}' cannot be read: {reason}") from error
    return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))


def _split(entry: bytes, path: str, number: int) -> tuple[str, bytes]:
    name, tab, caption = entry.rstrip(b"\r").partition(b"\t")
    if not name or not tab or b"\t" in caption:
        raise DataError(f"{path}, line {number}: expected the path of an image, one tab, and a caption")
    decode_line(entry, path, number)  # the whole line, so that the error's byte offset counts from its start
    return name.decode("utf-8"), caption
