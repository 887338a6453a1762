"""What a server counts, in Prometheus' text format."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SENTENCES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The figures of one server; a registry of its own, so that several can live in one process."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, waiting: Callable[[], float], loaded: Callable[[], float]) -> None:
        """waiting, loaded: the sentences that wait and the models in memory at the moment."""
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
        """A request has been answered; status 499: the client went away first."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def translated(self, source_tokens: int, target_tokens: int) -> None:
        """A sentence has been translated."""
        self._sentences.inc()
        self._source_tokens.inc(source_tokens)
        self._target_tokens.inc(target_tokens)

    def batch(self, sentences: int) -> None:
        """A batch goes to the model."""
        self._batch.observe(sentences)

    def text(self) -> bytes:
        """All figures, as Prometheus reads them."""
        return generate_latest(self._registry)
