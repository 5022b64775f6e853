"""The model that reads the images: its answers, where it looked, and which model it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from sperm_tf.data import preprocess
from sperm_tf.data.decode import UndecodableImageError, decode_rgb, encode_png
from sperm_tf.data.identity import pixel_sha256
from sperm_tf.decision.rule import DecisionRule
from sperm_tf.explain.activation_maps import ClassActivationMaps
from sperm_tf.review import pictures
from sperm_tf.served_names import OK, SHOWN_MAP, UNDECODABLE, UNREADABLE
from sperm_tf.serving.classifier import Classifier
from sperm_tf.serving.prediction import Prediction

_THUMBNAIL_SIDE = 64  # pixels
_CHUNK = 32  # files that are read and classified before progress is told


@dataclasses.dataclass(frozen=True)
class Item:
    """One file and what the model says about it.

    Attributes:
        data: its content; empty where it could not be opened.
        prediction: of `Classifier.predict`; its `file` is the name of the file.
        pixel_sha256: of the decoded image; empty where the status of the prediction is not ok.
        source_format: of `sperm_tf.data.decode.FORMATS`; empty likewise.
        group: patient or slide code; may be empty.
        thumbnail: JPEG; empty likewise.
    """

    data: bytes
    prediction: Prediction
    pixel_sha256: str = ""
    source_format: str = ""
    group: str = ""
    thumbnail: bytes = b""

    @property
    def name(self) -> str:
        """Of the file."""
        return self.prediction.file

    @property
    def is_readable(self) -> bool:
        """Whether there is an answer."""
        return self.prediction.status == OK


class Reader:
    """A classifier that several threads may ask.

    Args:
        classifier: what `sperm_tf.load_model` returns.
        name: of the model, for people.

    Raises:
        ValueError: the model cannot be explained, see `sperm_tf.explain.activation_maps.ClassActivationMaps`.
    """

    def __init__(self, classifier: Classifier, *, name: str):
        import tensorflow as tf

        self.classifier = classifier
        self.name = name
        self.digest = digest_classifier(classifier)
        explainer = ClassActivationMaps(classifier.keras_model, views=classifier.views)
        self._explain = tf.function(
            lambda images, classes: getattr(explainer(tf.cast(images, tf.float32), classes), SHOWN_MAP),
            autograph=False,
        )
        self._lock = threading.Lock()  # a Keras model is not made for two callers at once

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the logits."""
        return self.classifier.class_names

    @property
    def rule(self) -> DecisionRule | None:
        """When the model refers an image; None where nobody calibrated it."""
        return self.classifier.rule

    def read(
        self,
        files: Sequence[str | os.PathLike[str]],
        *,
        group: str = "",
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Item]:
        """Classifies files; a bad one is reported and leaves the others unharmed.

        Args:
            files: their paths.
            group: patient or slide code of all of them.
            on_progress: is told the number of files done, and of all.

        Returns:
            One item for each file, in their order.
        """
        items: list[Item] = []
        for start in range(0, len(files), _CHUNK):
            on_progress(start, len(files))
            items += self._read_chunk([pathlib.Path(file) for file in files[start : start + _CHUNK]], group)
        return items

    def explain(self, item: Item) -> np.ndarray:
        """The map of the predicted class, float32 [h, w], 0-1; zeros where nothing speaks for the class.

        Args:
            item: a readable one.
        """
        images, _ = preprocess.preprocess_batch([item.data], self.classifier.image_size)
        label = self.class_names.index(item.prediction.predicted_class)
        with self._lock:
            return self._explain(images, np.array([label], np.int32)).numpy()[0]

    def warm_up(self) -> None:
        """Reads and explains an empty image: what is built on the way need not be waited for by the first person."""
        empty = encode_png(np.full([self.classifier.image_size, self.classifier.image_size, 3], 127, np.uint8))
        with self._lock:
            (prediction,) = self.classifier.predict([empty])
        self.explain(Item(empty, prediction))

    def _read_chunk(self, paths: Sequence[pathlib.Path], group: str) -> Iterator[Item]:
        contents = [_read(path) for path in paths]
        with self._lock:
            predictions = self.classifier.predict([content or b"" for content in contents])
        for path, content, prediction in zip(paths, contents, predictions, strict=True):
            if content is None:
                yield Item(b"", Prediction(path.name, UNREADABLE))
                continue
            item = Item(content, dataclasses.replace(prediction, file=path.name), group=group)
            yield _identify(item) if item.is_readable else item


def _identify(item: Item) -> Item:
    """Adds what the training data know an image by; the builders decode with Pillow, and both must succeed."""
    try:
        image = decode_rgb(item.data)
    except UndecodableImageError:
        return Item(item.data, Prediction(item.name, UNDECODABLE))
    return dataclasses.replace(
        item,
        pixel_sha256=pixel_sha256(image.pixels),
        source_format=image.source_format,
        thumbnail=pictures.encode(image.pixels, max_side=_THUMBNAIL_SIDE, image_format="JPEG"),
    )


def digest_classifier(classifier: Classifier) -> str:
    """SHA-256 of what determines the answers: architecture, weights, class names, size, views and decision rule.

    It is the same however the model was stored.
    """
    import keras

    facts = [classifier.keras_model.name, classifier.class_names, classifier.image_size, classifier.views]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for weight in classifier.keras_model.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    if classifier.rule is not None:
        rule = dataclasses.asdict(classifier.rule)
        arrays = rule.pop("familiarity") or {}
        digest.update(json.dumps([rule, sorted(arrays)], sort_keys=True).encode())
        for name in sorted(arrays):
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _read(path: pathlib.Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
