"""Gather the sentences of requests into batches, and keep a server's metrics."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SENTENCES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Prometheus metrics of a server, in their own registry so that several servers can share a process."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, waiting: Callable[[], float], loaded: Callable[[], float]) -> None:
        """waiting, loaded: return the current number of waiting sentences and of models in memory."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "onmt_requests",
            "Requests for translation, by status of the answer.",
            ["status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "onmt_request_seconds",
            "From the first byte of a request to the last of its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._sentences = Counter("onmt_sentences", "Sentences translated.", registry=registry)
        self._source_tokens = Counter("onmt_source_tokens", "Source tokens translated.", registry=registry)
        self._target_tokens = Counter(
            "onmt_target_tokens", "Tokens of the best translations.", registry=registry
        )
        self._batch = Histogram(
            "onmt_batch_sentences", "Sentences translated at a time.", buckets=_SENTENCES, registry=registry
        )
        Gauge("onmt_waiting_sentences", "Sentences that wait for a batch.", registry=registry).set_function(
            waiting
        )
        Gauge("onmt_models_loaded", "Models in memory.", registry=registry).set_function(loaded)

    def answered(self, status: int, seconds: float) -> None:
        """Record an answered request; status 499 means that the client left before the answer."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def translated(self, source_tokens: int, target_tokens: int) -> None:
        """Record a translated sentence."""
        self._sentences.inc()
        self._source_tokens.inc(source_tokens)
        self._target_tokens.inc(target_tokens)

    def batch(self, sentences: int) -> None:
        """Record the size of a batch that goes to the model."""
        self._batch.observe(sentences)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class Sized(Protocol):
    """Anything with a length."""

    def __len__(self) -> int: ...


Source = TypeVar("Source", bound=Sized)
Result = TypeVar("Result")


@dataclass(eq=False)
class _Waiting(Generic[Source, Result]):
    source: Source
    result: "asyncio.Future[Result]"
    since: float


class Batcher(Generic[Source, Result]):
    """Gathers up to `batch_size` sources for up to `wait` seconds; `executor` translates them together.

    observe: called with the size of every batch. All methods must be called from the same event loop.
    """

    def __init__(
        self,
        translate: Callable[[Sequence[Source]], Sequence[Result]],
        executor: Executor,
        batch_size: int,
        wait: float,
        observe: Callable[[int], object],
    ) -> None:
        self._translate = translate
        self._executor = executor
        self._batch_size = batch_size
        self._wait = wait
        self._observe = observe
        self._waiting: list[_Waiting[Source, Result]] = []
        self._more = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Number of sources that are not yet part of a batch."""
        return len(self._waiting)

    async def translate(self, sources: Sequence[Source]) -> list[Result]:
        """Return the results of the sources in their order; raise the error that one of them caused.

        If the call is cancelled, its sources that are still waiting are removed from the queue.
        """
        loop = asyncio.get_running_loop()
        mine = [_Waiting(source, loop.create_future(), loop.time()) for source in sources]
        self._waiting += mine
        self._more.set()
        if self._runner is None or self._runner.done():
            self._runner = loop.create_task(self._run())
        try:
            return list(await asyncio.gather(*(one.result for one in mine)))
        finally:
            left = {one for one in mine if not one.result.done() or one.result.cancelled()}
            if left:
                self._waiting = [one for one in self._waiting if one not in left]

    async def _run(self) -> None:
        """Translate batch after batch until no source is waiting."""
        while self._waiting:
            await self._gather()
            batch = self._take()
            if not batch:
                continue
            self._observe(len(batch))
            loop = asyncio.get_running_loop()
            sources = [one.source for one in batch]
            for one, result in zip(
                batch, await loop.run_in_executor(self._executor, self._results, sources), strict=True
            ):
                if one.result.done():  # its request was cancelled
                    continue
                if isinstance(result, Exception):
                    one.result.set_exception(result)
                else:
                    one.result.set_result(result)

    async def _gather(self) -> None:
        """Wait until a batch is full or its first sentence has waited long enough."""
        loop = asyncio.get_running_loop()
        while 0 < len(self._waiting) < self._batch_size:
            left = self._waiting[0].since + self._wait - loop.time()
            if left <= 0:
                return
            self._more.clear()
            try:
                await asyncio.wait_for(self._more.wait(), left)
            except TimeoutError:
                return

    def _take(self) -> list[_Waiting[Source, Result]]:
        """Remove from the queue the source that has waited longest, and those closest to it in length."""
        if not self._waiting:
            return []
        length = len(self._waiting[0].source)
        order = sorted(self._waiting, key=lambda one: abs(len(one.source) - length))
        first = self._waiting[0]
        batch = [first, *(one for one in order if one is not first)][: self._batch_size]
        taken = set(batch)
        self._waiting = [one for one in self._waiting if one not in taken]
        return batch

    def _results(self, sources: Sequence[Source]) -> Sequence[Result | Exception]:
        """Return a result or error per source; a failing batch is retried one by one to isolate the error."""
        try:
            return self._translate(sources)
        except Exception as error:
            if len(sources) == 1:
                return [error]
            return [result for source in sources for result in self._results([source])]
