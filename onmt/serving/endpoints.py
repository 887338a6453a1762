"""The two kinds of server endpoints: HTTP (starlette) and ZeroMQ."""

import asyncio
import math
import signal
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final, TypeVar

import zmq
import zmq.asyncio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from onmt.constants import VERSION
from onmt.decoding.pictures import LOOK
from onmt.errors import OnmtError
from onmt.logger import Logger
from onmt.serving.api import TranslatedLine
from onmt.serving.models import ModelPool, ServedModel
from onmt.serving.options import LimitOptions
from onmt.serving.protocol import (
    RequestError,
    TranslationRequest,
    public,
    read_request,
    rest_hypotheses,
    to_json,
    too_large,
    unavailable,
    zeromq_hypotheses,
)

_CLIENT_GONE: Final = 499  # in the metrics only: the client has closed the connection
# Multiple of -max_request_size up to which an oversized request is read, so that its client gets a refusal.
_DRAINED: Final = 16

Result = TypeVar("Result")


class ClientGone(Exception):  # noqa: N818 - not an error: the client has closed the connection
    """The client closed the connection before its answer."""


def rest_application(
    pool: ModelPool, limits: LimitOptions, logger: Logger, *, with_tokens: bool
) -> Starlette:
    """Create the HTTP application. with_tokens: answers that hold attention also hold the tokens."""
    service = _Service(pool)
    return Starlette(
        routes=[
            Route("/", service.page),
            Route("/health", service.health),
            Route("/metrics", service.metrics),
            Route("/translator/models", service.models),
            # The original compares only the end of the path.
            Route("/{prefix:path}translator/translate", TranslateEndpoint(pool, limits, logger, with_tokens)),
        ],
        exception_handlers={HTTPException: _plain_error},
    )


class TranslateEndpoint:
    """POST /translator/translate; see docs/serving.md."""

    def __init__(self, pool: ModelPool, limits: LimitOptions, logger: Logger, with_tokens: bool) -> None:
        self._pool = pool
        self._limits = limits
        self._logger = logger
        self._with_tokens = with_tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        try:
            status = await self._answer(scope, receive, send)
        except ClientGone:
            status = _CLIENT_GONE
        except RequestError as error:
            status = error.status.value
            await _plain(error)(scope, receive, send)
        self._pool.metrics.answered(status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        if scope["method"] != "POST":
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, "only POST is answered here")
        body = await self._body(scope, receive)
        request = read_request(body, self._limits.max_sentences)
        model = self._pool.model(request.model)
        if model.is_one_of_several:
            self._logger.info(f"receiving request for model id {model.number}")
        else:
            self._logger.debug("receiving request")
        async with model.in_use():
            content = await _unless_gone(receive, self._in_time(self._translated(model, request)))
            if model.is_one_of_several:
                self._logger.info(f"sending response model id {model.number}")
            else:
                self._logger.debug("sending response")
            await Response(content, media_type="application/json")(scope, receive, send)
        return HTTPStatus.OK.value

    async def _translated(self, model: ServedModel, request: TranslationRequest) -> bytes:
        try:
            lines = await self._pool.translate(model, request.items)
            return await asyncio.to_thread(self._content, lines, model, request)
        except RequestError:
            raise
        except OnmtError as error:
            self._logger.error(str(error))
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
        except Exception as error:
            self._logger.error(f"{type(error).__name__}: {error}")
            reason = "an error of the server, see its log"
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, reason) from error

    def _content(self, lines: list[TranslatedLine], model: ServedModel, request: TranslationRequest) -> bytes:
        answers = []
        for line, item in zip(lines, request.items, strict=True):
            with_attention = model.settings.with_attention or item.with_attention
            with_tokens = item.with_tokens or (with_attention and self._with_tokens)
            answers.append(rest_hypotheses(line, with_attention, with_tokens))
        return to_json(answers)

    async def _in_time(self, answer: Awaitable[Result]) -> Result:
        seconds = self._limits.request_timeout
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise unavailable(f"no answer within {seconds:g} seconds") from None

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the body of a request. Raises RequestError (408 or 413), or ClientGone."""
        seconds, most = self._limits.request_timeout, self._limits.max_request_size
        parts, size = [], 0
        try:
            async with asyncio.timeout(seconds):
                more = True
                while more and size <= _DRAINED * most:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    size += len(message.get("body", b""))
                    if size <= most:
                        parts.append(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            reason = f"the request did not arrive within {seconds:g} seconds"
            raise RequestError(HTTPStatus.REQUEST_TIMEOUT, reason) from None
        if size > most:
            too_large(f"at most {most} bytes can be sent at once")
        return b"".join(parts)


class _Service:
    """The endpoints other than translation: web page, health, models and metrics."""

    def __init__(self, pool: ModelPool) -> None:
        self._pool = pool
        page = files("onmt.serving").joinpath("page.html").read_text(encoding="utf-8")
        self._page = page.replace("/* look */", LOOK)

    async def page(self, request: Request) -> Response:
        """The web page for translating in a browser."""
        # Nothing is fetched from elsewhere, and no other site can frame the page.
        policy = (
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        )
        policy += "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return HTMLResponse(self._page, headers={"Content-Security-Policy": policy})

    async def health(self, request: Request) -> Response:
        """A constant status "ok", the version, and the number of models and of loaded models."""
        loaded = sum(model.is_loaded for model in self._pool.models)
        return _json({"status": "ok", "version": VERSION, "models": len(self._pool.models), "loaded": loaded})

    async def models(self, request: Request) -> Response:
        """A list of the models with their numbers; file names come without folders."""
        return _json(
            [
                {
                    "id": model.number,
                    "model": model.settings.name,
                    "loaded": model.is_loaded,
                    "beam_size": model.settings.options.beam_size,
                    "n_best": model.settings.options.n_best,
                }
                for model in self._pool.models
            ]
        )

    async def metrics(self, request: Request) -> Response:
        """The metrics for Prometheus."""
        text = await asyncio.to_thread(self._pool.metrics.text)
        return Response(text, headers={"Content-Type": self._pool.metrics.content_type})


async def _unless_gone(receive: Receive, answer: Awaitable[Result]) -> Result:
    """Wait for the answer; if the client disconnects first, cancel it and raise ClientGone."""
    answering = asyncio.ensure_future(answer)
    watching = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientGone
        return answering.result()
    finally:
        for task in (answering, watching):
            task.cancel()
        await asyncio.gather(answering, watching, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(content: Any) -> Response:
    return Response(to_json(content), media_type="application/json")


def _plain(error: RequestError) -> Response:
    headers = {}
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "POST"
    return PlainTextResponse(error.line, error.status.value, headers)


async def _plain_error(request: Request, error: Exception) -> Response:
    """The plain-text form of starlette's own errors: 404, and 405 of the service endpoints."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return PlainTextResponse(f"{status.value} {status.phrase}", status.value, error.headers)


_POLL: Final = 100  # milliseconds between checks for a stop signal while no message comes
GRACE: Final = 0.25  # seconds for which messages are still accepted after the stop signal
_LINGER: Final = 5000  # milliseconds for sending pending answers when the socket closes


class ZeroMqServer:
    """Answers JSON messages of REQ clients with the first model of a pool.

    The socket is a ROUTER rather than the original's REP. A REQ client sees no difference, but a ROUTER takes
    the messages of many clients at once, which then share batches.
    """

    def __init__(self, pool: ModelPool, limits: LimitOptions, logger: Logger) -> None:
        self._pool = pool
        self._limits = limits
        self._logger = logger
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self, host: str, port: int) -> None:
        """Serve until SIGINT or SIGTERM, then finish running requests. Raises OnmtError if binding fails."""
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
        """Accept messages until the stop signal, and `GRACE` seconds longer for those already sent."""
        loop, end = asyncio.get_running_loop(), math.inf
        while loop.time() < end:
            if await router.poll(_POLL):
                *envelope, message = await router.recv_multipart()
                task = loop.create_task(self._respond(router, envelope, message))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if stopped.is_set() and end == math.inf:
                self._logger.info("Finishing the running requests")
                end = loop.time() + GRACE

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
