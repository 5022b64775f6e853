"""TIFF files, OME-TIFF and ImageJ TIFF among them, as planes; `tifffile` parses the structure, imagecodecs decodes."""

from __future__ import annotations

import contextlib
import io
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sperm_tf.microscopy import ome, tiff_values
from sperm_tf.microscopy.errors import MicroscopyError, load_package
from sperm_tf.microscopy.orientation import Orientation, from_tag
from sperm_tf.microscopy.source import Source
from sperm_tf.microscopy.tiff_chain import check_page_chain
from sperm_tf.microscopy.tiff_page import PageDecoder
from sperm_tf.microscopy.tiff_planes import PlaneEntry, list_series

_ORIENTATION = 274
_ASSOCIATED = ("label", "macro", "overview", "thumbnail")
"""Names of the small pictures that slide scanners add; they show the slide, not the specimen."""


class TiffImageFile:
    """A TIFF file as an `ImageFile`.

    Args:
        source: path, or the bytes of a file.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call it.

    Raises:
        MicroscopyError: the file is damaged, a part of one, or of a kind that is not supported.
        ImportError: tifffile or imagecodecs is not installed.
    """

    def __init__(self, source: Source, *, bits: int | None, name: str):
        tifffile = load_package("tifffile", name)
        load_package("imagecodecs", name)
        self._bits, self._name = bits, name
        path = None if isinstance(source, bytes) else pathlib.Path(source)  # tifffile finds its neighbours
        with _quiet():
            self._tif = tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else path)
            try:
                check_page_chain(self._tif, name)
                self._entries = self._list(path)
            except BaseException:
                self._tif.close()
                raise
        self.format = "OME-TIFF" if self._tif.is_ome else "ImageJ TIFF" if self._tif.is_imagej else "TIFF"
        self.planes = [entry.name for entry in self._entries]

    def open_plane(self, index: int) -> TiffPlane:
        """The plane at a place of `planes`."""
        with _quiet():
            return TiffPlane(self._tif, self._entries[index], bits=self._bits, name=self._name)

    def close(self) -> None:
        """Closes the file and its neighbours."""
        self._tif.close()

    def _list(self, path: pathlib.Path | None) -> list[PlaneEntry]:
        images: list[ome.OMEImage] = []
        if self._tif.is_ome:
            images = ome.parse(self._tif.ome_metadata, file=self._name)
            ome.check_files(images, path, file=self._name)
            self._check_neighbours(images, path)
        listed = list(self._tif.series)
        if images and len(images) != len(listed):
            raise MicroscopyError(
                f"{self._name} must hold all of its {len(images)} images. Received: {len(listed)}. Export it anew"
            )
        pairs = list(zip(listed, images, strict=True)) if images else [(series, None) for series in listed]
        pairs = [pair for pair in self._with_lost_levels(pairs) if not _is_associated(*pair)]
        if not pairs:
            raise MicroscopyError(f"{self._name} must hold an image. Received: a TIFF without one. Export it anew")
        entries: list[PlaneEntry] = []
        for number, (series, image) in enumerate(pairs):
            prefix = [("image", number)] if len(pairs) > 1 else []
            entries += list_series(series, image, prefix, labels=self._labels(), name=self._name)
        return entries

    def _check_neighbours(self, images: list[ome.OMEImage], path: pathlib.Path | None) -> None:
        """Looks at the pages of the other files of an OME-TIFF, which tifffile opens by itself."""
        tifffile = load_package("tifffile", self._name)
        for name in sorted({name for image in images for name in image.files}) if path else ():
            if path is not None and name != path.name and (path.parent / name).is_file():
                with tifffile.TiffFile(path.parent / name) as tif:
                    check_page_chain(tif, name)

    def _labels(self) -> list[str]:
        """ImageJ's names of the pages."""
        return list((self._tif.imagej_metadata or {}).get("Labels", [])) if self._tif.is_imagej else []

    def _with_lost_levels(self, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """Takes pages apart that tifffile joins to a pyramid because one has half the size of another.

        In a file that names no kind, only a page that is marked as reduced, or hangs below another, is a level.
        """
        found = []
        for series, image in pairs:
            found.append((series, image))
            if series.kind in ("generic", "uniform"):
                found += [
                    (level, None)
                    for level in series.levels[1:]
                    if not (level.keyframe.is_reduced or level.keyframe.is_subifd)
                ]
        return found


class TiffPlane:
    """A plane of a TIFF file.

    Args:
        tif: the open file, of tifffile.
        entry: what makes the plane.
        bits: significant bits of a sample; None for what the file says.
        name: what messages call the file.
    """

    def __init__(self, tif: Any, entry: PlaneEntry, *, bits: int | None, name: str):
        key = entry.series.keyframe
        self._components = entry.components
        self._decoders = {
            component.page: _open_page(entry.series, component.page, name) for component in entry.components
        }
        stored = next(iter(self._decoders.values())).shape
        self._orientation: Orientation = from_tag(int(key.tags.valueof(_ORIENTATION, 1)), file=name)
        self.shape = self._orientation.shape(stored)
        self._colours = tiff_values.palette(key, name)
        self.intensity = tiff_values.intensity(tif, key, entry.image, bits=bits, channel=entry.channel, name=name)
        self.pixel_size = tiff_values.pixel_size(tif, key, entry.image, file=name)

    def read(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The file's values in a region, [height, width, 1 or 3]."""
        region = self._orientation.stored_region(self.shape, y0, x0, height, width)
        pages = {page: decoder.read(*region) for page, decoder in self._decoders.items()}
        values = np.stack([pages[part.page][:, :, part.sample] for part in self._components], axis=2)
        if values.dtype == bool:
            values = values.astype(np.uint8)
        if self._colours is not None:
            values = self._colours[values[:, :, 0]]
        return self._orientation.apply(values)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what tifffile logs when it makes something up: here that is an error."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _is_associated(series: Any, image: ome.OMEImage | None) -> bool:
    """Whether a series is no image of the specimen: a thumbnail, a label, a reduced copy, a mask."""
    name = (image.name if image else series.name).casefold()
    return any(word in name.split() for word in _ASSOCIATED) or series.keyframe.is_reduced or series.keyframe.is_mask


def _open_page(series: Any, index: int, name: str) -> PageDecoder:
    """The decoder of a page of a series; ImageJ stores stacks behind the first page alone."""
    if series.is_truncated:
        page = series.keyframe
        return PageDecoder(page, name=name, shift=index * page.nbytes)
    page = series[index]
    if page is None:
        raise MicroscopyError(
            f"{name} must hold all of its pages. Received: page {index} is missing. Copy all files of the image"
        )
    return PageDecoder(page, name=name)
