"""The model that reads images which are dropped in: its predictions, its attribution maps, and which model it was."""

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
from sperm_tf.data.decode import encode_png
from sperm_tf.decision.rule import DecisionRule
from sperm_tf.explain.activation_maps import ClassActivationMaps
from sperm_tf.microscopy import to_served_if_readable
from sperm_tf.review import records
from sperm_tf.review.items import Item, identify
from sperm_tf.served_names import SHOWN_MAP, UNREADABLE
from sperm_tf.serving.classifier import Classifier
from sperm_tf.serving.files import ROWS
from sperm_tf.serving.prediction import Prediction

_CHUNK = 32  # files that are read and classified before progress is told


class Reader:
    """A classifier that several threads may call; a `sperm_tf.review.items.Predictor` of files.

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
        self.scope = ""
        self.fields = None
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
        group = records.one_line(group)
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
        served = [
            to_served_if_readable(data or b"", name=path.name) for path, data in zip(paths, contents, strict=True)
        ]
        with self._lock:
            predictions = self.classifier.predict(served, errors=ROWS)
        for path, content, data, prediction in zip(paths, contents, served, predictions, strict=True):
            if content is None:
                yield Item(b"", Prediction(path.name, UNREADABLE))
                continue
            item = Item(data, dataclasses.replace(prediction, file=path.name), group=group)
            yield identify(item, content) if item.is_readable else item


def digest_classifier(classifier: Classifier) -> str:
    """SHA-256 of what determines the predictions: architecture, weights, class names, size, views and decision rule.

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
