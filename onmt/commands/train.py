"""train.py: learns a model from prepared data or text files."""

from collections.abc import Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.logger import Logger
from onmt.training.options import AnyTrainOptions, choose_options, implied_flags

SCRIPT: Script[AnyTrainOptions] = Script(
    name="train.py",
    summary="Trains a translation model, language model or tagger on prepared data or on text files.",
    choose=choose_options,
    selectors=("model_type",),
    imply=implied_flags,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[AnyTrainOptions], logger: Logger) -> None:
    """Train; torch is imported here, so that help and usage errors come at once."""
    from onmt.training.run import train

    train(parsed.options, parsed.given, logger)
