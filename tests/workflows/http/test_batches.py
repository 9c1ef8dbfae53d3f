"""Requests that arrive together are one batch; none fails for another's sake."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from diffrec_cli.workflows.http.batches import Batches


def run(
    work: Callable[[Sequence[int]], Sequence[int | Exception]],
    asks: Callable[[Batches[int, int]], Awaitable[list[object]]],
    most: int = 4,
) -> list[object]:
    async def main() -> list[object]:
        batches = Batches[int, int](work, most)
        task = asyncio.create_task(batches.run())
        try:
            return await asks(batches)
        finally:
            task.cancel()

    return asyncio.run(main())


async def all_of(batches: Batches[int, int], numbers: Sequence[int]) -> list[object]:
    return list(await asyncio.gather(*map(batches.ask, numbers), return_exceptions=True))


def test_those_that_wait_together_are_one_batch_and_more_are_several() -> None:
    sizes = []

    def work(numbers: Sequence[int]) -> list[int | Exception]:
        sizes.append(len(numbers))
        return [10 * number for number in numbers]

    found = run(work, lambda batches: all_of(batches, range(6)))
    assert found == [0, 10, 20, 30, 40, 50]
    assert sizes == [4, 2]


def test_an_error_is_that_of_its_own_request() -> None:
    def work(numbers: Sequence[int]) -> list[int | Exception]:
        return [ValueError("odd") if number % 2 else number for number in numbers]

    zero, one, two = run(work, lambda batches: all_of(batches, range(3)))
    assert (zero, two) == (0, 2)
    assert isinstance(one, ValueError)


def test_work_that_breaks_is_an_error_of_all_that_wait_and_the_next_are_answered() -> None:
    def work(numbers: Sequence[int]) -> list[int | Exception]:
        if 0 in numbers:
            raise ZeroDivisionError
        return list(numbers)

    async def twice(batches: Batches[int, int]) -> list[object]:
        return [await all_of(batches, [0, 1]), await all_of(batches, [2])]

    (zero, one), after = run(work, twice)
    assert isinstance(zero, ZeroDivisionError)
    assert isinstance(one, ZeroDivisionError)
    assert after == [2]


def test_who_no_longer_waits_is_left_out() -> None:
    working, go_on, seen = threading.Event(), threading.Event(), []

    def work(numbers: Sequence[int]) -> list[int | Exception]:
        seen.extend(numbers)
        working.set()
        go_on.wait(10)
        return list(numbers)

    async def one_leaves(batches: Batches[int, int]) -> list[object]:
        first = asyncio.create_task(batches.ask(1))
        await asyncio.to_thread(working.wait, 10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batches.ask(2), 0.01)
        go_on.set()
        return [await first, await batches.ask(3)]

    assert run(work, one_leaves) == [1, 3]
    assert seen == [1, 3]
