"""Options of preprocess.py for images with captions."""

from dataclasses import dataclass

from onmt.commandline.declare import at_least, existing_file_or_empty, not_empty, option
from onmt.data.options import DataOptions, PreprocessOptions, Side, TargetTextOptions
from onmt.data.vocabulary import ImageSize
from onmt.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class _ImageOptions(TargetTextOptions, DataOptions):
    """Data"""

    train: str = option(
        "",
        "Training file: a list of images with captions. Each line holds the path of an image, a tab and the "
        "caption. Relative paths start at the folder of the list.",
        valid=existing_file_or_empty,
    )
    valid: str = option("", "Validation file, in the format of -train.", valid=existing_file_or_empty)
    suffix: str = option(".tsv", "Suffix of the lists in -train_dir.", valid=not_empty)
    image_height: int = option(
        299,
        "Height to which every image is resized, in pixels; must equal the model's `resize_height`.",
        valid=at_least(1),
    )
    image_width: int = option(
        299,
        "Width to which every image is resized, in pixels; must equal the model's `resize_width`.",
        valid=at_least(1),
    )
    tgt_seq_length: int = option(
        50, "Maximum length of a caption, in tokens; images with longer ones are left out.", valid=at_least(1)
    )

    def sides(self) -> tuple[Side, ...]:
        """Return images and their captions, both from the same list."""
        source = Side(
            name="source",
            prefix="",
            train=self.train,
            valid=self.valid,
            suffix=self.suffix,
            max_length=1,
            image_size=ImageSize(self.image_height, self.image_width),
        )
        target = self.target_side(self.train, self.valid, self.suffix, self.tgt_seq_length)
        return (source, target)

    def check(self) -> None:
        """Raise OptionError for -idx_files: lists of images have no keys."""
        if self.idx_files:
            raise OptionError("-data_type img has no keys: leave -idx_files out")


@dataclass(frozen=True, kw_only=True)
class PreprocessImageOptions(PreprocessOptions, _ImageOptions):
    """Preprocess"""
