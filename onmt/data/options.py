"""Options of preprocess.py by kind of data; train.py uses the same classes for raw files."""

from dataclasses import dataclass
from typing import Literal

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
        "Folder of training files, instead of single ones: every file whose name ends with the suffix of the "
        "source, together with the one of the same name that ends with the suffix of the target.",
        valid=existing_folder_or_empty,
    )
    gsample: float = option(
        0.0,
        "Number of training sentences to draw from the files, with replacement; below 1, the part of their "
        "sentences. 0 takes every sentence once.",
        valid=at_least(0),
    )
    gsample_dist: str = option(
        "",
        "File of rules that say how much each training file contributes to -gsample. On every line: Lua "
        "patterns for the name without suffix, separated by commas, or `*`; a blank; a relative weight, or "
        "`*` for every sentence once. A file obeys the first rule that matches; without one it is unused.",
        valid=existing_file_or_empty,
    )
    features_vocabs_prefix: str = option(
        "",
        "Take the vocabularies of the word features from files that start so, instead of building them: "
        "`PREFIX.source_feature_1.dict`, `PREFIX.target_feature_1.dict` and so on.",
        reads=("{}*.dict",),
    )
    time_shift_feature: bool = option(
        True,
        "Store the features of a target word one position later than the word, so that a model predicts them "
        "knowing the word.",
    )
    keep_frequency: bool = option(
        False, "Write the number of occurrences of each word into the vocabulary files."
    )
    sort: bool = option(
        True, "Sort the sentences by source length, so that training can batch those of equal length."
    )
    shuffle: bool = option(True, "Put the sentences into a random order (before sorting).")
    idx_files: bool = option(
        False,
        "Each line starts with a key and a blank; source and target belong together by their keys, "
        "wherever they stand in their files.",
    )
    report_progress_every: int = option(
        100000, "Sentences between two log lines about the progress.", valid=at_least(1)
    )
    preprocess_pthreads: int = option(
        4,
        "Worker processes that read long files; the result does not depend on it.",
        valid=between(1, 1024),
    )

    def check(self) -> None:
        """Raise OptionError for -gsample_dist without -gsample, and for -gsample with -idx_files."""
        if self.gsample_dist and not self.gsample:
            raise OptionError("-gsample_dist says how to share what -gsample sets: give -gsample too")
        if self.gsample and self.idx_files:
            raise OptionError("-gsample draws lines, but with -idx_files lines are not what belongs together")

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

    train_src: str = option("", "Training file of the source.", valid=existing_file_or_empty)
    train_tgt: str = option("", "Training file of the target.", valid=existing_file_or_empty)
    valid_src: str = option("", "Validation file of the source.", valid=existing_file_or_empty)
    valid_tgt: str = option("", "Validation file of the target.", valid=existing_file_or_empty)
    src_suffix: str = option(
        ".src", "Ending of the names of the source files in -train_dir.", valid=not_empty
    )
    tgt_suffix: str = option(
        ".tgt", "Ending of the names of the target files in -train_dir.", valid=not_empty
    )
    src_seq_length: int = option(
        50, "Longest source to keep, in tokens or, for vectors, in frames.", valid=at_least(1)
    )
    tgt_seq_length: int = option(50, "Longest target to keep, in tokens.", valid=at_least(1))
    check_plength: bool = option(
        False, "Keep only pairs with as many tokens in the source as in the target, as a tagger needs them."
    )

    @property
    def same_length(self) -> bool:
        """Whether source and target must have the same number of tokens."""
        return self.check_plength


@dataclass(frozen=True, kw_only=True)
class _SourceTextOptions:
    """Data"""

    src_vocab: str = option(
        "", "Vocabulary file of the source to use instead of building one.", valid=existing_file_or_empty
    )
    src_vocab_size: tuple[int, ...] = option(
        (50000,),
        "Number of source words to keep, the most frequent ones, special words not counted; further numbers "
        "are for the word features. 0 keeps all.",
        valid=at_least(0),
    )
    src_words_min_frequency: tuple[int, ...] = option(
        (0,),
        "Keep source words that occur at least this many times; further numbers are for the word features. "
        "0 leaves it to -src_vocab_size.",
        valid=at_least(0),
    )
    tok_src: TokenizerOptions = on_the_fly("tok_src_")  # noqa: RUF009 - a field


@dataclass(frozen=True, kw_only=True)
class TargetTextOptions:
    """Data"""

    tgt_vocab: str = option(
        "", "Vocabulary file of the target to use instead of building one.", valid=existing_file_or_empty
    )
    tgt_vocab_size: tuple[int, ...] = option(
        (50000,),
        "Number of target words to keep, the most frequent ones, special words not counted; further numbers "
        "are for the word features. 0 keeps all.",
        valid=at_least(0),
    )
    tgt_words_min_frequency: tuple[int, ...] = option(
        (0,),
        "Keep target words that occur at least this many times; further numbers are for the word features. "
        "0 leaves it to -tgt_vocab_size.",
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
    suffix: str = option(".tok", "Ending of the names of the files in -train_dir.", valid=not_empty)
    vocab: str = option("", "Vocabulary file to use instead of building one.", valid=existing_file_or_empty)
    vocab_size: tuple[int, ...] = option(
        (50000,),
        "Number of words to keep, the most frequent ones, special words not counted; further numbers are for "
        "the word features. 0 keeps all.",
        valid=at_least(0),
    )
    words_min_frequency: tuple[int, ...] = option(
        (0,),
        "Keep words that occur at least this many times; further numbers are for the word features. "
        "0 leaves it to -vocab_size.",
        valid=at_least(0),
    )
    seq_length: int = option(50, "Longest sentence to keep, in tokens.", valid=at_least(1))
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
        "Kind of data: pairs of sentences (bitext), sentences alone (monotext), sequences of vectors with "
        "sentences (feattext), or images with captions (img).",
    )
    dry_run: bool = option(
        False, "Only look for the training files and say what would be taken from each.", dry=True
    )
    save_data: str = option(
        "",
        "Start of the names of all files to write.",
        required=True,
        writes=("{}-train.json", "{}-*.bin", "{}.dict", "{}.*.dict", "{}_feature_*.dict"),
        replaces=("src_vocab", "tgt_vocab", "vocab", "features_vocabs_prefix"),
    )
    seed: int = option(3425, "Seed of all random choices.", valid=at_least(0))
    shard_size: int = option(0, "Sentences per binary file; 0: all in one file.", valid=at_least(0))

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
