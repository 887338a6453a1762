"""The ZeroMQ server over plain REQ sockets."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq
from rest_serving import SILENT, model

from onmt.errors import OnmtError
from onmt.hooks import TokenizerHooks
from onmt.logger import Logger, LoggerOptions
from onmt.serving.endpoints import ZeroMqServer
from onmt.serving.models import ModelPool, ModelSettings
from onmt.serving.options import LimitOptions


def ask(address: str, *messages: Any) -> list[Any]:
    """Send messages from one client, bytes as they are and anything else as JSON; return the answers."""
    with zmq.Context() as context, context.socket(zmq.REQ) as client:
        client.setsockopt(zmq.RCVTIMEO, 20_000)
        client.setsockopt(zmq.LINGER, 0)
        client.connect(address)
        answers = []
        for message in messages:
            client.send(message if isinstance(message, bytes) else json.dumps(message).encode())
            answers.append(json.loads(client.recv()))
    return answers


def served(
    use: Callable[[str], None], limits: LimitOptions | None = None, settings: ModelSettings | None = None
) -> None:
    async def run() -> None:
        chosen = limits or LimitOptions()
        pool = ModelPool([settings or model(tokenizer=None, n_best=2)], chosen, SILENT)
        addresses: list[str] = []

        class Log(Logger):
            def info(self, message: str) -> None:
                addresses.append(message.rpartition(" ")[2])

        serving = asyncio.create_task(
            ZeroMqServer(pool, chosen, Log(LoggerOptions(), None)).serve("127.0.0.1", 0)
        )
        try:
            while not addresses:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(use, addresses[0])
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await serving
            pool.close()

    asyncio.run(run())


def test_messages_and_answers(folder: Path) -> None:
    def use(address: str) -> None:
        good, empty, nothing, *bad = ask(
            address,
            [{"src": "a\tb\n q"}],
            [{"src": " "}, {"src": "a"}],
            [],
            {"src": "a"},
            3,
            b"not json",
            [{}],
            [{"src": "a￨L"}],
            b"\xff",
        )
        [[first, second]] = good
        assert first.keys() == {"tgt", "src", "n_best", "pred_score", "attn"}
        assert (first["src"], first["n_best"], second["n_best"]) == ("a b q", 1, 2)
        assert [len(row) for row in first["attn"]] == [3] * len(first["tgt"].split())
        assert empty[0] == [{"src": "", "n_best": 1, "pred_score": 0.0, "tgt": "", "attn": []}]
        assert empty[1][0]["src"] == "a"
        assert nothing == []
        assert [answer.keys() for answer in bad] == [{"error"}] * 6

    served(use)


def test_many_clients_at_once(folder: Path) -> None:
    def use(address: str) -> None:
        messages = [[{"src": " ".join("abc"[(n + k) % 3] for k in range(n + 1))}] for n in range(9)]
        alone = [ask(address, message) for message in messages]
        with ThreadPoolExecutor(9) as executor:
            assert list(executor.map(lambda message: ask(address, message), messages)) == alone

    served(use)


def test_limits(folder: Path) -> None:
    def use(address: str) -> None:
        large, many = ask(address, b" " * 101, [{"src": ""}] * 3)
        assert large == {"error": "at most 100 bytes can be sent at once"}
        assert many == {"error": "3 sentences, but at most 2 can be sent at once"}

    served(use, LimitOptions(max_request_size=100, max_sentences=2))


def test_messages_that_have_arrived_are_answered_before_the_end(folder: Path) -> None:
    answers: list[Any] = []
    threads: list[threading.Thread] = []

    def use(address: str) -> None:
        for _ in range(4):
            work = threading.Thread(target=lambda: answers.extend(ask(address, [{"src": "a"}])))
            threads.append(work)
            work.start()
        time.sleep(0.1)  # SIGTERM follows

    hooks = TokenizerHooks(tokenize=lambda line: time.sleep(0.1))
    served(use, settings=model(tokenizer=None, hooks=hooks))
    for thread in threads:
        thread.join()
    assert [answer[0][0]["src"] for answer in answers] == ["a"] * 4


def test_an_address_that_cannot_be_bound(folder: Path) -> None:
    pool = ModelPool([model()], LimitOptions(), SILENT)
    with pytest.raises(OnmtError, match=r"-host 203.0.113.1 -port 1"):
        asyncio.run(ZeroMqServer(pool, LimitOptions(), SILENT).serve("203.0.113.1", 1))
    pool.close()
