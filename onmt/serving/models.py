"""The models of a server: loaded when needed, unloaded when idle, translating in shared batches."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import torch

from onmt.decoding.inputs import Source
from onmt.decoding.options import TranslatorOptions
from onmt.errors import DataError, OnmtError
from onmt.hooks import NO_HOOKS, TokenizerHooks
from onmt.kernels.products import Products
from onmt.logger import Logger
from onmt.runtime.device import Place
from onmt.serving.api import Models, TextTranslator, TranslatedLine, errors_of_users, open_translator
from onmt.serving.batching import Batcher, Metrics
from onmt.serving.options import LimitOptions
from onmt.serving.protocol import Item, RequestError, refuse, too_large, unavailable
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import TOKENS, TextPipeline

_GPU_MEMORY: Final = (
    3_100_000_000  # bytes that must be free before another model is loaded, as in the original
)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The settings of one served model.

    given: the flags that the user set. tokenizer: None if lines consist of tokens separated by blanks.
    """

    models: Models
    options: TranslatorOptions
    given: frozenset[str]
    batch_size: int
    tokenizer: TokenizerOptions | None = None
    hooks: TokenizerHooks = NO_HOOKS
    with_attention: bool = False
    place: Place = field(default_factory=lambda: Place(torch.device("cpu"), Products()))

    @property
    def name(self) -> str:
        """The names of the model files, without folders."""
        return ", ".join(Path(path).name for path in self.models.paths)

    def without_folders(self, text: str) -> str:
        """Remove the folders of the model files from a message, because clients should not see them."""
        for path in self.models.paths:
            text = text.replace(path, Path(path).name)
        return text


@dataclass(frozen=True)
class Workers:
    """One thread per kind of work, so that loading and text preparation run beside translation."""

    translating: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "translating"))
    preparing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "preparing"))
    loading: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "loading"))

    def close(self) -> None:
        """Wait for running work and cancel the rest."""
        for executor in (self.translating, self.preparing, self.loading):
            executor.shutdown(wait=True, cancel_futures=True)


class ModelPool:
    """The models of a server, numbered from 1.

    limits: shared by all models. unload_time: seconds without use after which a model is unloaded; None never
    unloads it. All methods must be called from the same event loop.
    """

    def __init__(
        self,
        settings: Sequence[ModelSettings],
        limits: LimitOptions,
        logger: Logger,
        unload_time: float | None = None,
    ) -> None:
        self._limits = limits
        self._workers = Workers()
        self.pending = 0
        """Number of sentences that have been accepted but not yet answered."""
        self.metrics = Metrics(
            lambda: sum(model.waiting for model in self.models),
            lambda: sum(model.is_loaded for model in self.models),
        )
        self.models = [
            ServedModel(number, one, limits, self._workers, self.metrics, logger, unload_time)
            for number, one in enumerate(settings, start=1)
        ]

    def model(self, number: int) -> "ServedModel":
        """Return the model with this number. Raises RequestError (400) if there is none."""
        if not 1 <= number <= len(self.models):
            count = len(self.models)
            refuse(f"there is no model {number}: this server has {count}, counted from 1")
        return self.models[number - 1]

    async def translate(self, model: "ServedModel", items: Sequence[Item]) -> list[TranslatedLine]:
        """Translate with this model. Raises RequestError: 503 if too many sentences are waiting."""
        if self.pending + len(items) > self._limits.max_waiting:
            raise unavailable(f"{self.pending} sentences are waiting already; try again later")
        self.pending += len(items)
        try:
            return await model.translate(items)
        finally:
            self.pending -= len(items)

    def close(self) -> None:
        """Stop the threads."""
        self._workers.close()


class ServedModel:
    """One model of a server."""

    def __init__(
        self,
        number: int,
        settings: ModelSettings,
        limits: LimitOptions,
        workers: Workers,
        metrics: Metrics,
        logger: Logger,
        unload_time: float | None,
    ) -> None:
        self.number = number
        self.settings = settings
        self._limits = limits
        self._workers = workers
        self._metrics = metrics
        self._logger = logger
        self._unload_time = unload_time
        self._translator: TextTranslator | None = None
        self._batcher: Batcher[Source, TranslatedLine] | None = None
        self._loading: asyncio.Task[TextTranslator] | None = None
        self._users = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_one_of_several(self) -> bool:
        """Whether the server loads models on demand and unloads them; its log lines then name the model."""
        return self._unload_time is not None

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._translator is not None

    @property
    def waiting(self) -> int:
        """Number of sentences that are not yet part of a batch."""
        return 0 if self._batcher is None else self._batcher.waiting

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Keep the model loaded within the context; its idle time begins when the last user leaves it."""
        self._users += 1
        if self._timer is not None:
            self._timer.cancel()
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0 and self._unload_time is not None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._unload_time, self._unload)

    async def load(self) -> TextTranslator:
        """Return the model, loaded if necessary. Raises RequestError (503) if it cannot be loaded."""
        if self._translator is not None:
            return self._translator
        if self._loading is None or self._loading.done():
            self._loading = asyncio.get_running_loop().create_task(self._load())
            self._loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._loading)  # loading continues if this request is cancelled

    async def translate(self, items: Sequence[Item]) -> list[TranslatedLine]:
        """Translate each item. Raises RequestError if the model cannot be loaded or cannot read an item."""
        translator = await self.load()
        loop = asyncio.get_running_loop()
        (self._logger.info if self.is_one_of_several else self._logger.debug)("Start Tokenization")
        sources = await loop.run_in_executor(self._workers.preparing, self._prepare, translator, items)
        filled = [place for place, source in enumerate(sources) if len(source) > 0]
        lines = [TranslatedLine([], [], []) for _ in items]
        if filled:
            self._logger.debug("Start Translation")
            batcher = self._batcher_of(translator)
            found = await batcher.translate([sources[place] for place in filled])
            self._logger.debug("End Translation")
            for place, line in zip(filled, found, strict=True):
                lines[place] = line
        for line in lines:
            best = line.hypotheses[0].tokens if line.hypotheses else []
            self._metrics.translated(len(line.source_tokens), len(best))
        return lines

    async def _load(self) -> TextTranslator:
        self._logger.info(f"Loading model id {self.number}" if self.is_one_of_several else "Loading model")
        loop = asyncio.get_running_loop()
        try:
            self._translator = await loop.run_in_executor(self._workers.loading, self._open)
        except RequestError as error:
            self._logger.error(f"model id {self.number}: {error}")
            raise
        except OnmtError as error:
            self._logger.error(f"model id {self.number}: {error}")
            reason = self.settings.without_folders(str(error))
            raise unavailable(f"model {self.number} cannot be loaded: {reason}") from error
        return self._translator

    def _open(self) -> TextTranslator:
        settings = self.settings
        with errors_of_users():
            if self.is_one_of_several and settings.place.device.type == "cuda":
                free, _ = torch.cuda.mem_get_info(settings.place.device)
                if free <= _GPU_MEMORY:
                    raise unavailable(f"too little GPU memory is free to load model {self.number}")
            pipeline = TextPipeline(settings.tokenizer or TOKENS, settings.tokenizer, settings.hooks)
            return open_translator(
                settings.models,
                settings.options,
                settings.given,
                settings.place,
                pipeline,
                settings.batch_size,
            )

    def _prepare(self, translator: TextTranslator, items: Sequence[Item]) -> list[Source]:
        """Tokenize the items. Raises RequestError (400 or 413), naming the item."""
        sources = []
        for number, item in enumerate(items, start=1):
            try:
                source = translator.source(item.text, item.labels)
            except DataError as error:
                refuse(f"item {number}: {error}")
            if len(source) > self._limits.max_src_tokens:
                most = self._limits.max_src_tokens
                too_large(f"item {number} has {len(source)} tokens, but at most {most} can be translated")
            sources.append(replace(source, number=number))
        return sources

    def _batcher_of(self, translator: TextTranslator) -> Batcher[Source, TranslatedLine]:
        if self._batcher is None:
            self._batcher = Batcher(
                translator.translate_sources,
                self._workers.translating,
                self.settings.batch_size,
                self._limits.batch_wait,
                self._metrics.batch,
            )
        return self._batcher

    def _unload(self) -> None:
        if self._translator is not None:
            self._logger.info(f"unloading model {self.number}")
            self._translator = self._batcher = None
            self._workers.loading.submit(_free_memory)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
