"""Decoders, served graph and the reader of microscope files: what has to hold for every input."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from benchmarks.fuzz import models, seeds
from benchmarks.fuzz.inputs import Input, Outcome
from sperm_tf.served_names import TOO_LARGE, TOO_SMALL, UNDECODABLE
from tests import image_files

_JPEG = b"\xff\xd8\xff"
_MAX_JPEG_LEVELS = 2


class InProcess:
    """A target whose code runs in the worker."""

    batch = 1
    pid = os.getpid()

    def close(self) -> None:
        """Nothing was started."""


class DecoderTarget(InProcess):
    """The decoders of the Python path and of the served graph: neither fails, and both give the same pixels."""

    def __init__(self, folder: pathlib.Path | None):
        self.files = seeds.make_pictures()

    def check(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Outcome and problem of each input."""
        from sperm_tf.data import array_preprocess
        from sperm_tf.data.decode import MAX_PIXELS, MIN_SIDE, UndecodableImageError, decode_rgb
        from sperm_tf.data.served_decoder import decode_served

        content = inputs[0].content
        status, pixels = array_preprocess.read_pixels(content)
        try:
            plain = decode_rgb(content).pixels
        except UndecodableImageError:
            plain = None
        try:
            served = decode_served(content).pixels
        except UndecodableImageError:
            served = None
        if (pixels is None) != (served is None):
            return [
                (status, f"disagree: without TensorFlow {status}, in the graph {'refused' if served is None else 'ok'}")
            ]
        if pixels is None or served is None:
            return [(status, "")]
        if plain is None or pixels.dtype != np.uint8 or pixels.shape[2:] != (3,):
            return [(status, "not RGB of 8 bits")]
        if min(pixels.shape[:2]) < MIN_SIDE or pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
            return [(status, f"a size beyond the limits: {pixels.shape}")]
        return [(status, _compare(content, pixels, served))]


class GraphTarget(InProcess):
    """The SavedModel and the ONNX path: each gives the row of a valid image beside mutated ones as it is alone."""

    batch = 16

    def __init__(self, folder: pathlib.Path | None):
        import tensorflow as tf

        from sperm_tf.runtimes.model import RuntimeModel

        self.files = seeds.make_pictures()
        self._loaded = tf.saved_model.load(str(folder / models.SAVED_MODEL))
        self._runtime = RuntimeModel(folder / models.ONNX, "onnxruntime")
        self._sentinel = image_files.encode(image_files.random_pixels(64, 48, seed=9), "PNG")
        self._expected = [path([self._sentinel]) for path in (self._ask_graph, self._runtime.predict)]

    def _ask_graph(self, contents):
        import tensorflow as tf

        answer = self._loaded.signatures["serving_default"](image_bytes=tf.constant(contents))
        return {name: value.numpy() for name, value in answer.items()}

    def check(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Outcome and problem of each input."""
        from sperm_tf.data.array_preprocess import preprocess_files
        from sperm_tf.data.preprocess import preprocess_batch

        contents = [one.content for one in inputs]
        at = sum(map(len, contents)) % (len(contents) + 1)
        rows = [*contents[:at], self._sentinel, *contents[at:]]
        images, statuses = preprocess_files(rows, models.IMAGE_SIZE)
        served_images, served = preprocess_batch(rows, models.IMAGE_SIZE)
        served_statuses = [status.decode() for status in served.numpy()]
        answers = [self._ask_graph(rows), self._runtime.predict_images(images, statuses)]
        found = []
        for row, content in enumerate(rows):
            if _is_refused_alike(content, statuses[row], served_statuses[row]):
                problem = ""
            elif statuses[row] != served_statuses[row]:
                problem = f"disagree: without TensorFlow {statuses[row]}, in the graph {served_statuses[row]}"
            else:
                problem = _compare(content, images[row], served_images[row].numpy(), 1)
            found.append((served_statuses[row], problem or _check_answers(answers, row)))
        for name, answer, expected in zip(("SavedModel", "ONNX"), answers, self._expected, strict=True):
            for output, values in expected.items():
                same = np.array_equal if np.asarray(values).dtype == object else np.allclose
                if not same(values[0], answer[output][at]):
                    found[at - 1 if at else 1] = ("ok", f"the prediction beside it changed: {output} of the {name}")
        del found[at]
        return found


def _is_refused_alike(content: bytes, status: str, served: str) -> bool:
    """Whether both refuse a JPEG with a damaged header, of which Pillow still reads a size: the reason may be it."""
    return content.startswith(_JPEG) and served == UNDECODABLE and status in (TOO_LARGE, TOO_SMALL)


def _check_answers(answers, row: int) -> str:
    for name, answer in zip(("SavedModel", "ONNX"), answers, strict=True):
        probabilities = answer["probabilities"][row]
        is_ok = answer["status"][row] == b"ok"
        if not (np.isfinite(probabilities).all() and abs(probabilities.sum() - is_ok) < 1e-3):
            return f"probabilities of the {name}: {probabilities}"
        if (answer["decision"][row] == b"accept") and not is_ok:
            return f"accepted by the {name} without an image"
    return ""


class MicroscopyTarget(InProcess):
    """The reader of microscope files: an image within its limits, or an error that is documented."""

    def __init__(self, folder: pathlib.Path | None):
        self.files = seeds.make_microscope_files()

    def check(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Outcome and problem of each input."""
        from sperm_tf.data.decode import UndecodableImageError
        from sperm_tf.microscopy import list_planes, read_image, to_served_if_readable

        content = inputs[0].content
        to_served_if_readable(content)
        try:
            names = list_planes(content)
            image = read_image(content, plane=names[-1])
        except UndecodableImageError as error:
            text = str(error)
            return [(type(error).__name__, "" if "the bytes" in text else f"a message without the file: {text}")]
        if image.pixels.dtype != np.uint8 or image.pixels.ndim != 3 or image.pixels.shape[2] != 3:
            return [("ok", f"not RGB of 8 bits: {image.pixels.dtype} {image.pixels.shape}")]
        size = image.pixel_size_um
        return [("ok", "" if size is None or 0 < size < np.inf else f"a pixel of {size} um")]


def _compare(content: bytes, pixels: np.ndarray, served: np.ndarray, tolerance: int = 0) -> str:
    if pixels.shape != served.shape:
        return f"disagree: {pixels.shape} without TensorFlow, {served.shape} in the graph"
    limit = tolerance + (_MAX_JPEG_LEVELS if content.startswith(_JPEG) else 0)
    largest = int(np.abs(pixels.astype(int) - served.astype(int)).max(initial=0))
    return f"disagree: pixels by up to {largest} levels" if largest > limit else ""
