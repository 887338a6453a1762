"""train.py: learns a model from prepared data or text files."""

from collections.abc import Mapping, Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.hooks import hooked_options
from onmt.logger import Logger
from onmt.training.google_flags import implied_flags
from onmt.training.options import (
    AnyTrainOptions,
    TrainLanguageModelOptions,
    TrainSeq2SeqOptions,
    TrainTaggerOptions,
)

_OPTIONS: Mapping[str, type[AnyTrainOptions]] = {
    "seq2seq": TrainSeq2SeqOptions,
    "lm": TrainLanguageModelOptions,
    "seqtagger": TrainTaggerOptions,
}


def _choose(words: Mapping[str, str]) -> type[AnyTrainOptions]:
    return hooked_options(_OPTIONS.get(words.get("model_type", "seq2seq"), TrainSeq2SeqOptions), words)


SCRIPT: Script[AnyTrainOptions] = Script(
    name="train.py",
    summary="Trains a translation model, language model or tagger on prepared data or on text files.",
    choose=_choose,
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
