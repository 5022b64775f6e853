"""Joins requests that arrive together to batches, and refuses what would wait too long. Runs in one event loop."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.serving.server.backends import Backend
from sperm_tf.serving.server.limits import Limits, RequestError

_LOG = logging.getLogger("sperm_tf.serve")
_SMOOTHING = 0.2  # of the seconds that an image takes


@dataclasses.dataclass(frozen=True)
class Workers:
    """Threads.

    Attributes:
        decoding: of all models.
        inference: one thread, of one model: one inference at a time.
    """

    decoding: concurrent.futures.Executor
    inference: concurrent.futures.Executor


@dataclasses.dataclass(eq=False)
class _Waiting:
    prepared: Any
    rows: int
    done: asyncio.Future[ServedAnswer]


class Batcher:
    """The queue of one signature of one version.

    It takes requests for as long as somebody holds it: one of a version that was replaced finishes what it has.

    Args:
        backend: computes.
        workers: threads that it computes in.
        limits: bounds.
        observe: is told the number of images in each batch and the seconds that it took.
    """

    def __init__(self, backend: Backend, workers: Workers, limits: Limits, observe: Callable[[int, float], None]):
        self._backend, self._workers, self._limits, self._observe = backend, workers, limits, observe
        self._queue: collections.deque[_Waiting] = collections.deque()
        self._full = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        self._image_s = 0.0
        self.waiting_images = 0

    async def predict(self, files: Sequence[bytes]) -> ServedAnswer:
        """Predicts the files of a request, together with those of others.

        Args:
            files: at most `limits.batch_images`.

        Returns:
            Arrays with a row for each.

        Raises:
            RequestError: 400 for too many files, 503 for a full queue, 500 where the model fails.
        """
        self._admit(len(files))
        self.waiting_images += len(files)
        try:
            loop = asyncio.get_running_loop()
            prepared = await loop.run_in_executor(self._workers.decoding, self._backend.prepare, files)
            entry = _Waiting(prepared, len(files), loop.create_future())
            self._queue.append(entry)
            self._full.set()
            if self._working is None:
                self._working = loop.create_task(self._work())
            return await entry.done
        finally:
            self.waiting_images -= len(files)

    def _admit(self, rows: int) -> None:
        limits = self._limits
        if rows > limits.batch_images:
            raise RequestError(
                400,
                f"Task size {rows} is larger than maximum input batch size {limits.batch_images}. Send the images in "
                "several requests",
            )
        if self.waiting_images + rows > limits.waiting_images:
            seconds = max(1, math.ceil(self.waiting_images * self._image_s))
            raise RequestError(
                503,
                "The batch scheduling queue to which this task was submitted is full: "
                f"{self.waiting_images} images wait. Try again after {seconds} s",
                retry_after_s=seconds,
            )

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._wait_for_more()
                if batch := self._take():
                    await self._compute(batch)
        finally:
            self._working = None

    async def _wait_for_more(self) -> None:
        """Gives a batch that is not full a moment."""
        end = time.monotonic() + self._limits.batch_wait_s
        while sum(entry.rows for entry in self._queue) < self._limits.batch_images:
            self._full.clear()
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    await self._full.wait()
            except TimeoutError:
                return

    def _take(self) -> list[_Waiting]:
        """The first requests that fit; those that nobody waits for any more are dropped."""
        batch: list[_Waiting] = []
        room = self._limits.batch_images
        while self._queue and self._queue[0].rows <= room:
            entry = self._queue.popleft()
            if not entry.done.done():
                batch.append(entry)
                room -= entry.rows
        return batch

    async def _compute(self, batch: list[_Waiting]) -> None:
        rows = sum(entry.rows for entry in batch)
        start = time.perf_counter()
        try:
            answer = await asyncio.get_running_loop().run_in_executor(
                self._workers.inference, self._backend.predict, [entry.prepared for entry in batch]
            )
        except Exception as error:
            await self._recover(batch, error)
            return
        seconds = time.perf_counter() - start
        self._observe(rows, seconds)
        self._image_s += _SMOOTHING * (seconds / max(1, rows) - self._image_s)
        first = 0
        for entry in batch:
            part = {name: values[first : first + entry.rows] for name, values in answer.items()}  # type: ignore[index]
            first += entry.rows
            if not entry.done.done():
                entry.done.set_result(part)  # type: ignore[arg-type]

    async def _recover(self, batch: list[_Waiting], error: Exception) -> None:
        """Computes requests one by one, so that one that fails takes no other with it."""
        if len(batch) > 1:
            for entry in batch:
                await self._compute([entry])
            return
        _LOG.error("a batch failed", exc_info=error)
        if not batch[0].done.done():
            batch[0].done.set_exception(RequestError(500, f"the model failed: {type(error).__name__}: {error}"))
