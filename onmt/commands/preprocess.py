"""preprocess.py: prepares a data set for training."""

from collections.abc import Mapping, Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.data.image_options import PreprocessImageOptions
from onmt.data.options import (
    PreprocessBitextOptions,
    PreprocessFeattextOptions,
    PreprocessMonotextOptions,
    PreprocessOptions,
)
from onmt.hooks import hooked_options
from onmt.logger import Logger

_OPTIONS: Mapping[str, type[PreprocessOptions]] = {
    "bitext": PreprocessBitextOptions,
    "monotext": PreprocessMonotextOptions,
    "feattext": PreprocessFeattextOptions,
    "img": PreprocessImageOptions,
}


def choose(words: Mapping[str, str]) -> type[PreprocessOptions]:
    """The options of the kind of data that `-data_type` names."""
    return hooked_options(_OPTIONS.get(words.get("data_type", ""), PreprocessBitextOptions), words)


SCRIPT = Script[PreprocessOptions](
    name="preprocess.py",
    summary="Turn text into a data set for train.py: vocabularies, and sentences as numbers.",
    choose=choose,
    selectors=("data_type",),
)


def execute(parsed: Parsed[PreprocessOptions], logger: Logger) -> None:
    """Prepare and save the data set."""
    from onmt.data.preprocess import preprocess  # numpy is not needed for a help text

    preprocess(parsed.options, logger)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit code."""
    return run(SCRIPT, execute, argv)
