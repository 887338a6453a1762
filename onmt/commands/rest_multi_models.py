"""`tools/rest_multi_models.py`: serves several models over HTTP, each loaded when it is needed."""

from collections.abc import Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.hooks import hooked_options
from onmt.logger import Logger
from onmt.serving.options import RestMultiModelsOptions, require_serve

SCRIPT = Script(
    name="tools/rest_multi_models.py",
    summary="Serves several models over HTTP, each loaded when it is needed.",
    choose=lambda words: hooked_options(RestMultiModelsOptions, words),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[RestMultiModelsOptions], logger: Logger) -> None:
    """Serve until a signal comes; torch is imported only now."""
    require_serve()
    from onmt.serving.run import run_multi_models

    run_multi_models(parsed.options, logger)
