"""What a TIFF page says about its values: colours, range, pixel size."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from sperm_tf.microscopy import ome
from sperm_tf.microscopy.errors import MicroscopyError
from sperm_tf.microscopy.intensity import BYTE_BITS, MAX_BITS, IntensityMapping, from_bits, from_range
from sperm_tf.microscopy.pixel_size import NOT_STATED, UNITS_UM, PixelSize, from_sides, unit_um

MAX_SAMPLES = 1_024
"""Of a pixel; a damaged file may state thousands of millions."""
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
_PHOTOMETRICS = (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR)
_JPEG = (7, 33007, 34892)
_ALPHA = (1, 2)
_MAX_SAMPLE, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _COLOUR_MAP = 281, 282, 283, 296, 320
_S_MIN, _S_MAX = 340, 341
_RESOLUTION_UM = {2: UNITS_UM["inch"], 3: UNITS_UM["cm"]}
_CAMERA_MAXIMA = {2**bits - 1: bits for bits in range(BYTE_BITS + 1, MAX_BITS)}
_APERIO = re.compile(r"\bMPP = ([0-9.]+)")


def is_colour(page: Any) -> bool:
    """Whether the samples of a page are red, green and blue."""
    return int(page.photometric) in (RGB, YCBCR)


def colour_samples(page: Any, name: str) -> tuple[int, ...]:
    """The samples of a pixel that show the specimen: without alpha.

    Args:
        page: of tifffile.
        name: of the file.

    Raises:
        MicroscopyError: the page has colours that are not supported.
    """
    photometric = int(page.photometric)
    if photometric not in _PHOTOMETRICS or (photometric == YCBCR and int(page.compression) not in _JPEG):
        raise MicroscopyError(
            f"colours of {name} must be grey, RGB, a palette, or YCbCr within JPEG. Received: TIFF "
            f"PhotometricInterpretation {photometric}, compression {int(page.compression)}. Export it as RGB"
        )
    if int(page.samplesperpixel) > MAX_SAMPLES:
        raise MicroscopyError(
            f"a pixel of {name} must have at most {MAX_SAMPLES} samples. Received: {int(page.samplesperpixel)}. Copy "
            "the file again, or export it anew"
        )
    extra = [int(kind) for kind in page.extrasamples]
    num_samples = int(page.samplesperpixel)
    if is_colour(page):
        if num_samples < 3:
            raise MicroscopyError(f"RGB pixels of {name} must have 3 samples. Received: {num_samples}. Export it anew")
        return 0, 1, 2
    first_extra = num_samples - len(extra)
    kept = [at for at in range(num_samples) if at < first_extra or extra[at - first_extra] not in _ALPHA]
    return tuple(kept) or (0,)


def palette(page: Any, name: str) -> np.ndarray | None:
    """The colours of a palette, uint16 [2^bits, 3], 0-65,535; None without one.

    Some writers store 8 bits in the 16 of the tag: libtiff and this function tell it from the absence of larger values.

    Raises:
        MicroscopyError: the palette is missing.
    """
    if int(page.photometric) != PALETTE:
        return None
    colours = page.colormap
    if colours is None or colours.shape != (3, 2 ** int(page.bitspersample)):
        raise MicroscopyError(f"{name} must hold its palette. Received: a page without a full ColorMap. Export it anew")
    colours = np.asarray(colours, np.uint16).T
    return colours * 257 if colours.max() <= 255 else colours


def intensity(
    tif: Any, page: Any, image: ome.OMEImage | None, *, bits: int | None, channel: int | None, name: str
) -> IntensityMapping:
    """Which values of a page become 0-255.

    In this order: a palette's 16 bits; `bits`; significant bits of OME-XML; the display range of ImageJ; a
    MaxSampleValue of 1023, 4095 or the like; bits per sample. Integers of 32 bits and floats need a display range, or
    the tags SMinSampleValue and SMaxSampleValue.

    Args:
        tif: the open file, of tifffile.
        page: of tifffile.
        image: what OME-XML says; None without it.
        bits: significant bits as the caller knows them.
        channel: place of the channel; None where the plane has all of them.
        name: of the file.

    Raises:
        MicroscopyError: the range is not known.
    """
    inverted = int(page.photometric) == MIN_IS_WHITE
    if int(page.photometric) == PALETTE:
        return from_bits(MAX_BITS, "palette of 16 bits")
    stored = int(np.max(page.bitspersample))
    is_integer = page.dtype is not None and page.dtype.kind in "ub" and stored <= MAX_BITS
    if is_integer and stored <= BYTE_BITS:
        return from_bits(stored, f"{stored} bits a sample", inverted=inverted)
    if is_integer and bits is not None:
        return from_bits(bits, "significant bits as given", inverted=inverted)
    if is_integer and image is not None and image.significant_bits and image.significant_bits < stored:
        return from_bits(image.significant_bits, "OME SignificantBits", inverted=inverted)
    stated = _imagej_range(tif, channel) if image is None else None
    if stated is not None:
        return from_range(*stated, "ImageJ display range", inverted=inverted)
    if is_integer:
        camera = _CAMERA_MAXIMA.get(int(np.max(page.tags.valueof(_MAX_SAMPLE, 0))))
        if camera and camera < stored:
            return from_bits(camera, "TIFF MaxSampleValue", inverted=inverted)
        return from_bits(stored, f"{stored} bits a sample", inverted=inverted, assumed=stored == MAX_BITS)
    low, high = page.tags.valueof(_S_MIN), page.tags.valueof(_S_MAX)
    if low is not None and high is not None:
        return from_range(float(np.min(low)), float(np.max(high)), "TIFF SMinSampleValue", inverted=inverted)
    raise MicroscopyError(
        f"the range of intensities of {name} must be known. Received: {page.dtype} samples without a display range. "
        "Export it with 8 or 16 bits"
    )


def pixel_size(tif: Any, page: Any, image: ome.OMEImage | None, *, file: str) -> PixelSize:
    """Side of a pixel by OME-XML, ImageJ's unit, Aperio's MPP or the TIFF resolution, the first that there is.

    ImageJ writes pixels per unit into the resolution and the unit into the description; `tifffile` takes the missing
    unit of the resolution for metres.

    Args:
        tif: the open file, of tifffile.
        page: of tifffile.
        image: what OME-XML says; None without it.
        file: name of the file.
    """
    if image is not None:
        return image.pixel_size
    across, down = _ratio(page, _X_RESOLUTION), _ratio(page, _Y_RESOLUTION)
    unit = str((tif.imagej_metadata or {}).get("unit", "")) if tif.is_imagej else ""
    if unit and across and down:
        length = unit_um(unit)
        if length is None:
            return PixelSize(None, f"ImageJ unit {unit!r} is no length: {NOT_STATED}")
        return from_sides(length / across, length / down, "ImageJ unit and TIFF XResolution", file=file)
    aperio = _APERIO.search(page.description or "") if tif.is_svs else None
    if aperio:
        return from_sides(float(aperio[1]), float(aperio[1]), "Aperio MPP", file=file)
    length = _RESOLUTION_UM.get(int(page.tags.valueof(_RESOLUTION_UNIT, 2)))
    if length is None or not (across and down):
        return PixelSize()
    return from_sides(length / across, length / down, "TIFF XResolution", file=file)


def _ratio(page: Any, tag: int) -> float:
    value = page.tags.valueof(tag)
    if not isinstance(value, tuple) or len(value) < 2 or not value[1]:
        return 0.0
    return float(value[0]) / float(value[1])


def _imagej_range(tif: Any, channel: int | None) -> tuple[float, float] | None:
    """The display range of ImageJ: that of a channel in a composite image, or the one of all."""
    if not tif.is_imagej:
        return None
    metadata = tif.imagej_metadata or {}
    ranges = metadata.get("Ranges") or ()
    if channel is not None and len(ranges) >= 2 * channel + 2:
        return float(ranges[2 * channel]), float(ranges[2 * channel + 1])
    if "min" in metadata and "max" in metadata:
        return float(metadata["min"]), float(metadata["max"])
    return None
