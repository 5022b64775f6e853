"""What predicts the images of a shard: a SavedModel, or a graph in another runtime, called in the same way."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from pipelines.bulk_inference import model as scoring_model
from sperm_tf.data.array_preprocess import fit, read_pixels
from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.runtimes.model import RuntimeModel
from sperm_tf.runtimes.registry import TENSORFLOW
from sperm_tf.schemas.served import ServedAnswer

_GRAPH_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A file that was read.

    Attributes:
        pixels: uint8 [H, W, 3], those that the network sees before they are resized; None where there are none.
        request: what `Predictor.predict` takes for it.
    """

    pixels: np.ndarray | None
    request: Any


class Predictor(Protocol):
    """Decodes files, in several threads at once, and predicts.

    Attributes:
        class_names: in the order of the probabilities.
        batch_size: files to be predicted at once.
    """

    batch_size: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""

    def decode(self, content: bytes) -> Decoded:
        """Decodes the bytes of a file."""

    def predict(self, requests: Sequence[Any]) -> ServedAnswer:
        """Predictions, as arrays with a row for each `Decoded.request`."""


def open_predictor(model: pathlib.Path | str, *, runtime: str, batch_size: int) -> Predictor:
    """Opens a model for scoring.

    Args:
        model: the folder of a SavedModel, or of a graph where `runtime` is not `tensorflow`.
        runtime: that opens it.
        batch_size: files in one pass of the SavedModel.
    """
    if runtime == TENSORFLOW:
        return _SavedModelPredictor(str(model), batch_size)
    return _GraphPredictor(RuntimeModel(model, runtime))


class _SavedModelPredictor:
    def __init__(self, saved_model: str, batch_size: int):
        from sperm_tf.data.served_decoder import decode_served

        self._saved_model, self._decode, self.batch_size = saved_model, decode_served, batch_size
        with contextlib.suppress(UndecodableImageError):  # traced once; TensorFlow warns where threads do it at once
            decode_served(b"")

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        return tuple(name.decode() for name in scoring_model.ask(self._saved_model, [b""])["class_names"][0])

    def decode(self, content: bytes) -> Decoded:
        try:
            return Decoded(self._decode(content).pixels, content)
        except UndecodableImageError:
            return Decoded(None, content)

    def predict(self, requests: Sequence[Any]) -> ServedAnswer:
        return scoring_model.ask(self._saved_model, requests)


class _GraphPredictor:
    batch_size = _GRAPH_BATCH

    def __init__(self, model: RuntimeModel):
        self._model = model

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._model.class_names

    def decode(self, content: bytes) -> Decoded:
        status, pixels = read_pixels(content)
        return Decoded(pixels, (status, None if pixels is None else fit(pixels, self._model.image_size)))

    def predict(self, requests: Sequence[Any]) -> ServedAnswer:
        size = self._model.image_size
        images = np.zeros((len(requests), size, size, 3), np.uint8)
        for row, (_, image) in enumerate(requests):
            if image is not None:
                images[row] = image
        return self._model.predict_images(images, [status for status, _ in requests])
