"""Work in several processes."""

import os
import signal
from collections.abc import Iterator

import pytest

from onmt.errors import DataError, OnmtError
from onmt.runtime.parallel import map_in_order


def square(number: int) -> int:
    if number < 0:
        raise DataError(f"{number} is negative")
    if number > 1000:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order(workers: int) -> None:
    assert list(map_in_order(square, range(50), workers)) == [number * number for number in range(50)]
    assert list(map_in_order(square, [], workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_through(workers: int) -> None:
    with pytest.raises(DataError, match="-1 is negative"):
        list(map_in_order(square, [1, 2, -1, 3], workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_only_a_few_items_are_taken_ahead(workers: int) -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = map_in_order(square, numbers(), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert taken <= 3 + 2 * workers + 1


def test_a_process_that_dies_is_an_error() -> None:
    with pytest.raises(OnmtError, match="a worker process ended early"):
        list(map_in_order(square, [1, 2000, 3], 2))
