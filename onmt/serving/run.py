"""Run a server: bind the port, load the models, answer requests until a stop signal."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from onmt.errors import OnmtError
from onmt.hooks import load_hook_module, tokenizer_hooks
from onmt.logger import Logger, LoggerOptions
from onmt.runtime.device import place_of
from onmt.serving.api import Models
from onmt.serving.endpoints import GRACE, ZeroMqServer, rest_application
from onmt.serving.models import ModelPool, ModelSettings
from onmt.serving.options import (
    LimitOptions,
    RestMultiModelsOptions,
    RestTranslationServerOptions,
    TranslationServerOptions,
    read_model_config,
)
from onmt.serving.protocol import RequestError


class ServerLog(Logger):
    """Forwards lines to a log; a line that cannot be written (`... | head`, a full disk) is dropped."""

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
    """Serve the models. unload_time: None for a single model, which is loaded first and stays loaded."""
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
    """Load the only model. If that fails, raise the original error instead of the client's RequestError."""
    try:
        await pool.models[0].load()
    except RequestError as error:
        raise error.__cause__ if isinstance(error.__cause__, OnmtError) else error from None


_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_BACKLOG: Final = 2048


def bound_socket(host: str, port: int) -> socket.socket:
    """Bind and return a listening socket. Raises OnmtError if that fails."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name of a host"
        raise OnmtError(f"-host {host} -port {port}: {reason}") from error
    return listening


def url_of(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(application: Starlette, listening: socket.socket, logger: Logger, patience: float) -> None:
    """Serve until SIGINT or SIGTERM, then finish the running requests for at most `patience` seconds.

    A second signal ends the server without finishing them.
    """
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(patience)),
    )
    server = _Server(config)
    with _signals_to(server, logger), _logged_by(logger):
        await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which end the process by the signal, not with code 0."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See `_signals_to`."""
        yield

    def stop(self) -> None:
        """Stop gracefully; if called again, stop at once.

        No new connections are accepted. Requests already on their way over open connections get `GRACE`
        seconds to arrive: uvicorn alone would close a connection between two requests without reading.
        """
        if self._stopping:
            self.should_exit = self.force_exit = True
            return
        self._stopping = True
        for listening in self.servers:
            listening.close()
        self.config.encoded_headers.append((b"connection", b"close"))
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        asyncio.get_running_loop().call_later(GRACE, self._exit)

    def _exit(self) -> None:
        self.should_exit = True


@contextlib.contextmanager
def _signals_to(server: "_Server", logger: Logger) -> Iterator[None]:
    def stop() -> None:
        logger.info("Finishing the running requests")
        server.stop()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


class _Bridge(logging.Handler):
    """Forwards log records of uvicorn and asyncio: warnings and errors as warnings, the rest as debug."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record, on one line."""
        if record.levelno >= logging.WARNING:
            self._logger.warning(record.getMessage())
        else:
            self._logger.debug(record.getMessage())


@contextlib.contextmanager
def _logged_by(logger: Logger) -> Iterator[None]:
    handler = _Bridge(logger)
    sources = [logging.getLogger(name) for name in ("uvicorn", "asyncio")]
    for source in sources:
        source.addHandler(handler)
    try:
        yield
    finally:
        for source in sources:
            source.removeHandler(handler)
