"""Requests that arrive together are answered together, by one thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Question = TypeVar("Question")
Reply = TypeVar("Reply")


class Batches(Generic[Question, Reply]):
    """Takes what waits when the thread is free, so that batches grow with the load.

    Nothing is waited for: a single request is answered at once.

    Parameters
    ----------
    work
        Answers a batch, in the thread: a reply or an error for each.
    most
        Requests in a batch.
    """

    def __init__(
        self, work: Callable[[Sequence[Question]], Sequence[Reply | Exception]], most: int
    ) -> None:
        self._work, self._most = work, most
        self._waiting: deque[tuple[Question, asyncio.Future[Reply]]] = deque()
        self._wake = asyncio.Event()

    async def ask(self, question: Question) -> Reply:
        """Return the reply, or raise the error; who no longer waits is left out."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as thread:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._batch():
                    questions = [question for question, _ in batch]
                    try:
                        replies = await loop.run_in_executor(thread, self._work, questions)
                    except Exception as error:  # those who wait must learn of it
                        replies = [error] * len(batch)
                    for (_, future), reply in zip(batch, replies, strict=True):
                        _settle(future, reply)

    def _batch(self) -> list[tuple[Question, asyncio.Future[Reply]]]:
        batch: list[tuple[Question, asyncio.Future[Reply]]] = []
        while self._waiting and len(batch) < self._most:
            question, future = self._waiting.popleft()
            if not future.done():
                batch.append((question, future))
        return batch


def _settle(future: asyncio.Future[Reply], reply: Reply | Exception) -> None:
    if future.done():  # its time was up
        return
    if isinstance(reply, Exception):
        future.set_exception(reply)
    else:
        future.set_result(reply)
