"""A REST server in the test's own process, and a client for it."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from typing import Any

from onmt.decoding.options import TranslatorOptions
from onmt.logger import Logger, LoggerOptions
from onmt.serving.api import Models
from onmt.serving.endpoints import rest_application
from onmt.serving.models import ModelPool, ModelSettings
from onmt.serving.options import LimitOptions
from onmt.serving.run import bound_socket, serve
from onmt.text.options import TokenizerOptions

SILENT = Logger(LoggerOptions(disable_logs=True), None)
SPACE = TokenizerOptions(mode="space")


def model(
    path: str | tuple[str, ...] = "model.pt", batch_size: int = 64, tokenizer=SPACE, **more: Any
) -> ModelSettings:
    """The settings of a model with a short search."""
    hooks = {name: more.pop(name) for name in ("hooks", "with_attention", "place") if name in more}
    options = TranslatorOptions(**{"max_sent_length": 8, **more})
    return ModelSettings(
        models=Models((path,) if isinstance(path, str) else path),
        options=options,
        given=frozenset(),
        batch_size=batch_size,
        tokenizer=tokenizer,
        **hooks,
    )


class Client:
    """A client of the server; `pool` is the server's model pool."""

    def __init__(self, port: int, pool: ModelPool) -> None:
        self.port = port
        self.pool = pool

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Send a request; return status and body of the answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def post(self, body: Any) -> tuple[int, bytes]:
        """Send a translation request, bytes as they are and anything else as JSON; return status and body."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", "/translator/translate", content)

    def translate(self, body: Any) -> Any:
        """Send a translation request that must succeed; return the parsed answer."""
        status, content = self.post(body)
        assert status == 200, content
        return json.loads(content)

    def get(self, path: str) -> Any:
        """Get a JSON document; return its content."""
        status, content = self.request("GET", path)
        assert status == 200
        return json.loads(content)


def served(
    settings: Sequence[ModelSettings],
    use: Callable[[Client], None],
    *,
    limits: LimitOptions | None = None,
    unload_time: float | None = None,
    with_tokens: bool = True,
    ends_itself: bool = False,
) -> None:
    """Serve the models while `use` runs in a thread; then send SIGTERM, unless `use` does (ends_itself)."""

    async def run() -> None:
        chosen = limits or LimitOptions()
        pool = ModelPool(settings, chosen, SILENT, unload_time)
        try:
            application = rest_application(pool, chosen, SILENT, with_tokens=with_tokens)
            with bound_socket("127.0.0.1", 0) as listening:
                serving = asyncio.create_task(serve(application, listening, SILENT, 10))
                try:
                    client = Client(listening.getsockname()[1], pool)
                    await asyncio.to_thread(use, client)
                finally:
                    if not ends_itself:
                        os.kill(os.getpid(), signal.SIGTERM)
                    await serving
        finally:
            pool.close()

    asyncio.run(run())
