"""Images as sources: the lists that name them, and reading them into arrays of one size. No torch here."""

import os
import warnings
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from onmt.data.corpus import ImageBlock, LineBlock, Progress, read_parallel
from onmt.data.image_colours import UnreadableColoursError, require_pillow, shown_colours
from onmt.data.vocabulary import ImageSize
from onmt.errors import DataError
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
    """An image as viewers show it, resized: 3 colours (red, green, blue) x height x width, from 0 to 255.

    Transparent parts are composed onto white and EXIF's orientation is applied, see `shown_colours`. Resized
    bilinearly, over all the pixels that become one where it shrinks; the proportions are not kept. `where`:
    the place that names the image, for messages. Raises DataError for what is no image, or has colours
    whose meaning is unknown (grey levels of 32 bits or floats), OptionError without Pillow.
    """
    pillow = require_pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of odd metadata
            # More than some 90 million pixels are taken for an attack that would fill the memory.
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            # Opened here, not by Pillow, which would map it into memory, and map turned TIFF files wrongly.
            with open(path, "rb") as file, pillow.open(file) as image:
                colours = shown_colours(image)
                resized = colours.resize((size.width, size.height), pillow.Resampling.BILINEAR)
    except UnreadableColoursError as error:
        raise DataError(f"{where}: the image '{path}' {error}") from error
    except Exception as error:  # Pillow raises whatever comes of wrong bytes
        missing = error.strerror if isinstance(error, OSError) else None
        reason = missing or "it is damaged, too large, or no image"
        raise DataError(f"{where}: the image '{path}' cannot be read: {reason}") from error
    return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))


def _split(entry: bytes, path: str, number: int) -> tuple[str, bytes]:
    name, tab, caption = entry.rstrip(b"\r").partition(b"\t")
    if not name or not tab or b"\t" in caption:
        raise DataError(f"{path}, line {number}: expected the path of an image, one tab, and a caption")
    decode_line(entry, path, number)  # so that a bad byte is counted from the start of the line
    return name.decode("utf-8"), caption
