"""Load test of a REST server on this machine: `python -m benchmarks.serving -model m.pt -src file`.

The report is JSON. A good request must get the same bytes as it gets alone, and a malformed one a documented
refusal. The server must stay alive, keep its memory constant, and lose no request when it is terminated. All
traffic stays on 127.0.0.1.
"""

import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.malformed import http, malformed_requests, send
from benchmarks.serving_options import ServingBenchmarkOptions
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.errors import OnmtError
from onmt.logger import Logger
from onmt.text.lines import read_text_lines

SERVER: Final = Path(__file__).resolve().parents[1] / "tools" / "rest_translation_server.py"
_REQUEST_TIMEOUT: Final = 10  # seconds


def _serving(parsed: Parsed[ServingBenchmarkOptions], logger: Logger) -> None:
    """Run all measurements and write the report."""
    report = asyncio.run(LoadTest(parsed.options, logger).run())
    text = json.dumps(report, indent=2) + "\n"
    if parsed.options.output == "-":
        sys.stdout.write(text)
    else:
        Path(parsed.options.output).write_text(text, encoding="utf-8")


serving = Command(
    Script(
        name="benchmarks.serving",
        summary="Puts load on a translation server and measures it.",
        choose=lambda _: ServingBenchmarkOptions,
        data_on_stdout=lambda options: options.output == "-",
    ),
    _serving,
)


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        [kilobytes] = re.findall(r"VmRSS:\s+(\d+)", status)
        return int(kilobytes) / 1024


@dataclass
class Tally:
    """The answers to a load: statuses, wrong answers, seconds of good requests, lost requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    lost: int = 0


class Client:
    """A connection that is kept open between requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer. Raises OSError or EOFError if there is none."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(http(body))
        await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        [length] = re.findall(rb"(?i)content-length: (\d+)", head)
        content = await reader.readexactly(int(length))
        if re.search(rb"(?i)connection: close", head):
            self.close()
        return int(head.split()[1]), content

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class LoadTest:
    """All measurements, one after the other."""

    def __init__(self, options: ServingBenchmarkOptions, logger: Logger) -> None:
        self._options = options
        self._logger = logger
        lines = [line for line in islice(read_text_lines(options.src), options.sentences) if line.strip()]
        if not lines:
            raise OnmtError(f"{options.src}: there is no sentence")
        self._sentence = lines[0]
        self._bodies = [
            json.dumps([{"src": line, "withAttn": n % 3 == 0}]).encode() for n, line in enumerate(lines)
        ]
        self._expected: list[tuple[int, bytes]] = []

    async def run(self) -> dict[str, Any]:
        """Run all measurements and return the report."""
        report: dict[str, Any] = {}
        with self._server(self._options.batch_size) as server:
            self._logger.info("Lone requests, whose answers are the right ones")
            alone = Client(server.port)
            self._expected = [await alone.post(body) for body in self._bodies]
            alone.close()
            for clients in (1, 8, self._options.clients):
                self._logger.info(f"{clients} clients")
                report[f"clients_{clients}"] = await self._timed(server, clients)
            self._logger.info(f"{self._options.requests} requests, good and malformed")
            report["mixed"] = await self._mixed(server)
            self._logger.info("The end under load")
            report["terminated"] = await self._terminated(server)
        with self._server(1) as server:
            self._logger.info(f"{self._options.clients} clients, one sentence at a time")
            report["one_at_a_time"] = await self._timed(server, self._options.clients)
        shared = report[f"clients_{self._options.clients}"]["requests_per_second"]
        report["speedup_of_shared_batches"] = round(
            shared / report["one_at_a_time"]["requests_per_second"], 2
        )
        return report

    @contextmanager
    def _server(self, batch_size: int) -> Iterator[Server]:
        flags = {
            "-model": self._options.model,
            "-batch_size": str(batch_size),
            "-port": "0",
            "-mode": "space",
        }
        flags["-request_timeout"] = str(_REQUEST_TIMEOUT)
        command = [sys.executable, str(SERVER), *(word for pair in flags.items() for word in pair)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    found = re.search(rb"http://127\.0\.0\.1:(\d+)", line)
                    if found:
                        yield Server(process, int(found[1]))
                        return
                raise OnmtError("the server has not started")
            finally:
                process.kill()

    async def _timed(self, server: Server, clients: int) -> dict[str, Any]:
        """Throughput and latencies of good requests only."""
        tally = Tally()
        places = iter(range(self._options.timed))
        started = time.perf_counter()
        await asyncio.gather(*(self._good_client(server, places, tally) for _ in range(clients)))
        seconds = time.perf_counter() - started
        self._check(tally)
        p50, p95, p99 = np.percentile(tally.seconds, [50, 95, 99]) * 1000
        return {
            "requests_per_second": round(self._options.timed / seconds, 1),
            "latency_ms": {"p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1)},
        }

    async def _good_client(self, server: Server, places: Iterator[int], tally: Tally) -> None:
        client = Client(server.port)
        for place in places:
            await self._good(client, place, tally)
        client.close()

    async def _good(self, client: Client, place: int, tally: Tally) -> None:
        place %= len(self._bodies)
        started = time.perf_counter()
        status, content = await client.post(self._bodies[place])
        tally.seconds.append(time.perf_counter() - started)
        tally.statuses[status] += 1
        if (status, content) != self._expected[place]:
            tally.wrong.append(f"sentence {place + 1}: {status} {content[:200]!r}")

    def _check(self, tally: Tally) -> None:
        if tally.wrong:
            raise OnmtError(f"{len(tally.wrong)} wrong answers, the first to {tally.wrong[0]}")

    async def _mixed(self, server: Server) -> dict[str, Any]:
        """Send good and malformed requests in random order, and sample the server's memory meanwhile."""
        options, tally = self._options, Tally()
        draw = random.Random(options.seed)
        kinds = malformed_requests(self._sentence)
        plan = [
            None if draw.random() >= options.malformed else draw.choice(kinds)
            for _ in range(options.requests)
        ]
        numbers = iter(range(options.requests))
        memory: list[tuple[int, float]] = []

        async def work() -> None:
            client = Client(server.port)
            for number in numbers:
                request = plan[number]
                if request is None:
                    await self._good(client, number, tally)
                else:
                    client.close()  # slow requests outlast the keep-alive time of idle connections
                    status = await send(server.port, request)
                    tally.statuses[status] += 1
                    if status not in request.statuses:
                        tally.wrong.append(f"{request.name}: {status}")
                if number % 50 == 0:
                    memory.append((number, server.memory))
            client.close()

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(options.clients)))
        alive = server.process.poll() is None
        last = memory[len(memory) // 2 :]
        places, megabytes = np.array(last, dtype=np.float64).T
        slope = float(np.polyfit(places, megabytes, 1)[0]) if len(last) > 2 else 0.0
        return {
            "seconds": round(time.perf_counter() - started, 1),
            "malformed_in_ways": len(kinds),
            "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
            "wrong_answers": tally.wrong[:10],
            "server_alive": alive,
            "memory_mb": {"first": round(memory[0][1], 1), "last": round(memory[-1][1], 1)},
            "memory_slope_mb_per_1000_requests": round(1000 * slope, 3),
        }

    async def _terminated(self, server: Server) -> dict[str, Any]:
        """Send SIGTERM while all clients wait for answers; count the requests answered and lost."""
        tally = Tally()

        async def work(first: int) -> None:
            client = Client(server.port)
            for number in range(first, first + 1000):  # the server ends this loop long before
                try:
                    await self._good(client, number, tally)
                except ConnectionRefusedError:
                    return  # never accepted
                except (OSError, EOFError):
                    tally.lost += 1
                    return

        working = asyncio.gather(*(work(100 * client) for client in range(self._options.clients)))
        await asyncio.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        await working
        code = await asyncio.to_thread(server.process.wait, 30)
        self._check(tally)
        return {"answered": sum(tally.statuses.values()), "lost": tally.lost, "exit_code": code}


if __name__ == "__main__":
    sys.exit(serving())
