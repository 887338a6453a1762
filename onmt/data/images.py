"""Images as sources: the lists that name them, and reading them into arrays of one size. No torch here."""

import os
import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onmt.data.corpus import ImageBlock, LineBlock, Progress, read_parallel
from onmt.data.vocabulary import ImageSize
from onmt.errors import DataError, OptionError
from onmt.text.lines import decode_line

_IMAGES_AT_A_TIME: Final = 16  # so that a block of large ones fits in memory


def read_image_list(path: str, progress: Progress) -> Iterator[tuple[ImageBlock, LineBlock]]:
    """The images of a list with their captions, in blocks; no image is read yet.

    Every line is the path of an image file, a tab, and the caption. Raises DataError naming the line that is
    not.
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


def captions_of(path: str, progress: Progress) -> Iterator[LineBlock]:
    """The captions of a list of images."""
    return (captions for _, captions in read_image_list(path, progress))


def beside(path: str, name: str) -> str:
    """The image file that a line of the list `path` names: from the list's own folder, unless absolute."""
    return os.path.join(os.path.dirname(path), name)


def read_image(path: str, size: ImageSize, where: str) -> npt.NDArray[np.uint8]:
    """An image, resized: 3 colours (red, green, blue) x height x width, from 0 to 255.

    Resized bilinearly, over all the pixels that become one where it shrinks; the proportions are not kept.
    Transparency is lost. `where`: the place that names the image, for messages. Raises DataError for what is
    no image, or has grey levels whose range nobody knows (32 bits, floats), OptionError without Pillow.
    """
    pillow = require_pillow()
    try:
        with warnings.catch_warnings():
            # More than some 90 million pixels are taken for an attack that would fill the memory.
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(path) as image:
                colours = _of_8_bits(image, where, path).convert("RGB")
                resized = colours.resize((size.width, size.height), pillow.Resampling.BILINEAR)
    except DataError:
        raise
    except Exception as error:  # Pillow raises whatever comes of wrong bytes
        missing = error.strerror if isinstance(error, OSError) else None
        reason = missing or "it is damaged, too large, or no image"
        raise DataError(f"{where}: the image '{path}' cannot be read: {reason}") from error
    return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))


def _of_8_bits(image: Any, where: str, path: str) -> Any:
    """The image, with 16 bits of grey as 8: Pillow's own conversion makes white of all that is above 255."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        levels = np.asarray(image)
        return require_pillow().fromarray((levels >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise DataError(
            f"{where}: the image '{path}' has grey levels of unknown range (mode {image.mode}): save it with "
            "8 or 16 bits"
        )
    return image


def require_pillow() -> Any:
    """Pillow's module of images. Raises OptionError where it is not installed."""
    try:
        from PIL import Image
    except ImportError as error:
        raise OptionError("reading images needs Pillow: install it with the extra [image]") from error
    return Image


def _split(entry: bytes, path: str, number: int) -> tuple[str, bytes]:
    name, tab, caption = entry.rstrip(b"\r").partition(b"\t")
    if not name or not tab or b"\t" in caption:
        raise DataError(f"{path}, line {number}: expected the path of an image, one tab, and a caption")
    decode_line(entry, path, number)  # so that a bad byte is counted from the start of the line
    return name.decode("utf-8"), caption
