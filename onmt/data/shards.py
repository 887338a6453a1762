"""Opening a data set that preprocess.py prepared."""

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from onmt.data.dataset import Dataset
from onmt.data.manifest import Manifest, ShardEntry, find_manifest, prepared_data_or_empty
from onmt.data.storage import read_shard
from onmt.data.vocabulary import Vocabularies
from onmt.errors import DataError

_MANY_FILES: Final = 100


@dataclass(frozen=True)
class PreparedData:
    """A training set, perhaps a validation set, and the vocabularies of both."""

    path: Path  # of the manifest
    data_type: str
    vocabularies: Vocabularies
    options: dict[str, Any]
    train: Dataset
    valid: Dataset | None


def open_prepared(data: str) -> PreparedData:
    """Open what `-data` names: a manifest, its `-save_data` prefix, or Lua's `PREFIX-train.t7`.

    Every file is checked, size and SHA-256, before anything is returned (about a second per gigabyte);
    sentences are read when a batch wants them. Raises DataError naming the file that is missing or damaged.
    """
    path = find_manifest(data)
    if path is None:
        raise DataError(prepared_data_or_empty(data) or "no prepared data was named")
    manifest = Manifest.read(path)
    train = _open_dataset(path, manifest.train, manifest.vocabularies)
    if train is None:
        raise DataError(f"{path}: damaged, it names no training data; run preprocess.py again")
    valid = _open_dataset(path, manifest.valid, manifest.vocabularies)
    if not manifest.intact:  # what is wrong in detail has been told before
        raise DataError(f"{path}: damaged, or changed by hand; run preprocess.py again")
    return PreparedData(
        path=path,
        data_type=manifest.data_type,
        vocabularies=manifest.vocabularies,
        options=dict(manifest.options),
        train=train,
        valid=valid,
    )


def _open_dataset(
    manifest: Path, entries: Sequence[ShardEntry], vocabularies: Vocabularies
) -> Dataset | None:
    _allow_open_files(len(entries))
    shards = [read_shard(manifest.parent / entry.file, entry.size, entry.sha256) for entry in entries]
    image_size = vocabularies.src_image_size
    widths = [image_size.values if image_size else len(vocabularies.src) or vocabularies.src_vector_size]
    if vocabularies.tgt:
        widths.append(len(vocabularies.tgt))
    for shard, entry in zip(shards, entries, strict=True):
        path, sentences = manifest.parent / entry.file, {len(side.lengths) for side in shard}
        if sentences != {entry.sentences}:
            held = " and ".join(map(str, sorted(sentences)))
            raise DataError(f"{path}: holds {held} sentences, but {manifest} announces {entry.sentences}")
        found = [side.width for side in shard]
        if found != widths:
            raise DataError(
                f"{path}: does not belong to {manifest}: rows of {found} numbers, not of {widths}"
            )
    return Dataset(shards, image_size) if shards else None


def _allow_open_files(number: int) -> None:
    """Ask the system for room to keep this many more files open, which may be above what is usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft + number
    if number > _MANY_FILES and soft != resource.RLIM_INFINITY:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
