"""`tools/translation_server.py`: serves a model over ZeroMQ."""

from collections.abc import Sequence

from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.logger import Logger
from onmt.serving.options import TranslationServerOptions, require_serve

SCRIPT = Script(
    name="tools/translation_server.py",
    summary="Serves a model over ZeroMQ.",
    choose=lambda _: TranslationServerOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[TranslationServerOptions], logger: Logger) -> None:
    """Serve until a signal comes; torch is imported only now."""
    require_serve()
    from onmt.serving.run import run_zeromq_server

    run_zeromq_server(parsed.options, parsed.given, logger)
