"""The classical finder: stain, Otsu's threshold, opening, watershed, and rules of size, form and colour. No weights.

The rules judge regions at one threshold for the field; the outline of a head is then sought along its own edge.

Otsu 1979 (IEEE Trans. SMC 9:62-66); watershed of the distance transform: Beucher and Lantuejoul 1979. Every length
is a share of a head's, so one set of numbers serves all magnifications. docs/fields.md says how good it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from sperm_tf.fields.found import CUT_BY_BORDER, TOUCHING, FoundField, FoundHead
from sperm_tf.fields.half_height import EdgeOptions, refine_outline
from sperm_tf.fields.head_shapes import HeadShape, Region, choose_heads, describe_regions
from sperm_tf.fields.pixels import FieldPixels, ReducedPixels
from sperm_tf.fields.regions import grow, open_by_disk, part_by_watershed
from sperm_tf.fields.stain import (
    LOCAL,
    RGB,
    FieldPart,
    Stain,
    background_reach_px,
    measure_sample_distances,
    measure_stain,
)
from sperm_tf.fields.tiles import GRID_PX, TILE_PX, list_cores

WORK_HEAD_PX = 45.0
"""Length of a head in the picture that is worked on: that of 4.1 um at the classifier's 0.1 um a pixel, or so."""

_ONE_HEAD_SOLIDITY = 0.94  # of a region with a head's form that is not parted
_CLUMP_REACH = 5.0  # L around the core of a tile where regions are looked for: all that its heads may touch


@dataclasses.dataclass(frozen=True)
class ClassicalOptions:
    """Numbers of the classical finder; lengths in lengths of a median head, L.

    Attributes:
        channel: of `sperm_tf.fields.stain.CHANNELS`.
        background: of `sperm_tf.fields.stain.BACKGROUNDS`.
        smoothing: deviation of the Gaussian against noise.
        threshold_share: by which Otsu's threshold is multiplied for the cores of heads.
        outline_share: the same for their first outline.
        opening: radius of the disk; tails and slender midpieces are thinner.
        reach: how far a core grows to its first outline.
        neck_smoothing: deviation of the Gaussian on the distance to the outline.
        neck_depths: how much narrower than both heads a neck is; the first that parts a region counts.
        shape: which regions are heads.
        edge: where the outline of a head lies on its edge.
    """

    channel: str = RGB
    background: str = LOCAL
    smoothing: float = 0.023
    threshold_share: float = 1.0
    outline_share: float = 0.6
    opening: float = 0.18
    reach: float = 0.15
    neck_smoothing: float = 0.03
    neck_depths: tuple[float, ...] = (0.06, 0.03, 0.01)
    shape: HeadShape = dataclasses.field(default_factory=HeadShape)
    edge: EdgeOptions = dataclasses.field(default_factory=EdgeOptions)


class ClassicalFinder:
    """Finds heads without a network.

    Args:
        options: its numbers; None for those that are shipped.
    """

    def __init__(self, options: ClassicalOptions | None = None):
        self._options = options or ClassicalOptions()

    def find(self, pixels: np.ndarray, *, head_length_px: float) -> FoundField:
        """Finds heads.

        Args:
            pixels: uint8 [H, W, 3], RGB, 0-255.
            head_length_px: median length of a head, in pixels of the field.

        Raises:
            ValueError: the pixels have another shape, or the length is not positive.
        """
        return self.prepare(pixels, head_length_px=head_length_px)(self._options.shape)

    def prepare(self, pixels: np.ndarray, *, head_length_px: float) -> Callable[[HeadShape], FoundField]:
        """Finds regions of stain, and returns what chooses the heads among them, by one rule or several.

        Args:
            pixels: uint8 [H, W, 3], RGB, 0-255.
            head_length_px: as for `find`.

        Raises:
            ValueError: as for `find`.
        """
        from skimage import filters

        if pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"pixels must be [H, W, 3]. Received: shape={list(pixels.shape)}. Pass one RGB field.")
        check_length(head_length_px)
        work, scale = shrink(pixels, head_length_px)
        head_px = head_length_px * scale
        stain = self.measure_stain(work, head_px)
        labels, parted = self.segment(stain, head_px, filters.threshold_otsu(stain.amount))
        regions = describe_regions(labels, stain, head_px, parted)
        background = np.median(stain.background[::GRID_PX, ::GRID_PX], axis=(0, 1))
        coverage = float(np.mean(labels > 0))

        def choose(shape: HeadShape) -> FoundField:
            heads = []
            for region in choose_heads(regions, shape):
                level, origin = refine_outline(region, labels, stain, head_px=head_px, options=self._options.edge)
                heads.append(enlarge(level, origin, region, pixels.shape[:2], work.shape[:2]))
            return FoundField(
                tuple(sorted(heads, key=lambda head: (head.head_y0, head.head_x0))),
                float(head_length_px),
                (float(background[0]), float(background[1]), float(background[2])),
                coverage,
            )

        return choose

    def find_in_tiles(self, image: FieldPixels, *, head_length_px: float, tile_px: int = TILE_PX) -> FoundField:
        """Finds the heads of a field of any size, in memory that grows with their number alone.

        Thresholds and the colour of the field's heads are those of the whole field (of a part of it, where it has more
        than 25 squares of 1,024 pixels: see `classical_levels`), so heads are the same whatever the tiles.

        Args:
            image: the field.
            head_length_px: as for `find`.
            tile_px: side of the cores of tiles, in pixels at `WORK_HEAD_PX`; a multiple of 8.

        Raises:
            ValueError: the length is not positive, `tile_px` is no such number, or the background is not local.
        """
        from sperm_tf.fields.classical_levels import measure_levels, measure_tile

        check_length(head_length_px)
        if self._options.background != LOCAL:
            raise ValueError(
                f"background must be {LOCAL} for a field in tiles. Received: background={self._options.background!r}."
            )
        scale = min(1.0, WORK_HEAD_PX / head_length_px)
        size = work_size(image.shape, scale)
        work = image if scale == 1 else ReducedPixels(image, size)
        head_px, shape = head_length_px * scale, self._options.shape
        levels = measure_levels(self, work, head_px)
        regions: list[Region] = []
        outlines: dict[int, tuple[np.ndarray, tuple[int, int]]] = {}
        num_stained = 0
        for core in list_cores(size, tile_px):
            tile = core.grow(math.ceil(_CLUMP_REACH * head_px), size)
            stain = measure_tile(self, work, head_px, tile, levels.empty_otsu)
            labels, parted = self.segment(stain, head_px, levels.stain_otsu)
            num_stained += int(np.count_nonzero(labels[core.inside(tile)]))
            for region in describe_regions(labels, stain, head_px, parted):
                placed = region.move(tile.y0, tile.x0)
                if core.owns(*placed.box) and placed.may_be_head(shape):
                    level, (top, left) = refine_outline(
                        region, labels, stain, head_px=head_px, options=self._options.edge
                    )
                    outlines[id(placed)] = level, (top + tile.y0, left + tile.x0)
                    regions.append(placed)
        heads = [enlarge(*outlines[id(region)], region, image.shape, size) for region in choose_heads(regions, shape)]
        return FoundField(
            tuple(sorted(heads, key=lambda head: (head.head_y0, head.head_x0))),
            float(head_length_px),
            levels.background,
            num_stained / (size[0] * size[1]),
        )

    def reach_px(self, head_px: float) -> int:
        """How far from a pixel those lie on which its stain depends."""
        return background_reach_px(smoothing_px=self._options.smoothing * head_px, head_px=head_px)

    def measure_distances(self, work: np.ndarray, head_px: float) -> np.ndarray:
        """As `sperm_tf.fields.stain.measure_sample_distances`, of a field as it is worked on."""
        return measure_sample_distances(work, smoothing_px=self._options.smoothing * head_px, head_px=head_px)

    def measure_stain(self, work: np.ndarray, head_px: float, part: FieldPart | None = None) -> Stain:
        """The stain of a field as it is worked on.

        Args:
            work: uint8 [H, W, 3].
            head_px: L in its pixels.
            part: which part of the field it is; None where it is all of it.
        """
        return measure_stain(
            work,
            smoothing_px=self._options.smoothing * head_px,
            head_px=head_px,
            channel=self._options.channel,
            background=self._options.background,
            part=part,
        )

    def segment(self, stain: Stain, head_px: float, otsu: float) -> tuple[np.ndarray, frozenset[int]]:
        """Regions that may be heads.

        Args:
            stain: of the field.
            head_px: L in its pixels.
            otsu: Otsu's threshold on the amounts of stain of the field.

        Returns:
            Labels, int [H, W], 0 outside; and the labels of regions that were parted from others.
        """
        from scipy import ndimage
        from skimage import measure

        options = self._options
        is_core = ndimage.binary_fill_holes(stain.amount > options.threshold_share * otsu)
        cores = measure.label(open_by_disk(is_core, options.opening * head_px))
        cores, parted = self._part(cores, stain, head_px)
        outline = open_by_disk(stain.amount > options.outline_share * otsu, options.opening * head_px)
        return grow(cores, outline, options.reach * head_px), parted

    def _part(self, cores: np.ndarray, stain: Stain, head_px: float) -> tuple[np.ndarray, frozenset[int]]:
        """Parts every region that is not formed as one head, where it has a neck."""
        options = self._options
        labels, parted = cores.copy(), set[int]()
        highest = int(cores.max())
        for region in describe_regions(cores, stain, head_px, frozenset()):
            if region.has_form(options.shape) and region.solidity >= _ONE_HEAD_SOLIDITY:
                continue
            parts = part_by_watershed(
                region.mask,
                smoothing_px=options.neck_smoothing * head_px,
                depths_px=[depth * head_px for depth in options.neck_depths],
            )
            if parts.max() > 1:
                y0, x0, y1, x1 = region.box
                labels[y0:y1, x0:x1][region.mask] = parts[region.mask] + highest
                parted.update(range(highest + 1, highest + 1 + int(parts.max())))
                highest += int(parts.max())
        return labels, frozenset(parted)


def shrink(pixels: np.ndarray, head_length_px: float) -> tuple[np.ndarray, float]:
    """The field at the size it is worked on; smaller ones stay as they are.

    Args:
        pixels: uint8 [H, W, 3].
        head_length_px: L in its pixels.

    Returns:
        uint8 [h, w, 3], and by what lengths were multiplied.
    """
    from PIL import Image

    scale = WORK_HEAD_PX / head_length_px
    if scale >= 1:
        return pixels, 1.0
    height, width = work_size(pixels.shape[:2], scale)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX)), scale


def work_size(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width of a field at the size it is worked on."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def check_length(head_length_px: float) -> None:
    """Refuses a length of heads that is none.

    Raises:
        ValueError: it is not above 0.
    """
    if not head_length_px > 0:
        raise ValueError(f"head_length_px must be above 0. Received: head_length_px={head_length_px!r}.")


def enlarge(
    level: np.ndarray, origin: tuple[int, int], region: Region, field: tuple[int, int], work: tuple[int, int]
) -> FoundHead:
    """A head in pixels of the field.

    Args:
        level: float32 [h, w], above 0 on the head, in a window of the field as it was worked on.
        origin: first row and column of that window.
        region: the head's.
        field: height and width of the field.
        work: height and width of what was worked on.
    """
    from PIL import Image
    from skimage import measure

    y_scale, x_scale = field[0] / work[0], field[1] / work[1]
    (top, left), (height, width) = origin, level.shape
    y0, y1 = round(top * y_scale), min(field[0], round((top + height) * y_scale))
    x0, x1 = round(left * x_scale), min(field[1], round((left + width) * x_scale))
    part = np.array([x0 / x_scale - left, y0 / y_scale - top, x1 / x_scale - left, y1 / y_scale - top])
    part = np.clip(part, 0, (width, height, width, height))
    soft = Image.fromarray(level).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=tuple(part))
    head = measure.regionprops((np.asarray(soft) > 0).astype(np.uint8))[0]
    head_y0, head_x0, head_y1, head_x1 = (int(side) for side in np.add(head.bbox, (y0, x0, y0, x0)))
    is_cut = region.is_cut or head_y0 == 0 or head_x0 == 0 or head_y1 == field[0] or head_x1 == field[1]
    flags = [flag for flag, holds in ((CUT_BY_BORDER, is_cut), (TOUCHING, region.is_parted)) if holds]
    return FoundHead(
        head_x0,
        head_y0,
        head_x1,
        head_y1,
        head.image,
        head.axis_major_length,
        head.axis_minor_length,
        tuple(flags),
    )
