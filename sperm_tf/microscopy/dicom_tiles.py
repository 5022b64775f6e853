"""Which frames of a whole slide lie where.

DICOM PS3.3, section C.8.12.14 and C.7.6.17: TILED_FULL orders frames by optical path, focal plane, row and column, the
column fastest; TILED_SPARSE states row and column of each, counted from 1.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from sperm_tf.microscopy import planes
from sperm_tf.microscopy.errors import MicroscopyError

_FULL = "TILED_FULL"


@dataclasses.dataclass(frozen=True)
class TiledPlane:
    """A plane made of tiles.

    Attributes:
        name: of the plane.
        shape: height and width in pixels.
        tile: height and width of a tile.
        tiles: row and column of the first pixel, from 0 -> place of the frame.
    """

    name: str
    shape: tuple[int, int]
    tile: tuple[int, int]
    tiles: dict[tuple[int, int], int]

    def tiles_in(self, y0: int, x0: int, height: int, width: int) -> dict[tuple[int, int], int]:
        """The tiles that a region touches."""
        return {
            (top, left): frame
            for (top, left), frame in self.tiles.items()
            if top < y0 + height and left < x0 + width and top + self.tile[0] > y0 and left + self.tile[1] > x0
        }


def list_tiled_planes(dataset: Any, num_frames: int, *, name: str) -> list[TiledPlane]:
    """The planes of a whole slide: one for each optical path and focal plane.

    Args:
        dataset: of pydicom.
        num_frames: that the file holds.
        name: of the file.

    Raises:
        MicroscopyError: the frames do not fill the slide, or their places are not stated.
    """
    shape = int(dataset.TotalPixelMatrixRows), int(dataset.TotalPixelMatrixColumns)
    tile = int(dataset.Rows), int(dataset.Columns)
    if dataset.get("DimensionOrganizationType") == _FULL or (num_frames == 1 and shape == tile):
        found = _list_full(dataset, shape, tile, num_frames, name)
    else:
        found = _list_sparse(dataset, num_frames, name)
    paths = list(dict.fromkeys(path for path, _ in found))
    depths = list(dict.fromkeys(depth for _, depth in found))
    listed = []
    for (path, depth), tiles in found.items():
        parts = [("path", paths.index(path))] if len(paths) > 1 else []
        parts += [("Z", depths.index(depth))] if len(depths) > 1 else []
        listed.append(TiledPlane(planes.name_of(parts), shape, tile, tiles))
    return listed


def _list_full(
    dataset: Any, shape: tuple[int, int], tile: tuple[int, int], num_frames: int, name: str
) -> dict[tuple[Any, Any], dict[tuple[int, int], int]]:
    paths = int(dataset.get("NumberOfOpticalPaths") or len(dataset.get("OpticalPathSequence") or ()) or 1)
    depths = int(dataset.get("TotalPixelMatrixFocalPlanes") or 1)
    down, across = (math.ceil(shape[axis] / tile[axis]) for axis in (0, 1))
    if num_frames != paths * depths * down * across:
        raise MicroscopyError(
            f"{name} must hold all tiles of its slide: {paths} x {depths} x {down} x {across}. Received: {num_frames} "
            "frames. Export it anew"
        )
    return {
        (path, depth): {
            (row * tile[0], column * tile[1]): ((path * depths + depth) * down + row) * across + column
            for row in range(down)
            for column in range(across)
        }
        for path in range(paths)
        for depth in range(depths)
    }


def _list_sparse(dataset: Any, num_frames: int, name: str) -> dict[tuple[Any, Any], dict[tuple[int, int], int]]:
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if len(groups) != num_frames or any("PlanePositionSlideSequence" not in group for group in groups):
        raise MicroscopyError(
            f"{name} must state where each of its {num_frames} tiles lies. Received: {len(groups)} places. Export it "
            "anew"
        )
    found: dict[tuple[Any, Any], dict[tuple[int, int], int]] = {}
    for frame, group in enumerate(groups):
        place = group.PlanePositionSlideSequence[0]
        identified = group.get("OpticalPathIdentificationSequence")
        path = str(identified[0].OpticalPathIdentifier) if identified else ""
        depth = float(place.get("ZOffsetInSlideCoordinateSystem") or 0)
        corner = int(place.RowPositionInTotalImagePixelMatrix), int(place.ColumnPositionInTotalImagePixelMatrix)
        found.setdefault((path, depth), {})[corner[0] - 1, corner[1] - 1] = frame
    return found
