"""A classifier that a runtime other than TensorFlow computes: bytes of files in, predictions out."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from sperm_tf.data.array_preprocess import preprocess_files
from sperm_tf.runtimes.registry import GRAPH_FILES, INFO_FILE, RUNTIMES, check_runtime
from sperm_tf.runtimes.sessions import ROWS, open_session
from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import ACCEPT, CONFIDENT, OK, REASONS, REFER, UNREADABLE


class RuntimeModel:
    """A folder that `sperm_tf.Classifier.export` wrote, opened in a runtime. Imports neither TensorFlow nor Keras.

    Attributes:
        class_names: C names, in the order of the probabilities.
        image_size: side of the network's input in pixels.
        views: what an answer is averaged over.
        runtime: of `sperm_tf.runtimes.registry.RUNTIMES`.

    Args:
        folder: with the graph and its `model.json`.
        runtime: it must open the format of the folder.

    Raises:
        ValueError: the folder is not whole, or of a format that the runtime does not open.
        ImportError: the runtime is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], runtime: str):
        folder = pathlib.Path(folder)
        info = _read_info(folder)
        if info["format"] not in check_runtime(runtime).formats:
            able = [name for name, entry in RUNTIMES.items() if info["format"] in entry.formats]
            raise ValueError(
                f"runtime must be one that opens the format {info['format']!r}: {', '.join(able)}. Received: "
                f"runtime={runtime!r} for {str(folder)!r}. Export the model in the format "
                f"{RUNTIMES[runtime].formats[0]!r}."
            )
        self.class_names = tuple(info["class_names"])
        self.image_size, self.views, self.runtime = int(info["image_size"]), int(info["views"]), runtime
        self._session = open_session(folder / GRAPH_FILES[info["format"]], runtime, info["outputs"])

    def predict(self, image_bytes: Sequence[bytes]) -> ServedAnswer:
        """Classifies files as the signature `serving_default` of the SavedModel does.

        Args:
            image_bytes: bytes of B PNG, JPEG, BMP or GIF files.

        Returns:
            NumPy arrays with B rows, strings as `bytes` in arrays of objects, as the SavedModel's are.
        """
        return self.predict_images(*preprocess_files(image_bytes, self.image_size))

    def predict_images(self, images: np.ndarray, statuses: Sequence[str]) -> ServedAnswer:
        """Classifies what `sperm_tf.data.array_preprocess.preprocess_files` returns.

        Args:
            images: uint8 [B, S, S, 3], RGB, 0-255; rows that are not ok hold anything.
            statuses: of the B files.

        Returns:
            As `predict`.
        """
        is_ok = np.array([status == OK for status in statuses], bool)
        found = self._compute(images[is_ok])
        answer = _empty(len(statuses), self.class_names)
        answer["status"][:] = [status.encode() for status in statuses]
        accepted = found["reason"] == REASONS.index(CONFIDENT)
        predicted = found["probabilities"].argmax(axis=1)
        rows = np.flatnonzero(is_ok)
        for name in ("probabilities", "prediction_set", "unfamiliarity"):
            answer[name][rows] = found[name]  # type: ignore[literal-required]
        answer["predicted_class"][rows] = np.array([name.encode() for name in self.class_names], object)[predicted]
        answer["decision"][rows] = np.where(accepted, ACCEPT.encode(), REFER.encode()).astype(object)
        answer["reason"][rows] = np.array([reason.encode() for reason in REASONS], object)[found["reason"]]
        return answer

    def _compute(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of the graph for uint8 [N, S, S, 3]."""
        rows = max(1, ROWS // self.views)
        parts = [self._session(images[start : start + rows]) for start in range(0, len(images), rows)]
        if not parts:
            empty = _empty(0, self.class_names)
            return {
                "probabilities": empty["probabilities"],
                "prediction_set": empty["prediction_set"],
                "unfamiliarity": empty["unfamiliarity"],
                "reason": np.zeros(0, np.int32),
            }
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _empty(num_rows: int, class_names: Sequence[str]) -> ServedAnswer:
    """The outputs for files that cannot be read."""
    shape = (num_rows, len(class_names))
    return {
        "status": np.full(num_rows, b"", object),
        "predicted_class": np.full(num_rows, b"", object),
        "probabilities": np.zeros(shape, np.float32),
        "class_names": np.tile(np.array([name.encode() for name in class_names], object), (num_rows, 1)),
        "prediction_set": np.zeros(shape, bool),
        "decision": np.full(num_rows, REFER.encode(), object),
        "reason": np.full(num_rows, UNREADABLE.encode(), object),
        "unfamiliarity": np.zeros(num_rows, np.float32),
    }


def is_exported(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a graph for a runtime."""
    return any((pathlib.Path(folder) / name).is_file() for name in GRAPH_FILES.values())


def graph_format(folder: pathlib.Path) -> str:
    """The format of a folder that `is_exported`."""
    return next(format for format, name in GRAPH_FILES.items() if (folder / name).is_file())


def _read_info(folder: pathlib.Path) -> dict:
    """`model.json`, once the files are known to be those that were written with it."""
    file = folder / INFO_FILE
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in info["sha256"]}
        graph = GRAPH_FILES[info["format"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"model must be a folder that Classifier.export wrote. Received: {str(folder)!r}, whose {INFO_FILE} or "
            f"graph cannot be read: {error!r}. Export it again, or copy the whole folder again."
        ) from error
    damaged = [name for name, digest in info["sha256"].items() if digests[name] != digest]
    if damaged or graph not in digests:
        raise ValueError(
            f"model must be as it was exported. Received: {str(folder)!r}, whose {', '.join(damaged) or graph} is "
            "damaged. Copy the whole folder again."
        )
    return info
