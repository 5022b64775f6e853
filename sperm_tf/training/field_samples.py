"""Fields with what the parsing network learns from: drawn ones, and annotated ones."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from sperm_tf.fields.annotations import ACROSOME, MIDPIECE, NUCLEUS, TAIL, VACUOLE, AnnotatedCell
from sperm_tf.fields.cell_offsets import trace_offsets
from sperm_tf.fields.parsing import HEAD_PX, STEP, STRIDE
from sperm_tf.synthesis import field_layers
from sperm_tf.synthesis.field_renderer import render_field
from sperm_tf.whole_files import replacing

CENTER_DEVIATION = 2.0
"""Of the Gaussian at each centre, pixels of the grid: 0.4 um."""
_DRAWN_HEAD_UM = 4.4  # median length of a drawn head
_DRAWING_ORDER = (TAIL, MIDPIECE, NUCLEUS, ACROSOME, VACUOLE)  # later ones lie on top
_PART_OF = {
    NUCLEUS: field_layers.NUCLEUS,
    ACROSOME: field_layers.ACROSOME,
    VACUOLE: field_layers.VACUOLE,
    MIDPIECE: field_layers.MIDPIECE,
    TAIL: field_layers.TAIL,
}
_CLASS_OF = np.array([0, 1, 2, 0, 3, 4], np.uint8)  # field_layers' parts -> sperm_tf.fields.parsing.PART_NAMES


@dataclasses.dataclass(frozen=True, eq=False)
class FieldSample:
    """A field at the network's resolution, with its targets; height and width are multiples of `STRIDE`.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        parts: uint8 [H, W], classes of `sperm_tf.fields.parsing.PART_NAMES`.
        vacuoles: bool [H, W].
        centers: float32 [N, 2], rows and columns on the grid.
        offsets: float16 [H / STRIDE, W / STRIDE, 2], pixels of the grid.
        has_offset: bool [H / STRIDE, W / STRIDE], where a cell with a head in the field is.
    """

    image: np.ndarray
    parts: np.ndarray
    vacuoles: np.ndarray
    centers: np.ndarray
    offsets: np.ndarray
    has_offset: np.ndarray


def draw_sample(index: int, *, seed: int, height: int = 512, width: int = 640, spread: float = 0.25) -> FieldSample:
    """Draws a field, at a magnification of its own, so that heads have many sizes.

    Args:
        index: number of the field.
        seed: of the renderer.
        height: pixels.
        width: pixels.
        spread: the length of heads varies by up to this share of `HEAD_PX`, log-uniformly.
    """
    rng = np.random.default_rng([seed, index])
    factor = float(np.exp(rng.uniform(-1, 1) * np.log1p(spread)))
    pixel_size_um = _DRAWN_HEAD_UM / HEAD_PX / factor
    field = render_field(index, height=height, width=width, pixel_size_um=pixel_size_um, seed=seed)
    return build_sample(field.image, field.parts, field.instances, field.parts_below, field.instances_below)


def load_drawn_samples(folder: pathlib.Path, count: int, *, seed: int) -> list[FieldSample]:
    """Draws fields, or reads those that an earlier call has drawn.

    Args:
        folder: where they lie, 2 MB each; made where it does not exist.
        count: number of fields.
        seed: of the renderer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for index in range(count):
        file = folder / f"{seed}-{index:05d}.npz"
        if not file.is_file():
            with replacing(file) as unfinished:
                np.savez(unfinished, **vars(draw_sample(index, seed=seed)))
        with np.load(file) as arrays:
            samples.append(FieldSample(**arrays))
    return samples


def annotated_sample(pixels: np.ndarray, cells: Sequence[AnnotatedCell], *, scale: float) -> FieldSample:
    """A sample of an annotated field.

    Args:
        pixels: uint8 [H, W, 3].
        cells: of the field.
        scale: by which lengths are multiplied to the network's resolution.
    """
    from PIL import Image
    from skimage.draw import polygon2mask

    size = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in pixels.shape[:2]]
    layers = field_layers.Layers(*size)
    everything = slice(0, size[0]), slice(0, size[1])
    factors = np.array(size[::-1]) / pixels.shape[1::-1]
    for part in _DRAWING_ORDER:
        for number, cell in enumerate(cells, start=1):
            for polygon in cell.polygons.get(part, ()):
                points = ((polygon + 0.5) * factors - 0.5)[:, ::-1]
                mask = polygon2mask(tuple(size), points)
                layers.add(np.where(mask, _PART_OF[part], 0).astype(np.uint8), *everything, number)
    image = np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BOX))
    return build_sample(image, layers.parts, layers.instances, layers.parts_below, layers.instances_below)


def build_sample(
    image: np.ndarray, parts: np.ndarray, instances: np.ndarray, parts_below: np.ndarray, instances_below: np.ndarray
) -> FieldSample:
    """Makes targets of the masks of a field, as `sperm_tf.synthesis.field_renderer.SyntheticField` has them.

    Args:
        image: uint8 [H, W, 3].
        parts: uint8 [H, W], of `sperm_tf.synthesis.field_layers.PART_NAMES`.
        instances: uint16 [H, W].
        parts_below: uint8 [H, W].
        instances_below: uint16 [H, W].
    """
    del parts_below
    is_head = np.isin(parts, field_layers.HEAD_PARTS)
    shown = _to_grid(instances)
    centers, offsets = [], np.zeros((*shown.shape, 2), np.float16)
    has_offset = np.zeros(shown.shape, bool)
    for number in range(1, int(instances.max(initial=0)) + 1):
        rows, columns = np.nonzero(is_head & (instances == number))
        if not len(rows):
            continue
        center = (rows.mean() + 0.5) / STRIDE - 0.5, (columns.mean() + 0.5) / STRIDE - 0.5
        mask = _to_grid((instances == number) | (instances_below == number))
        ways = trace_offsets(mask, center, step=STEP)
        seen = mask & (shown == number)
        offsets[seen], has_offset[seen] = ways[seen], True
        centers.append(center)
    return FieldSample(
        image=image,
        parts=_fill_vacuoles(parts),
        vacuoles=parts == field_layers.VACUOLE,
        centers=np.array(centers, np.float32).reshape(-1, 2),
        offsets=offsets,
        has_offset=has_offset,
    )


def draw_centers(centers: np.ndarray, grid: int) -> np.ndarray:
    """Gaussians around centres, float32 [grid, grid]; 1 at the pixel of each.

    Args:
        centers: float [N, 2], rows and columns; those outside may shine in.
        grid: side.
    """
    heat = np.zeros((grid, grid), np.float32)
    places = np.arange(grid)
    for row, column in np.round(centers):
        squares = (places[:, None] - row) ** 2 + (places[None] - column) ** 2
        heat = np.maximum(heat, np.exp(-squares / (2 * CENTER_DEVIATION**2)).astype(np.float32))
    return heat


def _to_grid(values: np.ndarray) -> np.ndarray:
    """The largest value of each square of `STRIDE` x `STRIDE` pixels."""
    height, width = values.shape
    return values.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE).max(axis=(1, 3))


def _fill_vacuoles(parts: np.ndarray) -> np.ndarray:
    """Classes of the pixels; a vacuole counts to nucleus or acrosome, whichever is nearer."""
    from scipy import ndimage

    classes = _CLASS_OF[parts]
    is_vacuole = parts == field_layers.VACUOLE
    is_solid = np.isin(parts, (field_layers.NUCLEUS, field_layers.ACROSOME))
    if is_vacuole.any() and is_solid.any():
        rows, columns = ndimage.distance_transform_edt(~is_solid, return_distances=False, return_indices=True)
        classes[is_vacuole] = classes[rows[is_vacuole], columns[is_vacuole]]
    return classes
