"""Requests that each have one fault, and the answers that a server should give."""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

PATH: Final = "/translator/translate"
_PAUSE: Final = 0.25  # seconds between the pieces of a slow body


@dataclass(frozen=True)
class Malformed:
    """The pieces of a request, sent with pauses, and the statuses accepted as answers.

    Status 0 stands for no answer: the client leaves.
    """

    name: str
    pieces: tuple[bytes, ...]
    statuses: tuple[int, ...]
    pause: float = 0.0
    leaves: bool = False


def http(body: bytes, *, method: str = "POST", path: str = PATH, length: int | None = None) -> bytes:
    """An HTTP request; `length` replaces the true length in Content-Length."""
    size = len(body) if length is None else length
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    return head.encode("ascii") + body


def _body(name: str, body: bytes, *statuses: int) -> Malformed:
    return Malformed(name, (http(body),), statuses or (400,))


def malformed_requests(sentence: str) -> list[Malformed]:
    """All kinds of faulty requests, built around one good sentence."""
    good = json.dumps([{"src": sentence}]).encode()
    half = len(good) // 2
    return [
        _body("empty body", b""),
        _body("no JSON", b"hello"),
        _body("cut short", good[:half]),
        _body("text behind", good + b" and more"),
        _body("null", b"null"),
        _body("number", b"3"),
        _body("text", b'"a"'),
        _body("object", json.dumps({"src": sentence}).encode()),
        _body("no object", b"[1]"),
        _body("no src", b"[{}]"),
        _body("src a number", b'[{"src": 3}]'),
        _body("src null", b'[{"src": null}]'),
        _body("not UTF-8", b'[{"src": "\xff\xfe"}]'),
        _body("UTF-16", good.decode().encode("utf-16")),
        _body("half a surrogate pair", b'[{"src": "\\ud800"}]'),
        _body("feats a text", b'[{"src": "a", "feats": "x"}]'),
        _body("withAttn a number", b'[{"src": "a", "withAttn": 1}]'),
        _body("id unknown", b'[{"src": "a", "id": 9}]'),
        _body("NaN", b'[{"src": "a", "id": NaN}]'),
        _body("deep", b"[" * 50_000),
        _body("features of no model", '[{"src": "a￨b￨c￨d￨e￨f"}]'.encode()),
        _body("too many bytes", b" " * (1 << 20) + b" ", 413),
        _body("too many sentences", json.dumps([{"src": ""}] * 1001).encode(), 413),
        _body("too many tokens", json.dumps([{"src": "a " * 1001}]).encode(), 413),
        Malformed("other method", (http(b"", method="PUT"),), (405,)),
        Malformed("other path", (http(good, path="/translate"),), (404,)),
        Malformed("no HTTP", (b"\x16\x03\x01 hello\r\n\r\n",), (400,)),
        Malformed("half a body, then gone", (http(good[:half], length=len(good)),), (0,), leaves=True),
        Malformed("half a body, then silence", (http(good[:half], length=len(good)),), (408,)),
        Malformed("slow body", (http(good[:half], length=len(good)), good[half:]), (200,), pause=_PAUSE),
        Malformed("gone before the answer", (http(good),), (0,), leaves=True),
    ]


async def send(port: int, request: Malformed) -> int:
    """Send a request over a new connection; return the answer's status, or 0 if the client leaves."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for place, piece in enumerate(request.pieces):
            if place > 0:
                await asyncio.sleep(request.pause)
            writer.write(piece)
            await writer.drain()
        if request.leaves:
            return 0
        line = await asyncio.wait_for(reader.readline(), 30)
        return int(line.split()[1])
    finally:
        writer.close()
