"""`<save_data>-train.json`: what a prepared data set consists of, with checksums. Torch-free."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from onmt.data.vocabulary import Vocabularies
from onmt.errors import DataError
from onmt.version import VERSION

_FORMAT: Final = 1
_ENDING: Final = "-train.json"
_CHECKSUM: Final = "checksum"
_KEYS: Final = {
    *("format", "version", "data_type", "train", "valid", "options", "vocabularies"),
    _CHECKSUM,
}


@dataclass(frozen=True)
class ShardEntry:
    """One binary file of a data set; `file` is its name beside the manifest."""

    file: str
    sentences: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a prepared data set consists of. `options` are those of the run that made it, for the record.

    `intact`: the file's own checksum is right, or it is an older one, which has none.
    """

    data_type: str
    options: Mapping[str, Any]
    vocabularies: Vocabularies
    train: tuple[ShardEntry, ...]
    valid: tuple[ShardEntry, ...]
    intact: bool = True

    def to_bytes(self) -> bytes:
        """The content of the file."""
        content = {
            "format": _FORMAT,
            "version": VERSION,
            "data_type": self.data_type,
            "train": [asdict(entry) for entry in self.train],
            "valid": [asdict(entry) for entry in self.valid],
            "options": self.options,
            "vocabularies": self.vocabularies.to_state(),
        }
        return _as_text(content | {_CHECKSUM: _checksum(content)}).encode("utf-8")

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read the file; DataError naming it when it is missing, damaged or of another version."""
        try:
            content = json.loads(path.read_bytes().decode("utf-8"))
        except OSError as error:
            raise DataError(f"{path}: cannot read the prepared data: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: damaged, not a JSON file of prepared data") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise DataError(f"{path}: not prepared data, or of another version; run preprocess.py again")
        intact = _is_intact(content)
        try:
            return cls(
                data_type=str(content["data_type"]),
                options=dict(content["options"]),
                vocabularies=Vocabularies.from_state(content["vocabularies"]),
                train=_entries(content["train"]),
                valid=_entries(content["valid"]),
                intact=intact,
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"{path}: damaged, entries are missing; run preprocess.py again") from error
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


def _as_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _checksum(content: Mapping[str, Any]) -> str:
    """Of everything but the checksum itself."""
    return hashlib.sha256(_as_text(content).encode("utf-8", "surrogatepass")).hexdigest()


def _is_intact(content: dict[str, Any]) -> bool:
    """Take the checksum out of the content; whether it is the content's own. Older manifests have none."""
    unknown = content.keys() - _KEYS
    checksum = content.pop(_CHECKSUM, None)
    return not unknown and checksum in (None, _checksum(content))


def manifest_path(save_data: str) -> Path:
    """Where the manifest of the data set `save_data` stands."""
    return Path(save_data + _ENDING)


def find_manifest(data: str) -> Path | None:
    """The manifest that `-data` means: the file itself, a `-save_data` prefix, or the name Lua would use."""
    stem = data.removesuffix(".t7")
    for candidate in (Path(stem), Path(stem + ".json"), manifest_path(stem)):
        if candidate.is_file() and candidate.suffix == ".json":
            return candidate
    return None


def prepared_data_or_empty(data: str) -> str | None:
    """A check for `-data`: what is wrong with the value; None when it is empty or such data is there."""
    if not data or find_manifest(data) is not None:
        return None
    return f"there is no prepared data '{data}' (looked for '{manifest_path(data.removesuffix('.t7'))}')"


def _entries(values: Any) -> tuple[ShardEntry, ...]:
    return tuple(
        ShardEntry(
            file=str(value["file"]),
            sentences=int(value["sentences"]),
            size=int(value["size"]),
            sha256=str(value["sha256"]),
        )
        for value in values
    )
