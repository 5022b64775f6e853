"""CZI files of Zeiss as planes; `pylibCZIrw` parses and decodes, in the order blue, green, red of the file."""

from __future__ import annotations

import contextlib
import itertools
import math
import pathlib
from typing import Any
from xml.etree import ElementTree

import numpy as np

from sperm_tf.microscopy import planes
from sperm_tf.microscopy.errors import MicroscopyError, MissingTilesError, load_package
from sperm_tf.microscopy.intensity import BYTE_BITS, IntensityMapping, from_bits
from sperm_tf.microscopy.pixel_size import UNITS_UM, PixelSize, from_sides

_AXES = "TZC"
_SCENE = "scene"
_PIXEL_TYPES = {"Gray8": 8, "Gray16": 16, "Bgr24": 8, "Bgr48": 16}
"""Kind of pixels -> bits of a sample."""
_Component = tuple[int | None, dict[str, int]]


class CziImageFile:
    """A CZI file as an `ImageFile`.

    Args:
        path: of the file.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call it.

    Raises:
        MicroscopyError: the file has axes or pixels that are not supported.
        ImportError: pylibCZIrw is not installed.
    """

    format = "CZI"

    def __init__(self, path: pathlib.Path, *, bits: int | None, name: str):
        czi = load_package("pylibCZIrw.czi", name)
        self._bits, self._name = bits, name
        self._closing = contextlib.ExitStack()
        self._document = self._closing.enter_context(czi.open_czi(str(path)))
        try:
            self._metadata = ElementTree.fromstring(self._document.raw_metadata or "<none/>")
            self._units = self._list()
        except BaseException:
            self._closing.close()
            raise
        self.planes = [planes.name_of(shown) for shown, _ in self._units]

    def open_plane(self, index: int) -> CziPlane:
        """The plane at a place of `planes`."""
        components = self._units[index][1]
        return CziPlane(self._document, self._metadata, components, bits=self._bits, name=self._name)

    def close(self) -> None:
        """Closes the file."""
        self._closing.close()

    def _list(self) -> list[tuple[planes.Labels, tuple[_Component, ...]]]:
        box = self._document.total_bounding_box_no_pyramid
        unknown = [axis for axis, (start, end) in box.items() if axis not in f"{_AXES}XYM" and end - start > 1]
        if unknown:
            raise MicroscopyError(
                f"axes of {self._name} must be scenes, times, focal planes and channels. Received: "
                f"{', '.join(unknown)} besides. Export it as OME-TIFF"
            )
        scenes: list[int | None] = list(self._document.scenes_bounding_rectangle_no_pyramid) or [None]
        axes = [axis for axis in _AXES if axis in box]
        num_places = math.prod(box[axis][1] - box[axis][0] for axis in axes)
        planes.check_number(len(scenes) * num_places, file=self._name)
        units: list[tuple[planes.Labels, tuple[_Component, ...]]] = []
        for scene in scenes:
            for place in itertools.product(*(range(*box[axis]) for axis in axes)):
                shown = [(_SCENE, scene)] if scene is not None and len(scenes) > 1 else []
                shown += [(axis, at) for axis, at in zip(axes, place, strict=True) if box[axis][1] - box[axis][0] > 1]
                units.append((tuple(shown), ((scene, dict(zip(axes, place, strict=True))),)))
        channels = [channel.get("Name") for channel in self._metadata.findall(".//Image/Dimensions/Channels/Channel")]
        return planes.join_colours(units, channels)


class CziPlane:
    """A plane of a CZI file.

    Args:
        document: of pylibCZIrw.
        metadata: its XML.
        components: scene and coordinates of the plane, or of its three colours.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call the file.
    """

    def __init__(
        self,
        document: Any,
        metadata: ElementTree.Element,
        components: tuple[_Component, ...],
        *,
        bits: int | None,
        name: str,
    ):
        self._document, self._components, self._name = document, components, name
        scene, coordinates = components[0]
        scenes = document.scenes_bounding_rectangle_no_pyramid
        self._box = document.total_bounding_rectangle_no_pyramid if scene is None else scenes[scene]
        self.shape = int(self._box.h), int(self._box.w)
        pixel_type = document.get_channel_pixel_type(coordinates.get(planes.CHANNEL, 0))
        if pixel_type not in _PIXEL_TYPES:
            raise MicroscopyError(
                f"pixels of {name} must be {', '.join(_PIXEL_TYPES)}. Received: {pixel_type}. Export it as OME-TIFF"
            )
        self.intensity = _intensity(metadata, _PIXEL_TYPES[pixel_type], bits)
        self.pixel_size = _pixel_size(metadata, name)

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The file's values in a region, [height, width, 1 or 3], RGB."""
        region = self._box.x + x0, self._box.y + y0, width, height
        parts = []
        for scene, coordinates in self._components:
            self._check_covered(region, coordinates)
            values = self._document.read(roi=region, plane=coordinates, scene=scene)
            parts.append(values[:, :, ::-1] if values.shape[2] == planes.NUM_COLOURS else values)
        return np.concatenate(parts, axis=2)

    def _check_covered(self, region: tuple[int, int, int, int], coordinates: dict[str, int]) -> None:
        """Refuses a region with gaps: pylibCZIrw paints them black."""
        x0, y0, width, height = region
        covered = np.zeros((height, width), bool)

        def cover(_: int, block: Any) -> bool:
            box = block.logicalRect
            covered[
                max(box.y - y0, 0) : max(box.y + box.h - y0, 0), max(box.x - x0, 0) : max(box.x + box.w - x0, 0)
            ] = True
            return True

        self._document.enumerate_subblocks_subset(cover, plane=coordinates, roi=region, only_layer0=True)
        if not covered.all():
            raise MissingTilesError(
                f"{self._name} must hold all tiles of the region. Received: none for {int((~covered).sum())} of its "
                "pixels. Read another region"
            )


def _intensity(metadata: ElementTree.Element, stored: int, bits: int | None) -> IntensityMapping:
    if stored == BYTE_BITS:
        return from_bits(stored, "8 bits a sample")
    if bits is not None:
        return from_bits(bits, "significant bits as given")
    stated = metadata.findtext(".//Image/ComponentBitCount") or metadata.findtext(".//Channel/ComponentBitCount")
    if stated and int(stated) < stored:
        return from_bits(int(stated), "CZI ComponentBitCount")
    return from_bits(stored, f"{stored} bits a sample", assumed=True)


def _pixel_size(metadata: ElementTree.Element, name: str) -> PixelSize:
    """Scaling is in metres; 0 where it is not known."""
    sides = [metadata.findtext(f".//Scaling/Items/Distance[@Id='{axis}']/Value") for axis in "XY"]
    if not all(sides):
        return PixelSize()
    across, down = (float(side or 0) * UNITS_UM["m"] for side in sides)
    return from_sides(across, down, "CZI Scaling", file=name)
