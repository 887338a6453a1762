"""`tools/rest_translation_server.py`: serves a model to programs and people over HTTP."""

from collections.abc import Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.hooks import hooked_options
from onmt.logger import Logger
from onmt.serving.options import RestTranslationServerOptions, require_serve

SCRIPT = Script(
    name="tools/rest_translation_server.py",
    summary="Serves a model to programs and people over HTTP.",
    choose=lambda words: hooked_options(RestTranslationServerOptions, words),
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[RestTranslationServerOptions], logger: Logger) -> None:
    """Serve until a signal comes; torch is imported only now."""
    require_serve()
    from onmt.serving.run import run_rest_server

    run_rest_server(parsed.options, parsed.given, logger)
