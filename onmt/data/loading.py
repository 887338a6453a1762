"""Open the data sets of train.py: shards written by preprocess.py, or raw corpus files encoded on disk."""

import resource
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from onmt.data.dataset import Dataset
from onmt.data.file_sampling import FileSample
from onmt.data.options import DataOptions, find_manifest, prepared_data_or_empty
from onmt.data.preparation import CorpusPreparation, SetName, joined_vocabularies
from onmt.data.reading import CorpusHooks
from onmt.data.shards import HashingFile, Manifest, ShardEntry, open_shard, read_shard, write_shard
from onmt.data.vocabulary import Vocabularies
from onmt.data.vocabulary_building import SideVocabularies
from onmt.errors import DataError
from onmt.logger import Logger

_MANY_FILES: Final = 100


@dataclass(frozen=True)
class _PreparedData:
    """A training set, an optional validation set, and the vocabularies of both."""

    path: Path  # of the manifest
    data_type: str
    vocabularies: Vocabularies
    options: dict[str, Any]
    train: Dataset
    valid: Dataset | None


def open_prepared(data: str) -> _PreparedData:
    """Open the value of `-data`: a manifest, its `-save_data` prefix, or Lua's `PREFIX-train.t7`.

    The size and SHA-256 of every file are checked first (about a second per gigabyte); sentences are read
    when a batch needs them. Raises DataError naming the file that is missing or damaged.
    """
    path = find_manifest(data)
    if path is None:
        raise DataError(prepared_data_or_empty(data) or "no prepared data was named")
    manifest = Manifest.read(path)
    train = _open_dataset(path, manifest.train, manifest.vocabularies)
    if train is None:
        raise DataError(f"{path}: damaged, it names no training data; run preprocess.py again")
    valid = _open_dataset(path, manifest.valid, manifest.vocabularies)
    if not manifest.intact:  # checked last: the errors above are more specific
        raise DataError(f"{path}: damaged, or changed by hand; run preprocess.py again")
    return _PreparedData(
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
    """Raise the limit on open files by `number`, if that is large; the usual limit may be too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft + number
    if number > _MANY_FILES and soft != resource.RLIM_INFINITY:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class RawData:
    """The corpus files that data options name, as data sets.

    The training set of an epoch depends only on the options, the seed and the number of the epoch. Encoded
    sentences are stored in temporary files without names, so none are left behind.
    """

    vocabularies: Vocabularies
    valid: Dataset | None
    sampled: bool
    """Whether every epoch draws its own sample of the lines."""

    def __init__(
        self,
        options: DataOptions,
        hooks: ModuleType | None,
        seed: int,
        folder: Path,
        logger: Logger,
        known: Vocabularies | None = None,
    ) -> None:
        """Build or read the vocabularies, unless they are `known`, and encode the validation files.

        folder: for temporary files. Raises DataError.
        """
        self._folder = folder
        self._preparation = CorpusPreparation(options, CorpusHooks.of(hooks, options), seed, folder, logger)
        self._train_files = self._preparation.training_files()
        found = self._preparation.vocabularies(self._train_files) if known is None else _as_given(known)
        self._rules = self._preparation.rules(found, self._train_files)
        self.vocabularies = joined_vocabularies(self._preparation.sides, found, self._rules)
        valid_files = self._preparation.validation_files()
        self.valid = self._dataset("valid", valid_files, epoch=0) if valid_files else None
        self.sampled = any(file.drawn is not None for file in self._train_files)
        self._current: tuple[int, Dataset] | None = None

    def train(self, epoch: int) -> Dataset:
        """Return the training set of an epoch (from 1); the same one for all epochs unless `sampled`."""
        wanted = epoch if self.sampled else 0
        if self._current is None or self._current[0] != wanted:
            self._current = None  # frees its disk space
            self._current = (wanted, self._dataset("train", self._train_files, wanted))
        return self._current[1]

    def _dataset(self, name: SetName, files: list[FileSample], epoch: int) -> Dataset:
        try:
            with ExitStack() as stack, tempfile.TemporaryFile(dir=self._folder) as file:
                encoded = self._preparation.encode(stack, name, files, self._rules, epoch)
                write_shard(HashingFile(file), encoded.sides, encoded.order)
                file.flush()
                return Dataset([open_shard(file)], self.vocabularies.src_image_size)
        except OSError as error:
            raise DataError(
                f"cannot write the encoded text to temporary files in '{self._folder}': {error.strerror}"
            ) from error


def _as_given(known: Vocabularies) -> list[SideVocabularies]:
    """Return the vocabularies by side, marked as given, not built."""
    sides = [side for side in (known.src, known.tgt) if side]
    return [SideVocabularies(side, (False,) * len(side)) for side in sides]
