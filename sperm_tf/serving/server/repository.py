"""Models and versions that are served; new ones take over without a request lost. Runs in one event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import functools
import logging
import os
import time
from collections.abc import Callable, Sequence

from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import INPUT_NAMES, SERVING_DEFAULT
from sperm_tf.serving.server.backends import Opened
from sperm_tf.serving.server.batching import Batcher, Workers
from sperm_tf.serving.server.limits import Limits, RequestError
from sperm_tf.serving.server.metrics import Metrics
from sperm_tf.serving.server.sources import Listed, Source

_LOG = logging.getLogger("sperm_tf.serve")
RETRY_S = 60.0
"""Seconds after which a version that could not be opened is tried again."""


class ServedVersion:
    """A version that takes requests.

    Attributes:
        name: of the model.
        number: of the version.
        opened: what computes.
    """

    def __init__(self, name: str, number: int, opened: Opened, make_batcher: Callable[..., Batcher]):
        self.name, self.number, self.opened = name, number, opened
        self._make_batcher = make_batcher
        self._batchers: dict[str, asyncio.Task[Batcher]] = {}

    @property
    def waiting_images(self) -> int:
        """Images that are decoded or wait."""
        done = [task for task in self._batchers.values() if task.done() and not task.exception()]
        return sum(task.result().waiting_images for task in done)

    @property
    def signatures(self) -> tuple[str, ...]:
        """Names of what can be asked for."""
        return tuple(INPUT_NAMES) if self.opened.saved_model else (SERVING_DEFAULT,)

    async def predict(self, signature: str, files: Sequence[bytes]) -> ServedAnswer:
        """Predicts files, see `Batcher.predict`; the first request for maps waits until TensorFlow has the model."""
        task = self._batchers.get(signature)
        if task is None or (task.done() and task.exception()):
            task = self._batchers[signature] = asyncio.create_task(self._open(signature))
        # A request that gives up leaves the opening to those after it.
        batcher = task.result() if task.done() else await asyncio.shield(task)
        return await batcher.predict(files)

    async def _open(self, signature: str) -> Batcher:
        if signature == SERVING_DEFAULT:
            return self._make_batcher(self.opened.backend)
        if self.opened.saved_model is None:
            raise RequestError(
                501,
                f"signature {signature!r} needs a SavedModel, and version {self.number} of {self.name!r} is a graph "
                f"alone. Push the model with its SavedModel, or ask for {SERVING_DEFAULT!r}",
            )
        backend = await asyncio.to_thread(self.opened.saved_model.open, signature)
        # What is compiled at the first call takes seconds, which requests of other signatures are not to wait for.
        await asyncio.to_thread(backend.predict, [[b""]])
        return self._make_batcher(backend)


@dataclasses.dataclass(eq=False)
class _Model:
    inference: concurrent.futures.Executor
    served: dict[int, ServedVersion] = dataclasses.field(default_factory=dict)
    failed: dict[int, tuple[str, float]] = dataclasses.field(default_factory=dict)  # why, and when
    labels: dict[str, int] = dataclasses.field(default_factory=dict)


class Repository:
    """Which versions are served: of each model the newest that can be opened, and those that have a label.

    Args:
        source: offers models.
        limits: bounds.
        metrics: what is told to Prometheus.
    """

    def __init__(self, source: Source, limits: Limits, metrics: Metrics):
        self._source, self._limits, self._metrics = source, limits, metrics
        self._models: dict[str, _Model] = {}
        self._decoding = concurrent.futures.ThreadPoolExecutor(os.cpu_count(), "decoding")

    @property
    def is_ready(self) -> bool:
        """Whether every model has a version."""
        return bool(self._models) and all(model.served for model in self._models.values())

    def served(self) -> list[ServedVersion]:
        """Every version that is served."""
        return [version for model in self._models.values() for version in model.served.values()]

    async def watch(self, every_s: float) -> None:
        """Looks for new versions for ever."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh()
            except (OSError, ValueError) as error:
                _LOG.error("what is served stays as it is: %s", error)

    async def refresh(self) -> None:
        """Opens what is new, then lets go of what it replaces.

        Raises:
            ValueError: the source offers nothing, or is damaged.
            OSError: it cannot be read.
        """
        for name, listed in (await asyncio.to_thread(self._source.list)).items():
            if name not in self._models:
                inference = concurrent.futures.ThreadPoolExecutor(1, f"inference-{name}")
                self._models[name] = _Model(inference)
            await self._refresh_model(name, self._models[name], listed)
        self._metrics.show_versions((one.name, one.number, one.opened.runtime) for one in self.served())

    async def _refresh_model(self, name: str, model: _Model, listed: Listed) -> None:
        wanted = {number for number in listed.labels.values() if number in listed.versions}
        for number in sorted(wanted):
            await self._load(name, model, number, listed)
        for number in sorted(listed.versions, reverse=True):  # an older one where the newest cannot be opened
            if await self._load(name, model, number, listed):
                wanted.add(number)
                break
        else:
            return  # what is served is better than nothing
        for number in [number for number in model.served if number not in wanted]:
            _LOG.info("%s version %d is no longer served", name, number)
            del model.served[number]  # requests that it has are finished: they hold it
        model.labels = {label: number for label, number in listed.labels.items() if number in model.served}

    async def _load(self, name: str, model: _Model, number: int, listed: Listed) -> bool:
        if number in model.served:
            return True
        if number in model.failed and time.monotonic() < model.failed[number][1] + RETRY_S:
            return False
        try:
            opened = await asyncio.to_thread(listed.versions[number])
        except Exception as error:  # a dozen kinds, by runtime; the server goes on with what it has
            _LOG.error("%s version %d cannot be opened: %s", name, number, error)
            model.failed[number] = (f"{type(error).__name__}: {error}", time.monotonic())
            self._metrics.failed_loads.labels(name).inc()
            return False
        model.failed.pop(number, None)
        workers = Workers(self._decoding, model.inference)
        observe = functools.partial(self._metrics.observe_batch, name)
        make = functools.partial(Batcher, workers=workers, limits=self._limits, observe=observe)
        model.served[number] = ServedVersion(name, number, opened, make)
        _LOG.info("%s version %d is served with %s", name, number, opened.runtime)
        return True

    def find(self, name: str, *, version: int | None = None, label: str | None = None) -> ServedVersion:
        """The version that a request is for; without a version or a label the newest.

        Raises:
            RequestError: there is none; messages and codes are those of TensorFlow Serving.
        """
        model = self._models.get(name)
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        if model is None or not model.served:
            raise RequestError(404, f"Servable not found for request: {wanted}")
        if label is not None:
            if label not in model.labels:
                raise RequestError(400, f"Unrecognized servable version label: {label}")
            version = model.labels[label]
        number = max(model.served) if version is None else version
        if number not in model.served:
            raise RequestError(404, f"Servable not found for request: {wanted}")
        return model.served[number]

    def states(self, name: str, *, version: int | None = None, label: str | None = None) -> list[tuple[int, str]]:
        """Version and why it could not be opened, empty for one that is served; newest first.

        Raises:
            RequestError: there is none.
        """
        if label is not None:
            version = self.find(name, label=label).number
        model = self._models.get(name)
        states = {} if model is None else {number: why for number, (why, _) in model.failed.items()}
        states |= {} if model is None else dict.fromkeys(model.served, "")
        found = [(number, states[number]) for number in sorted(states, reverse=True) if version in (None, number)]
        if not found:
            which = "any versions" if version is None else f"version {version}"
            raise RequestError(404, f"Could not find {which} of model {name}")
        return found

    def close(self) -> None:
        """Ends the threads."""
        for executor in (self._decoding, *(model.inference for model in self._models.values())):
            executor.shutdown(wait=False, cancel_futures=True)
