"""Requests that arrive together are computed together; when too many wait, new ones are turned away at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, Protocol, Self, TypeVar

import numpy as np

LINGER = 0.002  # seconds that a batch waits for company


class Busy(Exception):
    """Too many items wait already."""


class Sliced(Protocol):
    """Answers on several items, of which a slice is the answers on some of them."""

    def __getitem__(self, part: slice, /) -> Self:
        """The answers on these items alone."""


T = TypeVar("T", bound=Sliced)


class Batcher(Generic[T]):
    """One queue before one engine.

    Args:
        run: raw items (N, ...) to answers; called in a thread of its own, one batch at a time.
        size: most items of a batch.
        queue: most items that wait.

    Attributes:
        batches: how many were computed; `items` how many items were in them.
    """

    def __init__(self, run: Callable[[np.ndarray], T], *, size: int = 16, queue: int = 256) -> None:
        self.run, self.size = run, size
        self.queue: asyncio.Queue[tuple[np.ndarray, asyncio.Future[T]]] = asyncio.Queue(queue)
        self.pool = ThreadPoolExecutor(1, "engine")
        self.batches = self.items = 0
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve the queue."""
        self.task = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """Finish the batch that runs, and stop."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
        self.pool.shutdown()

    async def ask(self, raw: np.ndarray) -> T:
        """Answers on one raw item, a slice of one.

        Raises:
            Busy: when the queue is full.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self.queue.put_nowait((raw, answer))
        except asyncio.QueueFull:
            raise Busy from None
        return await answer

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            waiting = [await self.queue.get()]
            if self.queue.empty():
                await asyncio.sleep(LINGER)
            while len(waiting) < self.size and not self.queue.empty():
                waiting.append(self.queue.get_nowait())
            waiting = [w for w in waiting if not w[1].done()]  # who has given up is not computed
            if not waiting:
                continue
            raw = np.stack([item for item, _ in waiting])
            running = loop.run_in_executor(self.pool, self.run, raw)
            await asyncio.wait([running])
            if error := running.exception():  # the requests hear of it, and the next batch is served
                for _, answer in waiting:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            found = running.result()
            self.batches += 1
            self.items += len(waiting)
            for i, (_, answer) in enumerate(waiting):
                if not answer.done():
                    answer.set_result(found[i : i + 1])
