"""Options of preprocess.py by kind of data; train.py uses the same classes for raw files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from onmt.commandline.declare import (
    at_least,
    between,
    existing_file_or_empty,
    existing_folder_or_empty,
    not_empty,
    option,
)
from onmt.data.vocabulary import ImageSize
from onmt.errors import OptionError
from onmt.hooks import HookOptions
from onmt.logger import LoggerOptions
from onmt.text.options import TokenizerOptions, on_the_fly

_MANIFEST_ENDING: Final = "-train.json"


@dataclass(frozen=True)
class Side:
    """The options of one side of a corpus, source or target, for every kind of data."""

    name: Literal["source", "target"]
    prefix: str  # of the side's flags: `src_`, `tgt_`, or empty for a monolingual corpus and for images
    train: str
    valid: str
    suffix: str  # of the side's file names in -train_dir
    max_length: int
    tokenizer: TokenizerOptions | None = None  # None: vectors or images
    image_size: ImageSize | None = None
    vocab: str = ""
    vocab_size: tuple[int, ...] = ()
    words_min_frequency: tuple[int, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the entries are sentences."""
        return self.tokenizer is not None

    @property
    def kind(self) -> Literal["text", "vectors", "images"]:
        """Kind of the entries: sentences, sequences of vectors, or images."""
        if self.image_size is not None:
            return "images"
        return "text" if self.is_text else "vectors"

    @property
    def marked(self) -> bool:
        """Whether sentences are stored between <s> and </s>; true for the sentences that a model predicts."""
        return self.name == "target" or not self.prefix


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Data"""

    train_dir: str = option(
        "",
        "Folder of training files, to use instead of single files: every file whose name ends with the "
        "source suffix, paired with the file of the same name that ends with the target suffix.",
        valid=existing_folder_or_empty,
    )
    gsample: float = option(
        0.0,
        "Number of training sentences to draw from the files, with replacement; below 1, a fraction of "
        "their sentences. 0 takes every sentence once.",
        valid=at_least(0),
    )
    gsample_dist: str = option(
        "",
        "File of rules for the share of each training file in -gsample. Each line holds Lua patterns for "
        "the file name without suffix, separated by commas, or `*`; a blank; and a relative weight, or `*` "
        "for every sentence once. The first rule that matches a file applies; a file that matches none is "
        "not used.",
        valid=existing_file_or_empty,
    )
    features_vocabs_prefix: str = option(
        "",
        "Prefix of existing vocabularies of the word features, to use instead of building them: "
        "`PREFIX.source_feature_1.dict`, `PREFIX.target_feature_1.dict` and so on.",
        reads=("{}*.dict",),
    )
    time_shift_feature: bool = option(
        True,
        "Shift the features of target words by one position, so that a model predicts the features of a "
        "word after the word itself.",
    )
    keep_frequency: bool = option(False, "Also write the frequency of each word to the vocabulary files.")
    sort: bool = option(
        True, "Sort the sentences by source length, so that a batch can hold sentences of equal length."
    )
    shuffle: bool = option(True, "Shuffle the sentences (before sorting).")
    idx_files: bool = option(
        False,
        "Each line starts with a key and a blank; source and target are matched by key, in any order.",
    )
    report_progress_every: int = option(
        100000, "Number of sentences between two log lines about the progress.", valid=at_least(1)
    )
    preprocess_pthreads: int = option(
        4,
        "Number of worker processes for large files; the result does not depend on it.",
        valid=between(1, 1024),
    )

    def check(self) -> None:
        """Raise OptionError for -gsample_dist without -gsample, and for -gsample with -idx_files."""
        if self.gsample_dist and not self.gsample:
            raise OptionError(
                "-gsample_dist needs -gsample, the number of sentences that its rules distribute over the "
                "files"
            )
        if self.gsample and self.idx_files:
            raise OptionError(
                "-gsample cannot be used with -idx_files: it draws lines, but sentences are matched by key"
            )

    def sides(self) -> tuple[Side, ...]:
        """Return the sides of the corpus, source first; implemented by each kind of data."""
        raise NotImplementedError

    @property
    def same_length(self) -> bool:
        """Whether source and target must have the same number of tokens."""
        return False

    def files(self) -> tuple[str, ...]:
        """Return the names of the given flags that name files or a folder of this corpus."""
        named = [("train_dir", self.train_dir)]
        for side in self.sides():
            named += [(f"train{_suffix(side)}", side.train), (f"valid{_suffix(side)}", side.valid)]
        return tuple(flag for flag, path in named if path)

    def check_files(self) -> None:
        """Raise OptionError unless training files are given, and each set has the files of all sides."""
        sides = self.sides()
        train = [side for side in sides if side.train]
        if self.train_dir and train:
            raise OptionError(f"-train_dir and -train{_suffix(train[0])} exclude each other")
        if not self.train_dir:
            _check_complete(sides, train, "train")
        valid = [side for side in sides if side.valid]
        if valid:
            _check_complete(sides, valid, "valid")


@dataclass(frozen=True, kw_only=True)
class _PairOptions:
    """Data"""

    train_src: str = option("", "Source training file.", valid=existing_file_or_empty)
    train_tgt: str = option("", "Target training file.", valid=existing_file_or_empty)
    valid_src: str = option("", "Source validation file.", valid=existing_file_or_empty)
    valid_tgt: str = option("", "Target validation file.", valid=existing_file_or_empty)
    src_suffix: str = option(".src", "Suffix of the source files in -train_dir.", valid=not_empty)
    tgt_suffix: str = option(".tgt", "Suffix of the target files in -train_dir.", valid=not_empty)
    src_seq_length: int = option(
        50,
        "Maximum source length, in tokens or, for vectors, in frames; longer sentences are left out.",
        valid=at_least(1),
    )
    tgt_seq_length: int = option(
        50, "Maximum target length, in tokens; longer sentences are left out.", valid=at_least(1)
    )
    check_plength: bool = option(
        False, "Keep only pairs with equally many source and target tokens, as a tagger needs them."
    )

    @property
    def same_length(self) -> bool:
        """Whether source and target must have the same number of tokens."""
        return self.check_plength


@dataclass(frozen=True, kw_only=True)
class _SourceTextOptions:
    """Data"""

    src_vocab: str = option(
        "", "Source vocabulary file, to use instead of building a vocabulary.", valid=existing_file_or_empty
    )
    src_vocab_size: tuple[int, ...] = option(
        (50000,),
        "Number of source words to keep, the most frequent ones, special words not counted; further numbers "
        "are for the word features. 0 keeps all.",
        valid=at_least(0),
    )
    src_words_min_frequency: tuple[int, ...] = option(
        (0,),
        "Keep source words that occur at least this many times, however many they are; further numbers are "
        "for the word features. 0 leaves it to -src_vocab_size.",
        valid=at_least(0),
    )
    tok_src: TokenizerOptions = on_the_fly("tok_src_")  # noqa: RUF009 - a field


@dataclass(frozen=True, kw_only=True)
class TargetTextOptions:
    """Data"""

    tgt_vocab: str = option(
        "", "Target vocabulary file, to use instead of building a vocabulary.", valid=existing_file_or_empty
    )
    tgt_vocab_size: tuple[int, ...] = option(
        (50000,),
        "Number of target words to keep, the most frequent ones, special words not counted; further numbers "
        "are for the word features. 0 keeps all.",
        valid=at_least(0),
    )
    tgt_words_min_frequency: tuple[int, ...] = option(
        (0,),
        "Keep target words that occur at least this many times, however many they are; further numbers are "
        "for the word features. 0 leaves it to -tgt_vocab_size.",
        valid=at_least(0),
    )
    tok_tgt: TokenizerOptions = on_the_fly("tok_tgt_")  # noqa: RUF009 - a field

    def target_side(self, train: str, valid: str, suffix: str, max_length: int) -> Side:
        """Return the target side; the arguments are flags that depend on the kind of data."""
        return Side(
            name="target",
            prefix="tgt_",
            train=train,
            valid=valid,
            suffix=suffix,
            max_length=max_length,
            tokenizer=self.tok_tgt,
            vocab=self.tgt_vocab,
            vocab_size=self.tgt_vocab_size,
            words_min_frequency=self.tgt_words_min_frequency,
        )


@dataclass(frozen=True, kw_only=True)
class BitextOptions(_PairOptions, _SourceTextOptions, TargetTextOptions, DataOptions):
    """Data"""

    def sides(self) -> tuple[Side, ...]:
        """Return source text and target text."""
        source = Side(
            name="source",
            prefix="src_",
            train=self.train_src,
            valid=self.valid_src,
            suffix=self.src_suffix,
            max_length=self.src_seq_length,
            tokenizer=self.tok_src,
            vocab=self.src_vocab,
            vocab_size=self.src_vocab_size,
            words_min_frequency=self.src_words_min_frequency,
        )
        target = self.target_side(self.train_tgt, self.valid_tgt, self.tgt_suffix, self.tgt_seq_length)
        return (source, target)


@dataclass(frozen=True, kw_only=True)
class _FeattextOptions(_PairOptions, TargetTextOptions, DataOptions):
    """Data"""

    def sides(self) -> tuple[Side, ...]:
        """Return source vectors, a row per frame, and target text."""
        source = Side(
            name="source",
            prefix="src_",
            train=self.train_src,
            valid=self.valid_src,
            suffix=self.src_suffix,
            max_length=self.src_seq_length,
        )
        target = self.target_side(self.train_tgt, self.valid_tgt, self.tgt_suffix, self.tgt_seq_length)
        return (source, target)

    def check(self) -> None:
        """Raise OptionError without -idx_files: archives of vectors have keys, not lines."""
        if not self.idx_files:
            raise OptionError("-data_type feattext needs -idx_files: vectors and targets are matched by key")


@dataclass(frozen=True, kw_only=True)
class MonotextOptions(DataOptions):
    """Data"""

    train: str = option("", "Training file.", valid=existing_file_or_empty)
    valid: str = option("", "Validation file.", valid=existing_file_or_empty)
    suffix: str = option(".tok", "Suffix of the files in -train_dir.", valid=not_empty)
    vocab: str = option(
        "", "Vocabulary file, to use instead of building a vocabulary.", valid=existing_file_or_empty
    )
    vocab_size: tuple[int, ...] = option(
        (50000,),
        "Number of words to keep, the most frequent ones, special words not counted; further numbers are for "
        "the word features. 0 keeps all.",
        valid=at_least(0),
    )
    words_min_frequency: tuple[int, ...] = option(
        (0,),
        "Keep words that occur at least this many times, however many they are; further numbers are for the "
        "word features. 0 leaves it to -vocab_size.",
        valid=at_least(0),
    )
    seq_length: int = option(
        50, "Maximum length of a sentence, in tokens; longer ones are left out.", valid=at_least(1)
    )
    tok: TokenizerOptions = on_the_fly("tok_")  # noqa: RUF009 - a field

    def sides(self) -> tuple[Side, ...]:
        """Return the text, which a language model reads and predicts, as the only side."""
        source = Side(
            name="source",
            prefix="",
            train=self.train,
            valid=self.valid,
            suffix=self.suffix,
            max_length=self.seq_length,
            tokenizer=self.tok,
            vocab=self.vocab,
            vocab_size=self.vocab_size,
            words_min_frequency=self.words_min_frequency,
        )
        return (source,)


@dataclass(frozen=True, kw_only=True)
class PreprocessOptions(DataOptions, HookOptions, LoggerOptions):
    """Preprocess"""

    data_type: Literal["bitext", "monotext", "feattext", "img"] = option(
        "bitext",
        "Kind of data. `bitext`: pairs of sentences. `monotext`: single sentences. `feattext`: sequences of "
        "vectors with sentences. `img`: images with captions.",
    )
    dry_run: bool = option(
        False, "Only list the training files and how much would be taken from each; write nothing.", dry=True
    )
    save_data: str = option(
        "",
        "Prefix of all files to write.",
        required=True,
        writes=("{}-train.json", "{}-*.bin", "{}.dict", "{}.*.dict", "{}_feature_*.dict"),
        replaces=("src_vocab", "tgt_vocab", "vocab", "features_vocabs_prefix"),
    )
    seed: int = option(3425, "Random seed.", valid=at_least(0))
    shard_size: int = option(0, "Number of sentences per binary file; 0: all in one file.", valid=at_least(0))

    def check(self) -> None:
        """See `check_files`."""
        self.check_files()


@dataclass(frozen=True, kw_only=True)
class PreprocessBitextOptions(PreprocessOptions, BitextOptions):
    """Preprocess"""


@dataclass(frozen=True, kw_only=True)
class PreprocessMonotextOptions(PreprocessOptions, MonotextOptions):
    """Preprocess"""


@dataclass(frozen=True, kw_only=True)
class PreprocessFeattextOptions(PreprocessOptions, _FeattextOptions):
    """Preprocess"""


def _check_complete(sides: tuple[Side, ...], given: list[Side], name: str) -> None:
    for side in sides:
        if side not in given:
            beside = f" beside -{name}{_suffix(given[0])}" if given else ""
            raise OptionError(f"-{name}{_suffix(side)} is missing{beside}")


def _suffix(side: Side) -> str:
    return f"_{side.prefix.removesuffix('_')}" if side.prefix else ""


def manifest_path(save_data: str) -> Path:
    """Return the path of the manifest of the data set `save_data`."""
    return Path(save_data + _MANIFEST_ENDING)


def find_manifest(data: str) -> Path | None:
    """Find the manifest for `-data`: the file itself, a `-save_data` prefix, or Lua's `PREFIX-train.t7`."""
    stem = data.removesuffix(".t7")
    for candidate in (Path(stem), Path(stem + ".json"), manifest_path(stem)):
        if candidate.is_file() and candidate.suffix == ".json":
            return candidate
    return None


def prepared_data_or_empty(data: str) -> str | None:
    """Check `-data`: return an error message, or None if the value is empty or the data exists."""
    if not data or find_manifest(data) is not None:
        return None
    return f"there is no prepared data '{data}' (looked for '{manifest_path(data.removesuffix('.t7'))}')"
