"""The file format of models: how a checkpoint is written, verified and read.

A checkpoint is a zip archive written by `torch.save`. It holds plain tensors and JSON-like values only, so it
loads with `weights_only`. torch does not verify the archive's checksums, so loading verifies them first: a
file that lost or changed a byte is refused instead of giving a slightly different model. The training package
decides which values a run stores.
"""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from onmt.errors import CheckpointError, DataError
from onmt.files import replacing

FORMAT: Final = 1
"""The format version that this program writes; a file with a greater one comes from a newer program."""

_REQUIRED: Final[Mapping[str, type]] = {
    "format": int,
    "version": str,
    "data_type": str,
    "spec": dict,
    "options": dict,
    "vocabularies": dict,
    "weights": dict,
}
_VERIFY_CHUNK: Final = 1 << 20  # bytes
_FOLDER_ATTRIBUTE: Final = 0x10  # torch reads a member with this bit as empty, so its tensor holds garbage


def save_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` atomically: the file is the old one or the complete new one (see
    `onmt.files`). Raises CheckpointError if the file cannot be written.
    """
    _check_content(content, str(path))
    _check_plain(content)
    try:
        with replacing(path) as file:
            torch.save(content, file)
    except DataError as error:
        reason = str(error).removeprefix(f"{path}: cannot write: ")
        raise CheckpointError(f"cannot write the checkpoint '{path}': {reason}") from error
    except RuntimeError as error:  # torch's error for a full disk
        raise CheckpointError(f"cannot write the checkpoint '{path}': {_first_line(error)}") from error


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU; raises CheckpointError if it is missing, damaged, or not ours."""
    path = Path(path)
    verify(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a foreign file may raise any exception
        foreign = isinstance(error, pickle.UnpicklingError)
        reason = "it holds more than tensors and plain values" if foreign else _first_line(error)
        raise CheckpointError(f"'{path}' is not a model of this program: {reason}") from error
    _check_content(content, str(path))
    return dict(content)


def load_tensors(path: str | Path) -> Any:
    """Return the content of a `torch.save` file on the CPU; it may hold tensors and plain values only.

    Zip archives are verified like checkpoints. The older format has no checksums and is read without a check.
    Raises CheckpointError for a damaged archive, and any exception of torch for other files.
    """
    path = Path(path)
    if _starts_like_zip(path):
        verify(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def verify(path: Path) -> None:
    """Read a `torch.save` archive to its end, so that the checksums of all members are compared.

    Raises CheckpointError if it cannot be read or is damaged, or if a member is compressed: torch never
    compresses, and a small compressed file could fill the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise zipfile.BadZipFile(f"'{member.filename}' is compressed, as torch never does")
                if member.external_attr & _FOLDER_ATTRIBUTE:
                    raise zipfile.BadZipFile(f"'{member.filename}' is marked as a folder")
                with archive.open(member) as file:
                    while file.read(_VERIFY_CHUNK):  # the checksum is compared at the end of each member
                        pass
    except OSError as error:
        raise CheckpointError(f"cannot read the model '{path}': {error.strerror or error}") from error
    except zipfile.BadZipFile as error:
        kind = "damaged" if _starts_like_zip(path) else "not a model of this program, or cut short"
        raise CheckpointError(f"'{path}' is {kind}: {_first_line(error)}") from error
    except (
        Exception
    ) as error:  # damaged headers surface as NotImplementedError, zlib.error, UnicodeError and others
        raise CheckpointError(f"'{path}' is damaged: {_first_line(error)}") from error


def _starts_like_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _check_content(content: object, path: str) -> None:
    if not isinstance(content, Mapping) or not isinstance(content.get("format"), int):
        raise CheckpointError(f"'{path}' is not a model of this program")
    if content["format"] > FORMAT:
        raise CheckpointError(
            f"'{path}' was written by a newer version of this program (format {content['format']}, "
            f"this one reads up to {FORMAT}): update it"
        )
    for key, kind in _REQUIRED.items():
        if not isinstance(content.get(key), kind):
            raise CheckpointError(f"'{path}' is not a model of this program: '{key}' is missing or malformed")
    if not all(isinstance(weight, torch.Tensor) for weight in content["weights"].values()):
        raise CheckpointError(f"'{path}' is not a model of this program: a weight is not a tensor")


def _check_plain(value: object) -> None:
    """Assert that the value can be read back: tensors and JSON's types exactly, not their subclasses."""
    if type(value) is dict:
        for key, item in value.items():
            assert type(key) is str, f"a checkpoint cannot hold the key {key!r}"
            _check_plain(item)
    elif type(value) in (list, tuple):
        for item in value:  # type: ignore[attr-defined]
            _check_plain(item)
    else:
        plain = (str, int, float, bool, type(None), torch.Tensor)
        assert type(value) in plain, f"a checkpoint cannot hold a {type(value).__name__}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
