"""The finder that parses cells with a network: heads, and the masks of their parts. Runs without TensorFlow."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterable

import numpy as np

from sperm_tf.config_checks import check_choice
from sperm_tf.fields.found import FoundField, FoundHead
from sperm_tf.fields.grouping import GroupedCells, GroupingOptions, group_cells
from sperm_tf.fields.parsed_cells import to_heads
from sperm_tf.fields.parsing import BACKGROUND, HEAD_PX, OUTPUTS, STRIDE
from sperm_tf.fields.pixels import FieldPixels
from sperm_tf.fields.tiles import GRID_PX, list_cores
from sperm_tf.fields.tiling import MULTIPLE, predict_tiles
from sperm_tf.runtimes.registry import RUNTIMES, is_installed
from sperm_tf.runtimes.sessions import open_session
from sperm_tf.served_names import ONNX

RELEASED = pathlib.Path(__file__).resolve().parents[1] / "released" / "field_parser"
WEIGHTS_FILE, GRAPH_FILE, INFO_FILE = "weights.npz", "model.onnx", "model.json"
"""Weights for Keras, the graph for ONNX Runtime, and how both came about with their SHA-256."""
KERAS = "keras"
_RUNTIMES = tuple(name for name, runtime in RUNTIMES.items() if ONNX in runtime.formats)  # that open the graph
_MAX_PIXELS = 64_000_000  # of the network's picture, whose maps take 36 bytes for each four pixels
_UNIT_PX = 25 * MULTIPLE  # of the network's picture: cores of a large field begin at multiples of it
_CORE_UNITS, _MARGIN_UNITS = 6, 2  # a core, and what is seen around it: 80 um, a cell with its tail
_MAX_SAMPLES = 100_000  # of the background of one tile


class FieldParser:
    """Finds heads and the parts of their cells; one of `sperm_tf.fields.finders.FINDERS`.

    Args:
        folder: of `sperm_tf.runtimes.parser_conversion.write_parser`; None is that of the package.
        runtime: `openvino` or `onnxruntime` for the graph, `keras` for the weights; None takes the first that is
            installed.
        options: of the grouping; None for those that are shipped.

    Raises:
        ValueError: a file of the folder is missing or damaged, or the runtime is unknown.
        ImportError: the runtime is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        runtime: str | None = None,
        options: GroupingOptions | None = None,
    ):
        runtime = runtime or next((name for name in _RUNTIMES if is_installed(name)), KERAS)
        check_choice("runtime", runtime, (*_RUNTIMES, KERAS))
        self._options = options
        self._predict = _open(pathlib.Path(folder or RELEASED), runtime)

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
        return _describe(heads, head_length_px, _sample_background(pixels, is_empty), float(is_empty.mean()))

    def find_in_tiles(self, image: FieldPixels, *, head_length_px: float, core_units: int = _CORE_UNITS) -> FoundField:
        """Finds heads and the parts of their cells in a field of any size.

        A head belongs to the tile whose core holds its centre, and a tile is seen with 80 um around its core, so that
        cells are whole; a tail that reaches farther is cut off. The masks of a cell take some 1 MB.

        Args:
            image: the field.
            head_length_px: as for `find`.
            core_units: side of the cores, in 40 um.

        Raises:
            ValueError: as for `find`.
        """
        _check_length(head_length_px)
        # So many pixels of the field are `_UNIT_PX`, that tiles begin where pixels of the network's picture do.
        unit = GRID_PX * max(1, round(_UNIT_PX * head_length_px / HEAD_PX / GRID_PX))
        heads: list[FoundHead] = []
        samples, shares, areas = [], [], []
        for core in list_cores(image.shape, core_units * unit):
            seen = core.grow(_MARGIN_UNITS * unit, image.shape)
            pixels = image.read_region(*seen.region)
            grouped, scale = self.parse(pixels, head_length_px=HEAD_PX * unit / _UNIT_PX)
            found = (_place(head, seen.x0, seen.y0) for head in to_heads(grouped, pixels.shape[:2], STRIDE / scale))
            heads += [head for head in found if core.owns(head.head_y0, head.head_x0, head.head_y1, head.head_x1)]
            rows, columns = core.inside(seen)
            on_grid = tuple(
                slice(round(part.start * scale / STRIDE), round(part.stop * scale / STRIDE)) for part in (rows, columns)
            )
            is_empty = grouped.chances.argmax(axis=-1)[on_grid] == BACKGROUND
            sampled = _sample_background(pixels[rows, columns], is_empty)
            samples.append(sampled[:: 1 + len(sampled) // _MAX_SAMPLES])
            shares.append(float(is_empty.mean()))
            areas.append(is_empty.size)
        return _describe(heads, head_length_px, np.concatenate(samples), float(np.average(shares, weights=areas)))

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
        _check_length(head_length_px)
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


def _check_length(head_length_px: float) -> None:
    if not head_length_px > 0:
        raise ValueError(f"head_length_px must be above 0. Received: head_length_px={head_length_px!r}.")


def _place(head: FoundHead, x0: int, y0: int) -> FoundHead:
    """A head of a region that begins at this pixel, as a head of the field."""
    return dataclasses.replace(
        head,
        head_x0=head.head_x0 + x0,
        head_x1=head.head_x1 + x0,
        head_y0=head.head_y0 + y0,
        head_y1=head.head_y1 + y0,
        parts_origin=(head.parts_origin[0] + x0, head.parts_origin[1] + y0),
    )


def _describe(
    heads: Iterable[FoundHead], head_length_px: float, background: np.ndarray, empty_share: float
) -> FoundField:
    red, green, blue = np.median(background, axis=0)
    return FoundField(
        tuple(sorted(heads, key=lambda head: (head.head_y0, head.head_x0))),
        float(head_length_px),
        (float(red), float(green), float(blue)),
        1 - empty_share,
    )


def _sample_background(pixels: np.ndarray, is_empty: np.ndarray) -> np.ndarray:
    """Red, green and blue of what is empty, uint8 [N, 3]; of the field where nothing is."""
    rows = np.linspace(0, pixels.shape[0] - 1, is_empty.shape[0]).astype(int)
    columns = np.linspace(0, pixels.shape[1] - 1, is_empty.shape[1]).astype(int)
    samples = pixels[rows[:, None], columns]
    return samples[is_empty] if is_empty.any() else samples.reshape(-1, 3)


def _open(folder: pathlib.Path, runtime: str) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A function uint8 [1, H, W, 3] -> the outputs of the network by name."""
    name = WEIGHTS_FILE if runtime == KERAS else GRAPH_FILE
    _verify(folder, name)
    if runtime != KERAS:
        # Half a gigabyte for tiles of a large field; fields of one run have one size.
        return open_session(folder / name, runtime, OUTPUTS, max_shapes=1)
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
            "Install sperm_tf again, or copy the whole folder again."
        ) from error
    if found != digest:
        raise ValueError(
            f"{name} must have the SHA-256 {digest}. Received: {str(folder / name)!r}, which is damaged. Install "
            "sperm_tf again, or copy the whole folder again."
        )
