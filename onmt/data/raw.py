"""Training on text files that were not prepared: encoded on disk, sampled anew for each epoch."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from onmt.data.dataset import Dataset
from onmt.data.file_sampling import FileSample
from onmt.data.options import DataOptions
from onmt.data.preparation import CorpusPreparation, SetName, joined_vocabularies
from onmt.data.reading import CorpusHooks
from onmt.data.storage import HashingFile, open_shard, write_shard
from onmt.data.vocabulary import Vocabularies
from onmt.data.vocabulary_setup import SideVocabularies
from onmt.errors import DataError
from onmt.logger import Logger


class RawData:
    """The files that data options name, as data sets.

    What an epoch trains on depends on the options, the seed and the number of the epoch only. Temporary files
    take the room of the encoded sentences; they have no names, so nothing is left of them.
    """

    vocabularies: Vocabularies
    valid: Dataset | None
    sampled: bool
    """Whether epochs differ."""

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
        """The training set of an epoch (from 1); always the same one when the files are not sampled."""
        wanted = epoch if self.sampled else 0
        if self._current is None or self._current[0] != wanted:
            self._current = None  # its disk space can be used again
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
    """The vocabularies side by side, as if files had given them."""
    sides = [side for side in (known.src, known.tgt) if side]
    return [SideVocabularies(side, (False,) * len(side)) for side in sides]
