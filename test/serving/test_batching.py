"""Shared batches: which sentences share one, and what happens to requests that are cancelled or fail."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from onmt.serving.batching import Batcher


class Upper:
    """Converts texts to upper case; records its batches, waits until it may go on, and fails for `bad`."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_go_on = Event()
        self.may_go_on.set()

    def __call__(self, texts: Sequence[str]) -> list[str]:
        self.batches.append(list(texts))
        self.may_go_on.wait(10)
        if "bad" in texts:
            raise ValueError("bad")
        return [text.upper() for text in texts]


def run(
    use: Callable[[Batcher[str, str], Upper], Awaitable[None]], size: int = 4, wait: float = 0.02
) -> None:
    async def main() -> None:
        work = Upper()
        with ThreadPoolExecutor(1) as executor:
            sizes: list[int] = []
            await use(Batcher(work, executor, size, wait, sizes.append), work)
            assert sizes == [len(batch) for batch in work.batches] or "bad" in str(work.batches)

    asyncio.run(main())


def test_requests_share_a_batch_and_get_their_own_results() -> None:
    async def use(batcher: Batcher[str, str], work: Upper) -> None:
        results = await asyncio.gather(batcher.translate(["a", "b"]), batcher.translate(["c"]))
        assert results == [["A", "B"], ["C"]]
        assert work.batches == [["a", "b", "c"]]

    run(use)


def test_a_full_batch_does_not_wait() -> None:
    async def use(batcher: Batcher[str, str], work: Upper) -> None:
        async with asyncio.timeout(5):
            assert await batcher.translate(["a", "b"]) == ["A", "B"]

    run(use, size=2, wait=1000)


def test_batches_hold_the_oldest_and_those_of_its_length() -> None:
    async def use(batcher: Batcher[str, str], work: Upper) -> None:
        assert await batcher.translate(["aaa", "b", "ccccc", "dddd"]) == ["AAA", "B", "CCCCC", "DDDD"]
        assert work.batches == [["aaa", "dddd"], ["b", "ccccc"]]

    run(use, size=2)


def test_who_leaves_frees_the_places() -> None:
    async def use(batcher: Batcher[str, str], work: Upper) -> None:
        work.may_go_on.clear()
        first = asyncio.create_task(batcher.translate(["a"]))
        while not work.batches:
            await asyncio.sleep(0.01)
        leaving = asyncio.create_task(batcher.translate(["b", "c"]))
        staying = asyncio.create_task(batcher.translate(["d"]))
        await asyncio.sleep(0.01)
        assert batcher.waiting == 3
        leaving.cancel()
        first.cancel()  # its batch is already running; the result is dropped
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert batcher.waiting == 1
        work.may_go_on.set()
        assert await staying == ["D"]
        assert work.batches == [["a"], ["d"]]

    run(use)


def test_a_sentence_fails_for_itself_only() -> None:
    async def use(batcher: Batcher[str, str], work: Upper) -> None:
        good, bad = await asyncio.gather(
            batcher.translate(["a"]), batcher.translate(["bad"]), return_exceptions=True
        )
        assert good == ["A"]
        assert isinstance(bad, ValueError)
        assert await batcher.translate(["b"]) == ["B"]

    run(use)
