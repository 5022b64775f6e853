"""Which regions of stain are heads of spermatozoa: by size, form and colour, beside the other regions of the field."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from sperm_tf.fields.stain import Stain

_DARK = 90  # percentile of the stain: the nucleus, which is the darkest part of a head


@dataclasses.dataclass(frozen=True)
class HeadShape:
    """What a region must be to count as a head; lengths in lengths of a median head, L.

    Attributes:
        min_area: L^2.
        min_cut_area: L^2, of what is inside the field of a head that is cut by its border.
        max_area: L^2; leukocytes and round cells are larger.
        max_length: L.
        min_width: L.
        max_width: L.
        min_solidity: area by that of the convex hull.
        min_darkness: of the stain of the darkest tenth, by the median of all heads of the field; debris is paler.
        max_redness: missing red by missing green, by the median of all heads of the field; blue debris has more.
        min_pale_darkness: what suffices for a region that is elongated, not small, and of the heads' own hue.
        max_pale_redness: the heads' own hue.
        min_pale_area: L^2, not small.
        min_pale_elongation: length by width.
        max_round_area: L^2; drops and loose acrosomes are round and smaller than this.
        max_roundness: width by length above which a small region is round.
        min_stain: levels of 0-255 that the darkest tenth must lack.
    """

    min_area: float = 0.23
    min_cut_area: float = 0.05
    max_area: float = 0.9
    max_length: float = 1.6
    min_width: float = 0.33
    max_width: float = 0.9
    min_solidity: float = 0.85
    min_darkness: float = 0.85
    max_redness: float = 1.33
    min_pale_darkness: float = 0.65
    max_pale_redness: float = 1.1
    min_pale_area: float = 0.3
    min_pale_elongation: float = 1.3
    max_round_area: float = 0.38
    max_roundness: float = 0.91
    min_stain: float = 30.0


ANY_SHAPE = HeadShape(
    min_area=0.0,
    max_area=np.inf,
    max_length=np.inf,
    min_width=0.0,
    max_width=np.inf,
    min_solidity=0.0,
    min_darkness=0.0,
    max_redness=np.inf,
    max_round_area=0.0,
    min_stain=0.0,
)
"""Of every region, for heads that a person has told."""


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """A region of stain.

    Attributes:
        box: first row, first column, row behind the last, column behind the last.
        mask: bool, the region inside its box.
        area: L^2.
        length: L, major axis of the ellipse with the same second moments.
        width: L, its minor axis.
        solidity: 0-1.
        darkness: levels of stain that the darkest tenth of it has.
        redness: red that is missing there by green that is missing.
        is_cut: whether it reaches the edge of the field.
        is_parted: whether it was parted from another.
    """

    box: tuple[int, int, int, int]
    mask: np.ndarray
    area: float
    length: float
    width: float
    solidity: float
    darkness: float
    redness: float
    is_cut: bool
    is_parted: bool

    def has_form(self, shape: HeadShape) -> bool:
        """Whether size and form are those of a head; one that is cut may be smaller."""
        is_large = self.area >= shape.min_area and self.width >= shape.min_width
        is_large |= self.is_cut and self.area >= shape.min_cut_area
        return (
            is_large
            and self.area <= shape.max_area
            and self.length <= shape.max_length
            and self.width <= shape.max_width
            and self.solidity >= shape.min_solidity
            and not (self.area <= shape.max_round_area and self.width >= shape.max_roundness * self.length)
        )

    def may_be_head(self, shape: HeadShape) -> bool:
        """Whether it is a head but for its colour beside the field's other heads."""
        return self.has_form(shape) and self.darkness >= shape.min_stain

    def move(self, y0: int, x0: int) -> Region:
        """A region of a tile in its field.

        Args:
            y0: first row of the tile.
            x0: first column of the tile.
        """
        top, left, bottom, right = self.box
        return dataclasses.replace(self, box=(top + y0, left + x0, bottom + y0, right + x0))

    def has_colour(self, shape: HeadShape, *, darkness: float, redness: float) -> bool:
        """Whether it is as dark as the heads of its field, or at least of their hue.

        Args:
            shape: of a head.
            darkness: median of the field's heads.
            redness: median of the field's heads.
        """
        dark, red = self.darkness / darkness, self.redness / redness
        is_pale_head = (
            dark >= shape.min_pale_darkness
            and red <= shape.max_pale_redness
            and self.area >= shape.min_pale_area
            and self.length >= shape.min_pale_elongation * self.width
        )
        return (dark >= shape.min_darkness and red <= shape.max_redness) or is_pale_head


def describe_regions(labels: np.ndarray, stain: Stain, head_px: float, parted: frozenset[int]) -> list[Region]:
    """Measures regions.

    Args:
        labels: int [H, W], 0 outside.
        stain: of the field.
        head_px: L in pixels.
        parted: labels of regions that were parted from others.
    """
    from skimage import measure

    height, width = labels.shape
    regions = []
    for found in measure.regionprops(labels):
        y0, x0, y1, x1 = found.bbox
        inside = found.image
        amount = stain.amount[found.slice][inside]
        dark = amount >= np.percentile(amount, _DARK)
        missing = (stain.background[found.slice] - stain.colours[found.slice])[inside][dark].mean(axis=0)
        regions.append(
            Region(
                found.bbox,
                inside,
                found.area / head_px**2,
                found.axis_major_length / head_px,
                found.axis_minor_length / head_px,
                found.solidity,
                float(np.percentile(amount, _DARK)),
                float(missing[0] / max(missing[1], 1.0)),
                y0 == 0 or x0 == 0 or y1 == height or x1 == width,
                found.label in parted,
            )
        )
    return regions


def choose_heads(regions: Sequence[Region], shape: HeadShape) -> list[Region]:
    """The regions that are heads.

    Colour is judged beside the field's own heads, so that it holds for other stains and lamps: regions of their form,
    or all where none has it.

    Args:
        regions: of a field.
        shape: of a head.
    """
    formed = [region for region in regions if region.may_be_head(shape)]
    if not formed:
        return []
    weights = np.array([region.area * region.darkness for region in formed])  # the darkest large ones count most
    darkness = _weighted_median(np.array([region.darkness for region in formed]), weights)
    redness = _weighted_median(np.array([region.redness for region in formed]), weights)
    return [region for region in formed if region.has_colour(shape, darkness=darkness, redness=max(redness, 1e-3))]


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(sums, sums[-1] / 2)])
