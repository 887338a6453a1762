"""preprocess.py: prepare a corpus and save it, all files or none. Torch-free."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from onmt.data.block_encoder import SideRules
from onmt.data.options import PreprocessOptions, Side, manifest_path
from onmt.data.preparation import CorpusPreparation, EncodedSet, joined_vocabularies
from onmt.data.reading import CorpusHooks
from onmt.data.shards import HashingFile, Manifest, ShardEntry, write_shard
from onmt.data.vocabulary_building import SideVocabularies
from onmt.errors import DataError
from onmt.files import StagedFiles
from onmt.hooks import load_hook_module
from onmt.logger import Logger


def preprocess(options: PreprocessOptions, logger: Logger) -> None:
    """Prepare the data set that the options describe and save it under `options.save_data`.

    Write `<save_data>-train.json`, binary shards and vocabulary files, all or none; with `dry_run` write
    nothing. Raises DataError.
    """
    folder = Path(options.save_data).parent
    if not folder.is_dir():
        raise DataError(f"-save_data {options.save_data}: there is no folder '{folder}'")
    hooks = CorpusHooks.of(load_hook_module(options.hook_file, logger), options)
    preparation = CorpusPreparation(options, hooks, options.seed, folder, logger)
    train_files = preparation.training_files()
    if options.dry_run:
        return
    found = preparation.vocabularies(train_files)
    rules = preparation.rules(found, train_files)
    with ExitStack() as stack:
        sets = {"train": preparation.encode(stack, "train", train_files, rules)}
        valid_files = preparation.validation_files()
        if valid_files:
            sets["valid"] = preparation.encode(stack, "valid", valid_files, rules)
        _Saving(options, preparation.sides, logger).save(sets, found, rules)


class _Saving:
    """Writes the prepared data set."""

    def __init__(self, options: PreprocessOptions, sides: Sequence[Side], logger: Logger) -> None:
        self._options = options
        self._sides = sides
        self._texts = [side for side in sides if side.is_text]
        self._logger = logger

    def save(
        self, sets: Mapping[str, EncodedSet], found: Sequence[SideVocabularies], rules: Sequence[SideRules]
    ) -> None:
        target = manifest_path(self._options.save_data)
        old_shards = _shards_of(target)
        with StagedFiles() as staged:
            entries = {name: self._write_shards(staged, name, one) for name, one in sets.items()}
            for side, vocabularies in zip(self._texts, found, strict=True):
                self._write_vocabularies(staged, side, vocabularies)
            self._logger.info(f"Saving data to '{target}'...")
            manifest = Manifest(
                data_type=self._options.data_type,
                options=asdict(self._options),
                vocabularies=joined_vocabularies(self._sides, found, rules),
                train=entries["train"],
                valid=entries.get("valid", ()),
            )
            with staged.open(target) as file:
                file.write(manifest.to_bytes())
            # Remove the old manifest first: it must not outlive the shards that it describes.
            staged.commit(outdated=target)
        kept = {entry.file for one in entries.values() for entry in one}
        for name in old_shards - kept:
            (target.parent / name).unlink(missing_ok=True)

    def _write_shards(self, staged: StagedFiles, name: str, one: EncodedSet) -> tuple[ShardEntry, ...]:
        size = self._options.shard_size or len(one.order)
        entries = []
        for number, start in enumerate(range(0, len(one.order), size), start=1):
            order = one.order[start : start + size]
            path = Path(f"{self._options.save_data}-{name}-{number:04d}.bin")
            with staged.open(path) as file:
                hashing = HashingFile(file)
                write_shard(hashing, one.sides, order)
            entries.append(ShardEntry(path.name, len(order), hashing.size, hashing.sha256))
        return tuple(entries)

    def _write_vocabularies(self, staged: StagedFiles, side: Side, found: SideVocabularies) -> None:
        """Save the vocabularies that were built (not those read from files), under Lua's file names."""
        prefix = self._options.save_data
        feature_start = f"{prefix}.{side.name}_feature" if len(self._texts) > 1 else f"{prefix}_feature"
        ending = f".{side.prefix.removesuffix('_')}.dict" if side.prefix else ".dict"
        paths = [prefix + ending]
        paths += [f"{feature_start}_{j}.dict" for j in range(1, len(found.vocabularies))]
        entries = zip(paths, found.vocabularies, found.built, strict=True)
        for feature, (path, vocabulary, built) in enumerate(entries):
            if built:
                what = f"{side.name} feature {feature}" if feature else side.name
                self._logger.info(f"Saving {what} vocabulary to '{path}'...")
                with staged.open(path) as file:
                    file.write(vocabulary.to_bytes())


def _shards_of(manifest: Path) -> set[str]:
    """Return the shard files of the data set that is being replaced; none if it has no readable manifest."""
    try:
        old = Manifest.read(manifest)
    except DataError:
        return set()
    return {entry.file for entry in (*old.train, *old.valid) if Path(entry.file).name == entry.file}
