"""From text files to a prepared data set: vocabularies, then filtering, encoding, ordering, saving.

Two passes over the files, in memory that does not depend on their size but for 8 bytes per sentence.
No torch here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from onmt.data.corpus import LineBlock, Progress, VectorBlock, has_byte_order_mark
from onmt.data.encoding import BlockEncoder, SideRules, SideTally, Tally
from onmt.data.files import StagedFiles
from onmt.data.manifest import Manifest, ShardEntry, manifest_path
from onmt.data.options import PreprocessOptions, Side
from onmt.data.parallel import map_in_order
from onmt.data.reading import Reading, make_tokenizer
from onmt.data.report import describe_file, describe_tally, worth_a_warning
from onmt.data.sentences import SentenceEncoder
from onmt.data.spool import Spool, sentence_order
from onmt.data.storage import HashingFile, SideArrays, write_shard
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.data.vocabulary_setup import SideVocabularies, VocabularySetup
from onmt.errors import DataError
from onmt.logger import Logger
from onmt.runtime.random import numpy_generator

_WORTH_WORKERS: Final = 8 << 20  # bytes of text; below that, starting processes takes longer than the work


def preprocess(options: PreprocessOptions, logger: Logger) -> None:
    """Prepare the data set that the options describe and save it under `options.save_data`.

    Writes `<save_data>-train.json`, binary shards and vocabulary files, all or none. Raises DataError.
    """
    Preprocessor(options, logger).run()


@dataclass(frozen=True)
class _EncodedSet:
    """A training or validation set in its final order, not yet saved."""

    name: str
    sides: tuple[SideArrays, ...]
    order: npt.NDArray[np.int32]


class Preprocessor:
    """The steps of `preprocess`."""

    def __init__(self, options: PreprocessOptions, logger: Logger) -> None:
        self._options = options
        self._logger = logger
        self._sides = options.sides()
        self._reading = Reading(vectors=self._sides[0].vectors, by_key=options.idx_files)
        self._tokenizers = [
            None if side.tokenizer is None else make_tokenizer(side.tokenizer) for side in self._sides
        ]
        self._folder = Path(options.save_data).parent

    def run(self) -> None:
        """Everything from reading to saving."""
        if not self._folder.is_dir():
            raise DataError(f"-save_data {self._options.save_data}: there is no folder '{self._folder}'")
        self._announce()
        train_files = [side.train for side in self._sides]
        valid_files = [side.valid for side in self._sides if side.valid]
        found = self._vocabularies(train_files)
        rules = self._rules(found, self._vector_size(train_files[0]))
        with ExitStack() as stack:
            sets = [self._encode_set(stack, "train", train_files, rules)]
            if valid_files:
                sets.append(self._encode_set(stack, "valid", valid_files, rules))
            else:
                self._logger.warning("No validation data")
            self._save(sets, found, rules)

    def _announce(self) -> None:
        for number, side in enumerate(self._sides, start=1):
            if side.tokenizer is not None:
                mode = side.tokenizer.mode
                self._logger.info(f"Using on-the-fly '{mode}' tokenization for input {number}")
            for path in (side.train, side.valid):
                if path and not side.vectors and has_byte_order_mark(path):
                    self._logger.info(f"The byte order mark at the beginning of '{path}' is left out")

    def _workers(self, files: Sequence[str]) -> int:
        small = sum(Path(path).stat().st_size for path in files) < _WORTH_WORKERS
        return 1 if small else self._options.preprocess_pthreads

    def _vocabularies(self, files: Sequence[str]) -> list[SideVocabularies]:
        """Those of each side with text."""
        self._logger.info("Preparing vocabulary...")
        found = []
        for side, path, tokenizer in zip(self._sides, files, self._tokenizers, strict=True):
            if not side.vectors:
                setup = VocabularySetup(self._options, side, tokenizer, self._logger)
                found.append(setup.run(self._line_reader(path), self._workers([path])))
        self._logger.info("")
        return found

    def _line_reader(self, path: str) -> Callable[[], Iterable[LineBlock]]:
        reading = Reading(vectors=False, by_key=self._options.idx_files)

        def read() -> Iterator[LineBlock]:
            with progress_bar([path], "vocabulary") as progress:
                for blocks in reading.blocks([path], progress):
                    for block in blocks:
                        assert isinstance(block, LineBlock)
                        yield block

        return read

    def _vector_size(self, path: str) -> int:
        """The length of the source vectors; 0 for text."""
        if not self._sides[0].vectors:
            return 0
        for blocks in self._reading.blocks([path], lambda _: None):
            for block in blocks:
                matrices = block.matrices if isinstance(block, VectorBlock) else []
                for matrix in matrices:
                    if len(matrix):
                        return int(matrix.shape[1])
        raise DataError(f"{path}: there are no vectors in it")

    def _rules(self, found: Sequence[SideVocabularies], vector_size: int) -> tuple[SideRules, ...]:
        vocabularies = iter(found)
        return tuple(
            SideRules(
                name=side.name,
                max_length=side.max_length,
                encoder=None if side.vectors else self._encoder(side, next(vocabularies).vocabularies),
                tokenizer=tokenizer,
                vector_size=vector_size if side.vectors else 0,
            )
            for side, tokenizer in zip(self._sides, self._tokenizers, strict=True)
        )

    def _encoder(self, side: Side, vocabularies: tuple[Vocabulary, ...]) -> SentenceEncoder:
        return SentenceEncoder(vocabularies, side.marked, self._options.time_shift_feature)

    def _encode_set(
        self, stack: ExitStack, name: str, files: Sequence[str], rules: tuple[SideRules, ...]
    ) -> _EncodedSet:
        what = {"train": "training", "valid": "validation"}[name]
        self._logger.info(f"Preparing {what} data...")
        self._logger.info(f"--- Preparing {name} sample")
        spool = stack.enter_context(Spool(self._folder, rules))
        tally = self._encode_files(spool, files, rules)
        if not tally.kept:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in tally.dropped.most_common())
            raise DataError(
                f"{files[0]}: none of its {tally.read} sentences can be used ({reasons or 'empty'})"
            )
        sides = spool.sides()
        generator = None
        if self._options.shuffle:
            self._logger.info("... shuffling sentences")
            generator = numpy_generator(self._options.seed, f"shuffle {name}")
        if self._options.sort:
            self._logger.info("... sorting sentences by size")
        order = sentence_order(sides[0].lengths, generator, self._options.sort)
        for line in describe_tally(tally, rules):
            self._logger.info(line)
        warning = worth_a_warning(tally)
        if warning:
            self._logger.warning(f"{files[0]}: {warning}")
        self._logger.info("")
        return _EncodedSet(name, sides, order)

    def _encode_files(self, spool: Spool, files: Sequence[str], rules: tuple[SideRules, ...]) -> Tally:
        encoder = BlockEncoder(rules, self._options.same_length)
        tally = Tally([SideTally() for _ in rules])
        with progress_bar(files, "sentences") as progress:
            blocks = self._reading.blocks(files, progress)
            for encoded in map_in_order(encoder.encode, blocks, self._workers(files)):
                spool.append(encoded)
                before = tally.read // self._options.report_progress_every
                tally.add(encoded.tally)
                if tally.read // self._options.report_progress_every > before:
                    self._logger.info(f"... {tally.read} sentences read")
                for warning in encoded.warnings:
                    self._logger.warning(warning)
        self._logger.info(describe_file(files[0], tally, rules))
        return tally

    def _save(
        self, sets: Sequence[_EncodedSet], found: Sequence[SideVocabularies], rules: tuple[SideRules, ...]
    ) -> None:
        target = manifest_path(self._options.save_data)
        old_shards = _shards_of(target)
        with StagedFiles() as staged:
            entries = {one.name: self._write_shards(staged, one) for one in sets}
            texts = [side for side in self._sides if not side.vectors]
            for side, vocabularies in zip(texts, found, strict=True):
                self._write_vocabularies(staged, side, vocabularies)
            self._logger.info(f"Saving data to '{target}'...")
            manifest = Manifest(
                data_type=self._options.data_type,
                options=asdict(self._options),
                vocabularies=self._all_vocabularies(found, rules),
                train=entries["train"],
                valid=entries.get("valid", ()),
            )
            with staged.open(target) as file:
                file.write(manifest.to_bytes())
            # From here on the old shards are being replaced: their manifest must not outlive them.
            target.unlink(missing_ok=True)
            staged.commit()
        kept = {entry.file for one in entries.values() for entry in one}
        for name in old_shards - kept:
            (target.parent / name).unlink(missing_ok=True)

    def _all_vocabularies(
        self, found: Sequence[SideVocabularies], rules: tuple[SideRules, ...]
    ) -> Vocabularies:
        sides = {
            side.name: one.vocabularies
            for side, one in zip((side for side in self._sides if not side.vectors), found, strict=True)
        }
        return Vocabularies(sides.get("source", ()), sides.get("target", ()), rules[0].vector_size)

    def _write_shards(self, staged: StagedFiles, one: _EncodedSet) -> tuple[ShardEntry, ...]:
        size = self._options.shard_size or len(one.order)
        entries = []
        for number, start in enumerate(range(0, len(one.order), size), start=1):
            order = one.order[start : start + size]
            path = Path(f"{self._options.save_data}-{one.name}-{number:04d}.bin")
            with staged.open(path) as file:
                hashing = HashingFile(file)
                write_shard(hashing, one.sides, order)
            entries.append(ShardEntry(path.name, len(order), hashing.size, hashing.sha256))
        return tuple(entries)

    def _write_vocabularies(self, staged: StagedFiles, side: Side, found: SideVocabularies) -> None:
        """Save the vocabularies that were built, under the names that Lua gives them."""
        prefix = self._options.save_data
        several_texts = all(not one.vectors for one in self._sides) and len(self._sides) > 1
        feature_start = f"{prefix}.{side.name}_feature" if several_texts else f"{prefix}_feature"
        ending = f".{side.prefix.removesuffix('_')}.dict" if side.prefix else ".dict"
        paths = [prefix + ending]
        paths += [f"{feature_start}_{j}.dict" for j in range(1, len(found.vocabularies))]
        for path, vocabulary, built in zip(paths, found.vocabularies, found.built, strict=True):
            if built:
                self._logger.info(f"Saving {side.name} vocabulary to '{path}'...")
                with staged.open(path) as file:
                    file.write(vocabulary.to_bytes())


@contextmanager
def progress_bar(files: Sequence[str], what: str) -> Iterator[Progress]:
    """Shows how much of the files has been read, on a terminal only."""
    total = sum(Path(path).stat().st_size for path in files)
    with tqdm(total=total, desc=what, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        yield bar.update


def _shards_of(manifest: Path) -> set[str]:
    """The files of the data set that is being replaced; none when there is no readable one."""
    try:
        old = Manifest.read(manifest)
    except DataError:
        return set()
    return {entry.file for entry in (*old.train, *old.valid) if Path(entry.file).name == entry.file}
