"""Metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sperm_tf.schemas.served import ServedAnswer

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """What `/metrics` reports; each server has its own registry.

    Attributes:
        requests: by protocol (`v1`, `v2`), model and HTTP code.
        request_seconds: of requests with a prediction, by model and signature.
        images: predicted, by model, version, status, decision and reason: a rising share of `unfamiliar` shows that
            what comes in has changed.
        batch_images: images in a batch, by model.
        batch_seconds: time of a batch in the model, by model.
        waiting_images: images that are decoded or wait, by model.
        versions: 1 for what is served, by model, version and runtime.
        failed_loads: versions that could not be opened, by model.
    """

    def __init__(self):
        self._registry = registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self.requests = Counter("sperm_tf_requests", "Requests", ("protocol", "model", "code"), registry=registry)
        self.request_seconds = Histogram(
            "sperm_tf_request_seconds", "Time of a request", ("model", "signature"), buckets=_SECONDS, registry=registry
        )
        self.images = Counter(
            "sperm_tf_images", "Images", ("model", "version", "status", "decision", "reason"), registry=registry
        )
        self.batch_images = Histogram(
            "sperm_tf_batch_images", "Images in a batch", ("model",), buckets=_IMAGES, registry=registry
        )
        self.batch_seconds = Histogram(
            "sperm_tf_batch_seconds", "Time of a batch in the model", ("model",), buckets=_SECONDS, registry=registry
        )
        self.waiting_images = Gauge("sperm_tf_waiting_images", "Images that wait", ("model",), registry=registry)
        self.versions = Gauge(
            "sperm_tf_served_version", "Versions that are served", ("model", "version", "runtime"), registry=registry
        )
        self.failed_loads = Counter(
            "sperm_tf_failed_loads", "Versions that could not be opened", ("model",), registry=registry
        )

    def count_images(self, model: str, version: int, answer: ServedAnswer) -> None:
        """Counts the rows of a response."""
        for row in zip(answer["status"], answer["decision"], answer["reason"], strict=True):
            self.images.labels(model, str(version), *(value.decode() for value in row)).inc()

    def observe_batch(self, model: str, images: int, seconds: float) -> None:
        """Records a batch."""
        self.batch_images.labels(model).observe(images)
        self.batch_seconds.labels(model).observe(seconds)

    def show_versions(self, served: Iterable[tuple[str, int, str]]) -> None:
        """Replaces what is served: model, version, runtime."""
        self.versions.clear()
        for model, version, runtime in served:
            self.versions.labels(model, str(version), runtime).set(1)

    def show_waiting(self, waiting: Iterable[tuple[str, int]]) -> None:
        """Replaces how many images wait: model, images."""
        for model, images in waiting:
            self.waiting_images.labels(model).set(images)

    def write(self) -> tuple[bytes, str]:
        """The metrics in Prometheus' text format, and its content type."""
        return prometheus_client.generate_latest(self._registry), prometheus_client.CONTENT_TYPE_LATEST
