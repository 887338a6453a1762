"""`translate.py`: translates a file with a trained model."""

from collections.abc import Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.decoding.options import TranslateOptions
from onmt.google.inference_flags import inference_flags
from onmt.hooks import hooked_options
from onmt.logger import Logger

SCRIPT = Script(
    name="translate.py",
    summary="Translates a file with a trained model.",
    choose=lambda words: hooked_options(TranslateOptions, words),
    imply=inference_flags,
    data_on_stdout=lambda options: options.writes_data_to_stdout,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[TranslateOptions], logger: Logger) -> None:
    """Translate; torch is imported only now."""
    from onmt.decoding.translation_run import TranslationRun

    TranslationRun(parsed.options, parsed.given, logger).run()
