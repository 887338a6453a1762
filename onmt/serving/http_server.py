"""Runs an ASGI application with uvicorn: binding, log, signals, a graceful end."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette

from onmt.errors import OnmtError
from onmt.logger import Logger

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_BACKLOG: Final = 2048
_GRACE: Final = 0.25  # seconds for requests on their way when the end begins


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OnmtError where it cannot be bound."""
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
    """The address of a listening socket for a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(application: Starlette, listening: socket.socket, logger: Logger, patience: float) -> None:
    """Serve until SIGINT or SIGTERM; then finish the running requests, for `patience` seconds at most.

    A second signal ends without them.
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
    """uvicorn's server without its own signal handlers, which end with the signal instead of with 0."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See `_signals_to`."""
        yield

    def stop(self) -> None:
        """End gracefully; when called again, at once.

        No more connections are accepted. Requests that are on their way on open ones have a moment to
        arrive: uvicorn by itself would close connections between two requests without reading.
        """
        if self._stopping:
            self.should_exit = self.force_exit = True
            return
        self._stopping = True
        for listening in self.servers:
            listening.close()
        self.config.encoded_headers.append((b"connection", b"close"))
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        asyncio.get_running_loop().call_later(_GRACE, self._exit)

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
    """Hands on what uvicorn and asyncio log: problems as warnings, the rest as detail."""

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
