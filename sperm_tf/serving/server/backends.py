"""What computes predictions in the server: a graph in a runtime, or a signature of a SavedModel."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy as np

from sperm_tf.data.array_preprocess import preprocess_files
from sperm_tf.runtimes.model import RuntimeModel
from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import INPUT_NAMES
from sperm_tf.serving.server.limits import RequestError


class Backend(Protocol):
    """Computes one signature of one version."""

    def prepare(self, files: Sequence[bytes]) -> Any:
        """Does what needs no model, in several threads at once: decodes the files of a request."""

    def predict(self, prepared: Sequence[Any]) -> ServedAnswer:
        """Predicts the files of several requests at once, in one thread: NumPy arrays, a row for each file."""


class GraphBackend:
    """A graph that `sperm_tf.Classifier.export` wrote.

    Args:
        model: the opened graph.
    """

    def __init__(self, model: RuntimeModel):
        self._model = model

    def prepare(self, files: Sequence[bytes]) -> tuple[np.ndarray, list[str]]:
        """Decodes and resizes: uint8 [B, S, S, 3] and the statuses."""
        return preprocess_files(files, self._model.image_size)

    def predict(self, prepared: Sequence[tuple[np.ndarray, list[str]]]) -> ServedAnswer:
        """Predicts, see `Backend`."""
        images = np.concatenate([images for images, _ in prepared])
        return self._model.predict_images(images, [status for _, statuses in prepared for status in statuses])


class SignatureBackend:
    """A signature of a SavedModel, which decodes in its graph.

    Args:
        function: the signature.
        input_name: of its only input, string [B].
    """

    def __init__(self, function: Callable[..., Any], input_name: str):
        self._function, self._input_name = function, input_name

    def prepare(self, files: Sequence[bytes]) -> list[bytes]:
        """Leaves the files as they are."""
        return list(files)

    def predict(self, prepared: Sequence[list[bytes]]) -> ServedAnswer:
        """Predicts, see `Backend`."""
        import tensorflow as tf

        rows = tf.constant([file for files in prepared for file in files], tf.string)
        answer = self._function(**{self._input_name: rows})
        return cast(ServedAnswer, {name: value.numpy() for name, value in answer.items()})


class SavedModel:
    """A SavedModel that is opened with TensorFlow when a signature of it is first needed.

    Args:
        locate: returns its folder, exporting it where need be.
    """

    def __init__(self, locate: Callable[[], pathlib.Path]):
        self._locate, self._lock, self._loaded = locate, threading.Lock(), None

    def open(self, signature: str) -> SignatureBackend:
        """Opens a signature; waits for another thread that opens the model.

        Raises:
            RequestError: TensorFlow is not installed, or the model has no such signature.
        """
        if importlib.util.find_spec("tensorflow") is None:
            raise RequestError(
                501,
                f"signature {signature!r} needs TensorFlow, which is not installed. Run: pip install tensorflow",
            )
        import tensorflow as tf

        with self._lock:
            if self._loaded is None:
                self._loaded = tf.saved_model.load(str(self._locate()))
        signatures: Any = self._loaded.signatures  # type: ignore[attr-defined]
        if signature not in signatures:
            raise RequestError(400, f'Serving signature name: "{signature}" not found in signature def')
        return SignatureBackend(signatures[signature], INPUT_NAMES[signature])


@dataclasses.dataclass(frozen=True)
class Opened:
    """A version that was opened.

    Attributes:
        backend: of the signature `serving_default`.
        runtime: what computes it: `tensorflow`, or one of `sperm_tf.runtimes.registry.RUNTIMES`.
        class_names: in the order of the probabilities.
        saved_model: has the other signatures; None where there is none.
    """

    backend: Backend
    runtime: str
    class_names: tuple[str, ...]
    saved_model: SavedModel | None = None
