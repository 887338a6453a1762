"""The servers: `tools/rest_translation_server.py`, `rest_multi_models.py`, `translation_server.py`."""

from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.hooks import hooked_options
from onmt.logger import Logger
from onmt.serving.options import (
    RestMultiModelsOptions,
    RestTranslationServerOptions,
    TranslationServerOptions,
    require_serve,
)


def _rest_translation_server(parsed: Parsed[RestTranslationServerOptions], logger: Logger) -> None:
    """Serve until a signal comes; torch is imported only now."""
    require_serve()
    from onmt.serving.run import run_rest_server

    run_rest_server(parsed.options, parsed.given, logger)


rest_translation_server = Command(
    Script(
        name="tools/rest_translation_server.py",
        summary="Serves a translation model over HTTP, with a JSON interface and a web page.",
        choose=lambda words: hooked_options(RestTranslationServerOptions, words),
    ),
    _rest_translation_server,
)


def _rest_multi_models(parsed: Parsed[RestMultiModelsOptions], logger: Logger) -> None:
    """Serve until a signal comes; torch is imported only now."""
    require_serve()
    from onmt.serving.run import run_multi_models

    run_multi_models(parsed.options, logger)


rest_multi_models = Command(
    Script(
        name="tools/rest_multi_models.py",
        summary="Serves several models over HTTP, each loaded when it is needed and unloaded when it is "
        "idle.",
        choose=lambda words: hooked_options(RestMultiModelsOptions, words),
    ),
    _rest_multi_models,
)


def _translation_server(parsed: Parsed[TranslationServerOptions], logger: Logger) -> None:
    """Serve until a signal comes; torch is imported only now."""
    require_serve()
    from onmt.serving.run import run_zeromq_server

    run_zeromq_server(parsed.options, parsed.given, logger)


translation_server = Command(
    Script(
        name="tools/translation_server.py",
        summary="Serves a translation model over ZeroMQ.",
        choose=lambda _: TranslationServerOptions,
    ),
    _translation_server,
)
