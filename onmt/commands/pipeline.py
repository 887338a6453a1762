"""The main scripts: `preprocess.py`, `train.py`, `translate.py`, `tools/lm.py` and `tools/tag.py`."""

from collections.abc import Mapping

from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.data.image_options import PreprocessImageOptions
from onmt.data.options import (
    PreprocessBitextOptions,
    PreprocessFeattextOptions,
    PreprocessMonotextOptions,
    PreprocessOptions,
)
from onmt.decoding.inference_options import LmOptions, TagOptions
from onmt.decoding.options import TranslateOptions, implied_translation_flags
from onmt.hooks import hooked_options
from onmt.logger import Logger
from onmt.training.options import AnyTrainOptions, choose_options, implied_flags

_OPTIONS: Mapping[str, type[PreprocessOptions]] = {
    "bitext": PreprocessBitextOptions,
    "monotext": PreprocessMonotextOptions,
    "feattext": PreprocessFeattextOptions,
    "img": PreprocessImageOptions,
}


def _preprocess_options(words: Mapping[str, str]) -> type[PreprocessOptions]:
    """The options of the kind of data that `-data_type` names."""
    return hooked_options(_OPTIONS.get(words.get("data_type", ""), PreprocessBitextOptions), words)


def _preprocess(parsed: Parsed[PreprocessOptions], logger: Logger) -> None:
    """Prepare and save the data set."""
    from onmt.data.preprocess import preprocess  # numpy is not needed for a help text

    preprocess(parsed.options, logger)


preprocess = Command(
    Script[PreprocessOptions](
        name="preprocess.py",
        summary="Prepares data for train.py: builds vocabularies and encodes sentences as numbers.",
        choose=_preprocess_options,
        selectors=("data_type",),
    ),
    _preprocess,
)


def _train(parsed: Parsed[AnyTrainOptions], logger: Logger) -> None:
    """Train; torch is imported here, so that help and usage errors come at once."""
    from onmt.training.run import train

    train(parsed.options, parsed.given, logger)


train: Command[AnyTrainOptions] = Command(
    Script(
        name="train.py",
        summary="Trains a translation model, language model or tagger on prepared data or on text files.",
        choose=choose_options,
        selectors=("model_type",),
        imply=implied_flags,
    ),
    _train,
)


def _translate(parsed: Parsed[TranslateOptions], logger: Logger) -> None:
    """Translate; torch is imported only now."""
    from onmt.decoding.translation_run import TranslationRun

    TranslationRun(parsed.options, parsed.given, logger).run()


translate = Command(
    Script(
        name="translate.py",
        summary="Translates a file with a trained model.",
        choose=lambda words: hooked_options(TranslateOptions, words),
        imply=implied_translation_flags,
        data_on_stdout=lambda options: options.writes_data_to_stdout,
    ),
    _translate,
)


def _lm(parsed: Parsed[LmOptions], logger: Logger) -> None:
    """Do the work; torch is imported only now."""
    from onmt.decoding.inference import run_lm

    run_lm(parsed.options, logger)


lm = Command(
    Script(
        name="tools/lm.py",
        summary="Scores sentences with a language model, or continues them.",
        choose=lambda _: LmOptions,
        data_on_stdout=lambda options: options.output == "-",
    ),
    _lm,
)


def _tag(parsed: Parsed[TagOptions], logger: Logger) -> None:
    """Do the work; torch is imported only now."""
    from onmt.decoding.inference import TagRun

    TagRun(parsed.options, logger).run()


tag = Command(
    Script(
        name="tools/tag.py",
        summary="Tags each position of a sentence with a trained sequence tagger.",
        choose=lambda _: TagOptions,
        data_on_stdout=lambda options: options.output == "-",
    ),
    _tag,
)
