"""Start a server: models, HTTP or ZeroMQ, signals, log."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from onmt.errors import OnmtError
from onmt.hooks import load_hook_module
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.device import place_of
from onmt.serving.api import Models
from onmt.serving.http_server import bound_socket, serve, url_of
from onmt.serving.models import ModelPool, ModelSettings
from onmt.serving.options import (
    LimitOptions,
    RestMultiModelsOptions,
    RestTranslationServerOptions,
    TranslationServerOptions,
    read_model_config,
)
from onmt.serving.protocol import RequestError
from onmt.serving.rest import rest_application
from onmt.serving.zeromq import ZeroMqServer
from onmt.text.hooks import tokenizer_hooks


class ServerLog(Logger):
    """Hands lines on to a log; a line that cannot be written (`... | head`, a full disk) is lost, no more."""

    def __init__(self, log: Logger) -> None:
        super().__init__(LoggerOptions(disable_logs=True), None)
        self._log_lines = log

    def debug(self, message: str) -> None:
        """See Logger."""
        with suppress(OSError):
            self._log_lines.debug(message)

    def info(self, message: str) -> None:
        """See Logger."""
        with suppress(OSError):
            self._log_lines.info(message)

    def warning(self, message: str) -> None:
        """See Logger."""
        with suppress(OSError):
            self._log_lines.warning(message)

    def error(self, message: str) -> None:
        """See Logger."""
        with suppress(OSError):
            self._log_lines.error(message)


def run_rest_server(options: RestTranslationServerOptions, given: frozenset[str], logger: Logger) -> None:
    """Load the model and serve it until a signal comes."""
    settings = ModelSettings(
        models=Models(options.model, options.ensemble),
        options=options,
        given=given,
        batch_size=options.batch_size,
        tokenizer=options,
        hooks=tokenizer_hooks(load_hook_module(options.hook_file), options),
        with_attention=options.with_attention,
        place=place_of(options, logger),
    )
    with bound_socket(options.host, int(options.port)) as listening:
        asyncio.run(_serve_rest([settings], options, ServerLog(logger), listening, None))


def run_multi_models(options: RestMultiModelsOptions, logger: Logger) -> None:
    """Serve the models of the file until a signal comes."""
    entries = read_model_config(options.model_config)
    hooks = tokenizer_hooks(load_hook_module(options.hook_file), options)
    place = place_of(options, logger)
    for number, (entry, _) in enumerate(entries, start=1):
        for path in entry.model:
            if not Path(path).exists():
                logger.warning(f"{options.model_config}: there is no file '{path}' of model id {number} yet")
    settings = [
        ModelSettings(
            models=Models(entry.model, entry.ensemble),
            options=entry,
            given=given,
            batch_size=entry.batch_size,
            tokenizer=entry,
            hooks=hooks,
            with_attention=entry.with_attention or options.with_attention,
            place=place,
        )
        for entry, given in entries
    ]
    with bound_socket(options.host, options.port) as listening:
        asyncio.run(_serve_rest(settings, options, ServerLog(logger), listening, options.unload_time))


def run_zeromq_server(options: TranslationServerOptions, given: frozenset[str], logger: Logger) -> None:
    """Load the model and serve it until a signal comes."""
    settings = ModelSettings(
        models=Models(options.model, options.ensemble),
        options=options,
        given=given,
        batch_size=options.batch_size,
        place=place_of(options, logger),
    )
    asyncio.run(_serve_zeromq(settings, options, ServerLog(logger)))


async def _serve_rest(
    settings: Sequence[ModelSettings],
    limits: LimitOptions,
    logger: Logger,
    listening: socket.socket,
    unload_time: float | None,
) -> None:
    """unload_time: None for a single model that is loaded first and stays."""
    pool = ModelPool(settings, limits, logger, unload_time)
    try:
        if unload_time is None:
            await _load_first(pool)
        application = rest_application(pool, limits, logger, with_tokens=unload_time is None)
        logger.info(f"Launch server at {url_of(listening)}")
        await serve(application, listening, logger, limits.request_timeout)
    finally:
        pool.close()


async def _serve_zeromq(settings: ModelSettings, options: TranslationServerOptions, logger: Logger) -> None:
    pool = ModelPool([settings], options, logger)
    try:
        await _load_first(pool)
        await ZeroMqServer(pool, options, logger).serve(options.host, int(options.port))
    finally:
        pool.close()


async def _load_first(pool: ModelPool) -> None:
    """Load the only model. Raises the error that says why it cannot be."""
    try:
        await pool.models[0].load()
    except RequestError as error:
        raise error.__cause__ if isinstance(error.__cause__, OnmtError) else error from None
