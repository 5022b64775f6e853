"""What the classical finder has to know of a whole field before it can look at a tile of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from sperm_tf.fields.pixels import FieldPixels
from sperm_tf.fields.stain import FieldPart, Stain
from sperm_tf.fields.tiles import GRID_PX, Box, spread_squares

if TYPE_CHECKING:
    from sperm_tf.fields.classical import ClassicalFinder

SQUARE_PX = 1024
"""Side of the squares that a field is measured on. They do not depend on the tiles."""
_BINS = 256  # as in scikit-image's threshold_otsu


@dataclasses.dataclass(frozen=True)
class Levels:
    """Levels of a field, those that the finder measures on a field at once.

    Attributes:
        empty_otsu: Otsu's threshold that tells the empty slide.
        stain_otsu: Otsu's threshold on the amounts of stain.
        background: red, green and blue of the empty slide, 0-255.
    """

    empty_otsu: float
    stain_otsu: float
    background: tuple[float, float, float]


def measure_levels(finder: ClassicalFinder, work: FieldPixels, head_px: float) -> Levels:
    """Measures a field on its squares, in two passes.

    A field of up to `sperm_tf.fields.tiles.MAX_SQUARES` squares is measured as a whole, and its levels are those of
    the finder to the last bit. Of a larger one they are those of squares that are spread over it.

    Args:
        finder: whose stain is measured.
        work: the field as it is worked on.
        head_px: L in its pixels.
    """
    from skimage import filters

    squares = spread_squares(work.shape, SQUARE_PX)
    distances = []
    for square in squares:
        seen = _see(square, finder.reach_px(head_px), work.shape)
        found = finder.measure_distances(work.read_region(*seen.region), head_px)
        rows, columns = square.inside(seen)
        distances.append(found[_on_grid(rows), _on_grid(columns)].ravel())
    empty_otsu = float(filters.threshold_otsu(np.concatenate(distances)))
    amounts, backgrounds = [], []
    for square in squares:
        stain = measure_tile(finder, work, head_px, square, empty_otsu)
        amounts.append(stain.amount.copy())
        backgrounds.append(stain.background[::GRID_PX, ::GRID_PX].reshape(-1, 3))
    red, green, blue = np.median(np.concatenate(backgrounds), axis=0)
    return Levels(empty_otsu, _otsu(amounts), (float(red), float(green), float(blue)))


def measure_tile(finder: ClassicalFinder, work: FieldPixels, head_px: float, tile: Box, empty_otsu: float) -> Stain:
    """The stain of a tile, as it is in the stain of the whole field.

    Args:
        finder: whose stain is measured.
        work: the field as it is worked on.
        head_px: L in its pixels.
        tile: of the field.
        empty_otsu: of its `Levels`.
    """
    seen = _see(tile, finder.reach_px(head_px), work.shape)
    part = FieldPart(seen.y0, seen.x0, work.shape, empty_otsu)
    return finder.measure_stain(work.read_region(*seen.region), head_px, part).cut(tile.inside(seen))


def _see(tile: Box, reach_px: int, shape: tuple[int, int]) -> Box:
    """The tile with what its stain depends on; it begins where a sample of the background lies."""
    seen = tile.grow(reach_px, shape)
    return dataclasses.replace(seen, y0=seen.y0 - seen.y0 % GRID_PX, x0=seen.x0 - seen.x0 % GRID_PX)


def _on_grid(pixels: slice) -> slice:
    """The samples that lie in a span of pixels, which begins at one."""
    return slice(pixels.start // GRID_PX, -(-pixels.stop // GRID_PX))


def _otsu(parts: list[np.ndarray]) -> float:
    """Otsu's threshold on all values of several arrays: that of scikit-image on one array of them."""
    from skimage import filters

    low, high = min(part.min() for part in parts), max(part.max() for part in parts)
    if low == high:
        return float(low)
    counts = np.zeros(_BINS, np.int64)
    for part in parts:
        found, edges = np.histogram(part, bins=_BINS, range=(low, high))
        counts += found
    return float(filters.threshold_otsu(hist=(counts, (edges[:-1] + edges[1:]) / 2)))
