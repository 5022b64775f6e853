"""The finder that parses cells with a network: heads, and the masks of their parts. Runs without TensorFlow."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Callable

import numpy as np

from sperm_tf.config_checks import check_choice
from sperm_tf.fields.found import FoundField
from sperm_tf.fields.grouping import GroupedCells, GroupingOptions, group_cells
from sperm_tf.fields.parsed_cells import to_heads
from sperm_tf.fields.parsing import BACKGROUND, HEAD_PX, OUTPUTS, STRIDE
from sperm_tf.fields.tiling import predict_tiles
from sperm_tf.runtimes.registry import is_installed
from sperm_tf.runtimes.sessions import open_session

WEIGHTS_FILE, GRAPH_FILE, INFO_FILE = "weights.npz", "model.onnx", "model.json"
"""Weights for Keras, the graph for ONNX Runtime, and how both came about with their SHA-256."""
ONNX_RUNTIME, KERAS = "onnxruntime", "keras"
_MAX_PIXELS = 64_000_000  # of the network's picture, whose maps take 36 bytes for each four pixels


class FieldParser:
    """Finds heads and the parts of their cells; a `sperm_tf.fields.finders.Finder`.

    Args:
        folder: of `sperm_tf.runtimes.parser_conversion.write_parser`.
        runtime: `onnxruntime` for the graph, `keras` for the weights; None takes the first that is installed.
        options: of the grouping; None for those that are shipped.

    Raises:
        ValueError: a file of the folder is missing or damaged, or the runtime is unknown.
        ImportError: the runtime is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        runtime: str | None = None,
        options: GroupingOptions | None = None,
    ):
        runtime = runtime or (ONNX_RUNTIME if is_installed(ONNX_RUNTIME) else KERAS)
        check_choice("runtime", runtime, (ONNX_RUNTIME, KERAS))
        self._options = options
        self._predict = _open(pathlib.Path(folder), runtime)

    def find(self, pixels: np.ndarray, *, head_length_px: float) -> FoundField:
        """Finds heads and the parts of their cells.

        Args:
            pixels: uint8 [H, W, 3], RGB, 0-255.
            head_length_px: median length of a head, in pixels of the field.

        Raises:
            ValueError: the pixels have another shape, the length is not positive, or the field is too large for heads
                of that length.
        """
        grouped, scale = self.parse(pixels, head_length_px=head_length_px)
        heads = to_heads(grouped, pixels.shape[:2], STRIDE / scale)
        is_empty = grouped.chances.argmax(axis=-1) == BACKGROUND
        return FoundField(
            tuple(sorted(heads, key=lambda head: (head.head_y0, head.head_x0))),
            float(head_length_px),
            _background(pixels, is_empty),
            float(1 - is_empty.mean()),
        )

    def parse(self, pixels: np.ndarray, *, head_length_px: float) -> tuple[GroupedCells, float]:
        """The cells on the grid of the network's output, and by what lengths were multiplied to the network's picture.

        Args:
            pixels: as for `find`.
            head_length_px: as for `find`.

        Raises:
            ValueError: as for `find`.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"pixels must be [H, W, 3]. Received: shape={list(pixels.shape)}. Pass one RGB field.")
        if not head_length_px > 0:
            raise ValueError(f"head_length_px must be above 0. Received: head_length_px={head_length_px!r}.")
        scale = HEAD_PX / head_length_px
        if scale**2 * pixels.shape[0] * pixels.shape[1] > _MAX_PIXELS:
            raise ValueError(
                f"a field must have at most {_MAX_PIXELS:,} pixels where a head has {HEAD_PX:.0f}. Received: "
                f"shape={list(pixels.shape)}, head_length_px={head_length_px:.3g}. Cut the field, or state its pixel "
                "size if heads are longer than that."
            )
        return group_cells(predict_tiles(self._predict, resize(pixels, scale), stride=STRIDE), self._options), scale


def resize(pixels: np.ndarray, scale: float) -> np.ndarray:
    """The field as the network sees it, uint8 [h, w, 3].

    The right and lower edges are repeated, so that every pixel of the result covers the same length.

    Args:
        pixels: uint8 [H, W, 3].
        scale: by which lengths are multiplied.
    """
    from PIL import Image

    height, width = (max(1, int(np.ceil(side * scale))) for side in pixels.shape[:2])
    missing = [
        max(0, int(np.ceil(new / scale)) - side) for new, side in zip((height, width), pixels.shape, strict=False)
    ]
    padded = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    box = 0, 0, min(width / scale, padded.shape[1]), min(height / scale, padded.shape[0])
    return np.asarray(Image.fromarray(padded).resize((width, height), kind, box=box))


def _background(pixels: np.ndarray, is_empty: np.ndarray) -> tuple[float, float, float]:
    """Median red, green and blue of what is empty; of the field where nothing is."""
    rows = np.linspace(0, pixels.shape[0] - 1, is_empty.shape[0]).astype(int)
    columns = np.linspace(0, pixels.shape[1] - 1, is_empty.shape[1]).astype(int)
    samples = pixels[rows[:, None], columns]
    red, green, blue = np.median(samples[is_empty] if is_empty.any() else samples.reshape(-1, 3), axis=0)
    return float(red), float(green), float(blue)


def _open(folder: pathlib.Path, runtime: str) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A function uint8 [1, H, W, 3] -> the outputs of the network by name."""
    name = WEIGHTS_FILE if runtime == KERAS else GRAPH_FILE
    _verify(folder, name)
    if runtime != KERAS:
        return open_session(folder / name, runtime, OUTPUTS)
    return _open_keras(str(folder / name))


@functools.cache
def _open_keras(file: str) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    import keras

    from sperm_tf.models.field_parser import build_field_parser

    model = build_field_parser(file)

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        found = model(images.astype(np.float32), training=False)
        return {name: keras.ops.convert_to_numpy(values) for name, values in found.items()}

    return predict


def _verify(folder: pathlib.Path, name: str) -> None:
    try:
        digest = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))["sha256"][name]
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"folder must hold {name} and {INFO_FILE} of a parser. Received: folder={str(folder)!r} ({error!r}). "
            "Copy the whole folder again."
        ) from error
    if found != digest:
        raise ValueError(
            f"{name} must have the SHA-256 {digest}. Received: {str(folder / name)!r}, which is damaged. Copy "
            "the whole folder again."
        )
