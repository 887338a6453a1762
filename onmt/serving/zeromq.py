"""The ZeroMQ server: a JSON message in, a JSON message out, for clients with a REQ socket.

The socket is a ROUTER rather than the original's REP: to a REQ client they are alike, but a ROUTER takes the
messages of many clients at once, which then share batches.
"""

import asyncio
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import zmq
import zmq.asyncio

from onmt.errors import OnmtError
from onmt.logger import Logger
from onmt.serving.models import ModelPool
from onmt.serving.options import LimitOptions
from onmt.serving.protocol import RequestError, public, read_request, to_json, too_large, zeromq_hypotheses

_DRAINED: Final = 16  # times the largest request: a message up to this size is answered, by a refusal
_POLL: Final = 100  # milliseconds between two looks for a signal, where no message comes
_GRACE: Final = 0.25  # seconds for messages on their way when the signal comes
_LINGER: Final = 5000  # milliseconds for answers to leave at the end


class ZeroMqServer:
    """Answers messages with the first model of a pool."""

    def __init__(self, pool: ModelPool, limits: LimitOptions, logger: Logger) -> None:
        self._pool = pool
        self._limits = limits
        self._logger = logger
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self, host: str, port: int) -> None:
        """Serve until SIGINT or SIGTERM, then finish the running requests. OnmtError if binding fails."""
        with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as router:
            router.setsockopt(zmq.LINGER, _LINGER)
            router.setsockopt(zmq.MAXMSGSIZE, _DRAINED * self._limits.max_request_size)
            address = _bind(router, host, port)
            self._logger.info(f"Server initialized at {address}")
            with _stop_signals() as stopped:
                await self._receive(router, stopped)
            if self._running:
                await asyncio.wait(self._running, timeout=self._limits.request_timeout)

    async def _receive(self, router: zmq.asyncio.Socket, stopped: asyncio.Event) -> None:
        """Take messages until the signal, and for a moment longer those that are on their way."""
        loop, end = asyncio.get_running_loop(), math.inf
        while loop.time() < end:
            if await router.poll(_POLL):
                *envelope, message = await router.recv_multipart()
                task = loop.create_task(self._respond(router, envelope, message))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if stopped.is_set() and end == math.inf:
                self._logger.info("Finishing the running requests")
                end = loop.time() + _GRACE

    async def _respond(self, router: zmq.asyncio.Socket, envelope: list[bytes], message: bytes) -> None:
        self._logger.debug(f"Received... {message.decode('utf-8', 'replace')}")
        answer = await self._answer(message)
        self._logger.debug(f"Returning... {answer.decode('utf-8')}")
        await router.send_multipart([*envelope, answer])

    async def _answer(self, message: bytes) -> bytes:
        try:
            async with asyncio.timeout(self._limits.request_timeout):
                return await self._translated(message)
        except TimeoutError:
            reason = f"no answer within {self._limits.request_timeout:g} seconds"
        except RequestError as error:
            reason = str(error)
        except OnmtError as error:
            self._logger.error(str(error))
            reason = public(str(error))
        except Exception as error:
            self._logger.error(f"{type(error).__name__}: {error}")
            reason = "an error of the server, see its log"
        return to_json({"error": reason})

    async def _translated(self, message: bytes) -> bytes:
        if len(message) > self._limits.max_request_size:
            too_large(f"at most {self._limits.max_request_size} bytes can be sent at once")
        request = read_request(message, self._limits.max_sentences)
        lines = await self._pool.translate(self._pool.models[0], request.items)
        return await asyncio.to_thread(to_json, [zeromq_hypotheses(line) for line in lines])


def _bind(router: zmq.asyncio.Socket, host: str, port: int) -> str:
    bare = host if ":" not in host else f"[{host}]"
    if ":" in host:
        router.setsockopt(zmq.IPV6, 1)
    try:
        router.bind(f"tcp://{bare}:{port or '*'}")
    except zmq.ZMQError as error:
        raise OnmtError(f"-host {host} -port {port}: {error.strerror}") from error
    return str(router.getsockopt_string(zmq.LAST_ENDPOINT))


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
