"""Turn corpus files into encoded sentences in their final order: vocabularies, filtering, encoding, sampling.

The files are read twice. Encoded sentences are kept on disk, so memory grows by only 8 bytes per sentence.
Torch-free.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from onmt.data.block_encoder import (
    BlockEncoder,
    EncodedBlock,
    SideRules,
    SideTally,
    Tally,
    describe_file,
    describe_tally,
    worth_a_warning,
)
from onmt.data.corpus import Block, OnBytesRead, VectorBlock, grouped, has_byte_order_mark
from onmt.data.file_sampling import FileSample, training_files
from onmt.data.images import require_pillow
from onmt.data.options import DataOptions, Side
from onmt.data.reading import CorpusHooks, Reading, make_tokenizer
from onmt.data.sentences import SentenceEncoder
from onmt.data.shards import SideArrays
from onmt.data.vocabulary import Vocabularies, Vocabulary
from onmt.data.vocabulary_building import SideVocabularies, VocabularySetup
from onmt.errors import DataError
from onmt.logger import Logger
from onmt.runtime.processes import map_in_order
from onmt.runtime.random import numpy_generator

_SENTENCES_AT_A_TIME: Final = 1 << 16


class _Spool:
    """Stores encoded blocks in temporary files and returns them as memory-mapped arrays; a context manager.

    The files have no names, so they disappear however the program ends.
    """

    def __init__(self, folder: Path, rules: Sequence[SideRules]) -> None:
        """`folder`: for the temporary files. `rules`: one per side of the blocks."""
        self._stack = ExitStack()
        self._sides = [_SpooledSide(self._stack, folder, side) for side in rules]

    def __enter__(self) -> "_Spool":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def append(self, block: EncodedBlock) -> None:
        """Append the sentences of a block."""
        for side, lengths, values in zip(self._sides, block.lengths, block.values, strict=True):
            side.append(lengths, values)

    def sides(self) -> tuple[SideArrays, ...]:
        """Return all sentences, in the order in which they were appended."""
        return tuple(side.arrays() for side in self._sides)


class _SpooledSide:
    def __init__(self, stack: ExitStack, folder: Path, rules: SideRules) -> None:
        self._dtype = rules.dtype
        self._width = rules.width
        self._positions = 0
        self._files = [stack.enter_context(_nameless_file(folder)) for _ in range(3)]

    def append(self, lengths: npt.NDArray[np.int32], values: npt.NDArray[Any]) -> None:
        ends = self._positions + np.cumsum(lengths, dtype=np.int64)
        if len(ends):
            self._positions = int(ends[-1])
        for file, array in zip(
            self._files, (ends - lengths, lengths, values.astype(self._dtype, copy=False)), strict=True
        ):
            file.write(array.tobytes())

    def arrays(self) -> SideArrays:
        offsets, lengths, values = self._files
        return SideArrays(
            offsets=_mapped(offsets, np.int64),
            lengths=_mapped(lengths, np.int32),
            values=_mapped(values, self._dtype).reshape(-1, self._width),
        )


def _nameless_file(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _mapped(file: IO[bytes], dtype: type[np.generic]) -> npt.NDArray[Any]:
    file.flush()
    if file.tell() == 0:
        return np.empty(0, dtype=dtype)
    return np.memmap(file, dtype=dtype, mode="r").view(np.ndarray)


def _sentence_order(
    src_lengths: npt.NDArray[np.int32], generator: np.random.Generator | None, sort: bool
) -> npt.NDArray[np.int32]:
    """Return the order of the sentences: shuffled if there is a `generator`, then sorted by source length if
    `sort`. The sort is stable. It takes 8 bytes per sentence.
    """
    order = np.arange(len(src_lengths), dtype=np.int32)
    if generator is not None:
        generator.shuffle(order)
    return _sorted_by_length(order, src_lengths) if sort else order


def _sorted_by_length(order: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Sort stably by counting, in pieces: numpy's stable sort would take several times the memory."""
    longest = int(lengths.max(initial=0))
    pieces = [slice(i, i + _SENTENCES_AT_A_TIME) for i in range(0, len(order), _SENTENCES_AT_A_TIME)]
    frequencies = sum(
        (np.bincount(lengths[piece], minlength=longest + 1) for piece in pieces),
        start=np.zeros(longest + 1, dtype=np.int64),
    )
    next_place = np.cumsum(frequencies) - frequencies
    result = np.empty_like(order)
    for piece in pieces:
        by_length = order[piece][np.argsort(lengths[order[piece]], kind="stable")]
        here = lengths[by_length]
        first_of_length = np.searchsorted(here, here)
        result[next_place[here] + np.arange(len(here)) - first_of_length] = by_length
        next_place += np.bincount(here, minlength=longest + 1)
    return result


_WORTH_WORKERS: Final = 8 << 20  # bytes of text; for less, starting processes takes longer than the work
_LIST_WORTH_WORKERS: Final = 1 << 14  # bytes of a list of images; about a hundred images to read
_ENCODED_AT_A_TIME: Final = 1 << 20  # bytes of all sides that are sent to a worker process at once

SetName = Literal["train", "valid"]


@dataclass(frozen=True)
class EncodedSet:
    """Encoded sentences on disk. order: the positions in `sides`, in the order in which to store them."""

    sides: tuple[SideArrays, ...]
    order: npt.NDArray[np.int32]


class CorpusPreparation:
    """The steps of data preparation, as the options describe them; saving the result is up to the caller.

    folder: for temporary files without names.
    """

    def __init__(
        self, options: DataOptions, hooks: CorpusHooks, seed: int, folder: Path, logger: Logger
    ) -> None:
        self._options = options
        self._hooks = hooks
        self._seed = seed
        self._folder = folder
        self._logger = logger
        self.sides = options.sides()
        self._reading = Reading(self.sides[0].kind, by_key=options.idx_files)
        if self.sides[0].kind == "images":
            require_pillow()
        self._tokenizers = [
            None if side.tokenizer is None else make_tokenizer(side.tokenizer, hooks.tokens)
            for side in self.sides
        ]

    def training_files(self) -> list[FileSample]:
        """Return the training files and the share of each that is used; log both."""
        for number, side in enumerate(self.sides, start=1):
            if side.tokenizer is not None:
                self._logger.info(f"Using on-the-fly '{side.tokenizer.mode}' tokenization for input {number}")
        return training_files(self._options, self.sides, self._logger)

    def validation_files(self) -> list[FileSample]:
        """Return the validation files; log a warning if there are none."""
        paths = tuple(side.valid for side in self.sides if side.valid)
        if not paths:
            self._logger.warning("No validation data")
        return [FileSample(paths[0], paths)] if paths else []

    def vocabularies(self, files: Sequence[FileSample]) -> list[SideVocabularies]:
        """Read or build the vocabularies of each text side, source first, from all lines of the files."""
        self._logger.info("Preparing vocabulary...")
        found = []
        for place, (side, tokenizer) in enumerate(zip(self.sides, self._tokenizers, strict=True)):
            if side.is_text:
                paths = [file.paths[place] for file in files]
                setup = VocabularySetup(self._options, side, tokenizer, self._hooks, self._logger)
                found.append(setup.run(self._side_reader(paths), self._workers(paths)))
        self._logger.info("")
        return found

    def rules(self, found: Sequence[SideVocabularies], files: Sequence[FileSample]) -> tuple[SideRules, ...]:
        """Return the reading, filtering and encoding rules of each side with these vocabularies."""
        vocabularies = iter(found)
        return tuple(
            SideRules(
                name=side.name,
                max_length=side.max_length,
                encoder=self._encoder(side, next(vocabularies).vocabularies) if side.is_text else None,
                tokenizer=tokenizer,
                vector_size=self._vector_size(files) if side.kind == "vectors" else 0,
                image_size=side.image_size,
            )
            for side, tokenizer in zip(self.sides, self._tokenizers, strict=True)
        )

    def encode(
        self,
        stack: ExitStack,
        name: SetName,
        files: Sequence[FileSample],
        rules: tuple[SideRules, ...],
        epoch: int = 0,
    ) -> EncodedSet:
        """Encode the sentences of the files; the result is valid while `stack` is open.

        epoch: seeds the random sample of lines and the shuffling. Raises DataError if no sentence is kept.
        """
        what = {"train": "training", "valid": "validation"}[name]
        self._logger.info(f"Preparing {what} data...")
        self._logger.info(f"--- Preparing {name} sample")
        spool = stack.enter_context(_Spool(self._folder, rules))
        tally = Tally([SideTally() for _ in rules])
        for file in files:
            tally.add(self._encode_file(spool, file, rules, epoch))
        where = files[0].paths[0] if len(files) == 1 else f"{len(files)} files of {self._options.train_dir}"
        if not tally.kept:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in tally.dropped.most_common())
            raise DataError(f"{where}: none of {tally.read} sentences can be used ({reasons or 'empty'})")
        sides = spool.sides()
        order = self._order(sides[0].lengths, name, epoch)
        for line in describe_tally(tally, rules):
            self._logger.info(line)
        warning = worth_a_warning(tally)
        if warning:
            self._logger.warning(f"{where}: {warning}")
        self._logger.info("")
        return EncodedSet(sides, order)

    def _order(self, src_lengths: npt.NDArray[np.int32], name: SetName, epoch: int) -> npt.NDArray[np.int32]:
        generator = None
        if self._options.shuffle:
            self._logger.info("... shuffling sentences")
            generator = numpy_generator(self._seed, f"shuffle {name}", epoch)
        if self._options.sort:
            self._logger.info("... sorting sentences by size")
        return _sentence_order(src_lengths, generator, self._options.sort)

    def _encode_file(
        self, spool: _Spool, file: FileSample, rules: tuple[SideRules, ...], epoch: int
    ) -> Tally:
        for path, side in zip(file.paths, self.sides, strict=True):
            if side.is_text and has_byte_order_mark(path):
                self._logger.info(f"The byte order mark at the beginning of '{path}' is left out")
        encoder = BlockEncoder(rules, self._options.same_length, self._hooks)
        tally = Tally([SideTally() for _ in rules])
        interval = self._options.report_progress_every
        with _progress_bar(file.paths, "sentences") as progress:
            blocks = file.select(self._reading.blocks(file.paths, progress), self._seed, epoch)
            # A block of images is small until a worker reads them, so each block is a group of its own.
            enough = 1 if self._reading.source == "images" else _ENCODED_AT_A_TIME
            groups = grouped(blocks, enough, lambda sides: sum(side.size() for side in sides))
            with closing(map_in_order(encoder.encode_all, groups, self._workers(file.paths))) as results:
                for encoded in chain.from_iterable(results):
                    spool.append(encoded)
                    before = tally.read // interval
                    tally.add(encoded.tally)
                    if tally.read // interval > before:
                        self._logger.info(f"... {tally.read} sentences read")
                    for warning in encoded.warnings:
                        self._logger.warning(warning)
        total = tally.read if file.drawn is None else file.lines
        self._logger.info(describe_file(file.paths[0], total, tally, rules))
        return tally

    def _side_reader(self, paths: Sequence[str]) -> Callable[[], Iterable[Block]]:
        """Return a function that starts a pass over the text files of one side."""

        def read() -> Iterator[Block]:
            with _progress_bar(paths, "vocabulary") as progress:
                for path in paths:
                    yield from self._reading.text_blocks(path, progress)

        return read

    def _vector_size(self, files: Sequence[FileSample]) -> int:
        """Return the length of the source vectors. Raises DataError if the files hold none."""
        for file in files:
            for [block] in self._reading.blocks(file.paths[:1], lambda _: None):
                assert isinstance(block, VectorBlock)
                for matrix in block.matrices:
                    if len(matrix):
                        return int(matrix.shape[1])
        raise DataError(f"{files[0].paths[0]}: there are no vectors in it")

    def _encoder(self, side: Side, vocabularies: tuple[Vocabulary, ...]) -> SentenceEncoder:
        return SentenceEncoder(vocabularies, side.marked, self._options.time_shift_feature)

    def _workers(self, paths: Sequence[str]) -> int:
        enough = _LIST_WORTH_WORKERS if self._reading.source == "images" else _WORTH_WORKERS
        small = sum(Path(path).stat().st_size for path in set(paths)) < enough
        return 1 if small else self._options.preprocess_pthreads


def joined_vocabularies(
    sides: Sequence[Side], found: Sequence[SideVocabularies], rules: Sequence[SideRules]
) -> Vocabularies:
    """Combine the vocabularies of all sides; `found` are those of the sides with text."""
    texts = [side.name for side in sides if side.is_text]
    of_side = {name: one.vocabularies for name, one in zip(texts, found, strict=True)}
    source, target = of_side.get("source", ()), of_side.get("target", ())
    return Vocabularies(source, target, rules[0].vector_size, rules[0].image_size)


@contextmanager
def _progress_bar(files: Sequence[str], what: str) -> Iterator[OnBytesRead]:
    """Show how much of the files has been read, if the output is a terminal."""
    total = sum(Path(path).stat().st_size for path in set(files))
    with tqdm(total=total, desc=what, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        yield bar.update
