"""Graphs for other runtimes than TensorFlow, written and compared with the SavedModel by the Pusher."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sperm_tf.schemas.served import ServedAnswer

MAX_PROBABILITY_DIFFERENCE = 1e-3
_SAME = ("status", "predicted_class", "prediction_set", "decision", "reason")
_BATCH, _BATCHES_TIMED, _SECONDS = 32, (1, 32), 1.0


@dataclasses.dataclass(frozen=True)
class GraphFacts:
    """A graph beside the SavedModel, on the same images and in one run.

    Attributes:
        format: of `sperm_tf.served_names.FORMATS`; `saved_model` is the SavedModel itself.
        runtime: that computed it.
        num_bytes: of the files.
        num_images: that were compared.
        num_different: of those whose status, class, set, decision or reason differs.
        max_probability_difference: largest difference of a probability, 0-1.
        images_per_second: by batch size, bytes of files to decisions.
    """

    format: str
    runtime: str
    num_bytes: int
    num_images: int
    num_different: int
    max_probability_difference: float
    images_per_second: dict[str, float]

    @property
    def is_equal(self) -> bool:
        """Whether it may be pushed."""
        return not self.num_different and self.max_probability_difference <= MAX_PROBABILITY_DIFFERENCE


def write_formats(
    model: pathlib.Path, images: Sequence[bytes], formats: Sequence[str], folder: pathlib.Path
) -> list[GraphFacts]:
    """Writes graphs to `<folder>/<format>`.

    Args:
        model: a Calibrator's artifact, with its SavedModel.
        images: bytes of files, at least one, to compare on.
        formats: of `sperm_tf.runtimes.registry.GRAPH_FILES`.
        folder: exists.

    Returns:
        The SavedModel, then every format.

    Raises:
        ImportError: what converts, or every runtime that opens a format, is not installed.
    """
    import tensorflow as tf

    from sperm_tf.runtimes.model import RuntimeModel
    from sperm_tf.runtimes.registry import TENSORFLOW
    from sperm_tf.serving.loading import load_model

    signature = tf.saved_model.load(str(model / "saved_model")).signatures["serving_default"]

    def ask_saved_model(files: Sequence[bytes]) -> Any:
        answer = signature(image_bytes=tf.constant(list(files), tf.string))
        return {name: value.numpy() for name, value in answer.items()}

    classifier = load_model(model)
    rivals: dict[str, Callable[[Sequence[bytes]], ServedAnswer]] = {"saved_model": ask_saved_model}
    runtimes = {"saved_model": TENSORFLOW}
    for format in formats:
        runtimes[format] = _installed_runtime(format)
        classifier.export(folder / format, format=format)
        rivals[format] = RuntimeModel(folder / format, runtimes[format]).predict
    expected = _ask_all(ask_saved_model, images)
    rates = _rates(rivals, images)
    folders = {format: folder / format for format in formats} | {"saved_model": model / "saved_model"}
    return [
        GraphFacts(
            format=format,
            runtime=runtimes[format],
            num_bytes=sum(file.stat().st_size for file in folders[format].rglob("*") if file.is_file()),
            num_images=len(images),
            images_per_second=rates[format],
            **compare(expected, expected if ask is ask_saved_model else _ask_all(ask, images)),
        )
        for format, ask in rivals.items()
    ]


def compare(expected: ServedAnswer, found: ServedAnswer) -> dict[str, Any]:
    """`num_different` and `max_probability_difference` of `GraphFacts`; NaN counts as different."""
    differs = np.zeros(len(expected["status"]), bool)
    for name in _SAME:
        unlike = np.asarray(expected[name]) != np.asarray(found[name])  # type: ignore[literal-required]
        differs |= unlike.reshape(len(differs), -1).any(axis=1)
    difference = np.abs(np.asarray(expected["probabilities"]) - np.asarray(found["probabilities"]))
    differs |= ~np.isfinite(difference).all(axis=1)
    return {
        "num_different": int(differs.sum()),
        "max_probability_difference": float(np.nan_to_num(difference, nan=1.0).max(initial=0.0)),
    }


def _installed_runtime(format: str) -> str:
    from sperm_tf.runtimes.registry import RUNTIMES, check_runtime, runtime_for

    if name := runtime_for(format):
        return name
    name = next(name for name, entry in RUNTIMES.items() if format in entry.formats)
    check_runtime(name)  # raises, with what to install
    return name


def _ask_all(ask: Callable[[Sequence[bytes]], ServedAnswer], images: Sequence[bytes]) -> Any:
    parts: list[Any] = [ask(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _rates(
    rivals: dict[str, Callable[[Sequence[bytes]], ServedAnswer]], images: Sequence[bytes]
) -> dict[str, dict[str, float]]:
    """Images a second by batch size, median of calls that are made in turn for about a second each."""
    rates: dict[str, dict[str, float]] = {name: {} for name in rivals}
    for size in _BATCHES_TIMED:
        batch = [images[index % len(images)] for index in range(size)]
        seconds: dict[str, list[float]] = {name: [] for name in rivals}
        for ask in rivals.values():
            ask(batch)
        while min(map(sum, seconds.values())) < _SECONDS:
            for name, ask in rivals.items():
                start = time.perf_counter()
                ask(batch)
                seconds[name].append(time.perf_counter() - start)
        for name, values in seconds.items():
            rates[name][str(size)] = round(size / statistics.median(values), 2)
    return rates
