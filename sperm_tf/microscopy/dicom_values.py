"""What a DICOM file says about its values: window, bits, pixel size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sperm_tf.microscopy.dicom_frames import PALETTE
from sperm_tf.microscopy.errors import MicroscopyError
from sperm_tf.microscopy.intensity import MAX_BITS, IntensityMapping, from_bits, from_range
from sperm_tf.microscopy.pixel_size import UNITS_UM, PixelSize, from_sides

_LINEAR, _LINEAR_EXACT = "LINEAR", "LINEAR_EXACT"
_INVERTED = "MONOCHROME1"


def intensity(dataset: Any, frame: int, *, bits: int | None, name: str) -> IntensityMapping:
    """Which values become 0-255: `bits`, the window of a grey image, or the bits stored.

    PS3.3, section C.11.2.1.2: LINEAR maps from c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2, LINEAR_EXACT from
    c - w / 2 to c + w / 2, both in units after RescaleSlope and RescaleIntercept.

    Args:
        dataset: of pydicom.
        frame: place of a frame of the plane.
        bits: significant bits as the caller knows them.
        name: of the file.

    Raises:
        MicroscopyError: the range is not known, or its kind is not supported.
    """
    if dataset.PhotometricInterpretation == PALETTE:
        return from_bits(int(dataset.RedPaletteColorLookupTableDescriptor[2]), "palette")
    inverted = dataset.PhotometricInterpretation == _INVERTED
    if bits is not None:
        return from_bits(bits, "significant bits as given", inverted=inverted)
    if int(dataset.get("SamplesPerPixel", 1)) == 1:
        for values in _values_of(dataset, frame, "FrameVOILUTSequence"):
            if "WindowCenter" in values:
                return _window(values, _rescaling(dataset, frame), inverted, name)
            if "VOILUTSequence" in values:
                raise MicroscopyError(
                    f"intensities of {name} must be mapped by a window. Received: a VOILUTSequence. Export it with a "
                    "window, or pass bits"
                )
    stored = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if stored > MAX_BITS:
        raise MicroscopyError(
            f"the range of intensities of {name} must be known. Received: {stored} bits without a window. Export it "
            "with 8 or 16 bits"
        )
    if int(dataset.get("PixelRepresentation", 0)) == 1:
        half = 2 ** (stored - 1)
        return from_range(-half, half - 1, "DICOM BitsStored, signed", inverted=inverted)
    return from_bits(stored, "DICOM BitsStored", inverted=inverted, assumed=stored == MAX_BITS)


def pixel_size(dataset: Any, frame: int, *, file: str) -> PixelSize:
    """Side of a pixel by PixelSpacing, which is in mm, row spacing first; else by the width of the slide.

    Args:
        dataset: of pydicom.
        frame: place of a frame of the plane.
        file: name of the file.
    """
    for values in _values_of(dataset, frame, "PixelMeasuresSequence"):
        if values.get("PixelSpacing"):
            down, across = (float(side) * UNITS_UM["mm"] for side in values.PixelSpacing)
            return from_sides(across, down, "DICOM PixelSpacing", file=file)
    size = [dataset.get(f"ImagedVolume{side}") for side in ("Width", "Height")]
    count = [dataset.get(f"TotalPixelMatrix{side}") for side in ("Columns", "Rows")]
    if all(size) and all(count):
        across, down = (
            float(length) * UNITS_UM["mm"] / int(number) for length, number in zip(size, count, strict=True)
        )
        return from_sides(across, down, "DICOM ImagedVolumeWidth", file=file)
    return PixelSize()


def _values_of(dataset: Any, frame: int, sequence: str) -> Iterator[Any]:
    """Where an attribute may stand: the groups of the frame, those of all frames, the file itself."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    groups = [per_frame[frame]] if frame < len(per_frame) else []
    groups += list(dataset.get("SharedFunctionalGroupsSequence") or ())
    for group in groups:
        if group.get(sequence):
            yield group.get(sequence)[0]
    yield dataset


def _rescaling(dataset: Any, frame: int) -> tuple[float, float]:
    for values in _values_of(dataset, frame, "PixelValueTransformationSequence"):
        if "RescaleSlope" in values:
            return float(values.RescaleSlope), float(values.get("RescaleIntercept", 0))
    return 1.0, 0.0


def _window(values: Any, rescaling: tuple[float, float], inverted: bool, name: str) -> IntensityMapping:
    centre, width = (float(_first(values[tag].value)) for tag in ("WindowCenter", "WindowWidth"))
    function = str(values.get("VOILUTFunction") or _LINEAR)
    if function == _LINEAR:
        centre, width = centre - 0.5, width - 1
    elif function != _LINEAR_EXACT:
        raise MicroscopyError(
            f"the window of {name} must be linear. Received: VOILUTFunction {function}. Export it anew, or pass bits"
        )
    slope, intercept = rescaling
    low, high = ((edge - intercept) / slope for edge in (centre - width / 2, centre + width / 2))
    return from_range(low, high, "DICOM window", inverted=inverted)


def _first(value: Any) -> Any:
    """The first of several windows."""
    return value[0] if isinstance(value, list | tuple) or hasattr(value, "__iter__") else value
