"""OME-XML: sizes, channels, significant bits and the files of an image.

Open Microscopy Environment, OME Model 2016-06, element Pixels.
"""

from __future__ import annotations

import dataclasses
import pathlib
from xml.etree import ElementTree

from sperm_tf.microscopy.errors import MicroscopyError
from sperm_tf.microscopy.pixel_size import NOT_STATED, PixelSize, from_sides, unit_um


@dataclasses.dataclass(frozen=True)
class OMEImage:
    """What OME-XML says about an image.

    Attributes:
        name: of the image; empty where it has none.
        channels: name of each channel, None where it has none.
        significant_bits: of a sample; None where it is not stated.
        pixel_size: side of a pixel.
        files: names of the files that hold its planes; empty where it is one.
    """

    name: str
    channels: tuple[str | None, ...]
    significant_bits: int | None
    pixel_size: PixelSize
    files: tuple[str, ...]


def parse(xml: str, *, file: str) -> list[OMEImage]:
    """The images of OME-XML, in their order.

    Args:
        xml: the text.
        file: name of the file it was found in.

    Raises:
        MicroscopyError: it is not valid XML, or lies in a companion file.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise MicroscopyError(
            f"OME-XML of {file} must be valid. Received: text that is not ({error}). Export it anew"
        ) from error
    for element in root:
        if _tag(element) == "BinaryOnly":
            raise MicroscopyError(
                f"{file} must hold its own OME-XML. Received: one whose metadata are in "
                f"{element.get('MetadataFile', 'another file')}. Export it as a single OME-TIFF"
            )
    return [
        _parse_image(element, pixels, file)
        for element in root
        if _tag(element) == "Image"
        for pixels in element
        if _tag(pixels) == "Pixels"
    ]


def check_files(images: list[OMEImage], path: pathlib.Path | None, *, file: str) -> None:
    """Refuses a part of an OME-TIFF whose other files are missing; `tifffile` fills them with zeros.

    Args:
        images: of `parse`.
        path: where the file lies; None for bytes, which have no neighbours.
        file: what messages call it.

    Raises:
        MicroscopyError: a file is missing; the message names it.
    """
    named = sorted({name for image in images for name in image.files})
    outside = [name for name in named if pathlib.PurePath(name).name != name or "\\" in name]
    if outside:
        raise MicroscopyError(
            f"files of {file} must lie beside it. Received: {', '.join(outside)} in its OME-XML. Export it anew"
        )
    if path is None:
        missing = named if len(named) > 1 else []
    else:
        missing = [name for name in named if not (path.parent / name).is_file()] if len(named) > 1 else []
    if missing:
        how = "the bytes of one file" if path is None else "a file without its neighbours"
        raise MicroscopyError(
            f"{file} is part of an OME-TIFF of {len(named)} files, which must be complete. Received: {how}; missing: "
            f"{', '.join(missing)}. Put all files into one folder and pass the path, or export a single OME-TIFF"
        )


def _parse_image(image: ElementTree.Element, pixels: ElementTree.Element, file: str) -> OMEImage:
    bits = pixels.get("SignificantBits")
    channels = [element for element in pixels if _tag(element) == "Channel"]
    files = [
        uuid.get("FileName", "")
        for data in pixels
        if _tag(data) == "TiffData"
        for uuid in data
        if _tag(uuid) == "UUID" and uuid.get("FileName")
    ]
    return OMEImage(
        name=image.get("Name") or "",
        channels=tuple(channel.get("Name") for channel in channels),
        significant_bits=int(bits) if bits else None,
        pixel_size=_parse_pixel_size(pixels, file),
        files=tuple(dict.fromkeys(files)),
    )


def _parse_pixel_size(pixels: ElementTree.Element, file: str) -> PixelSize:
    sides = []
    for axis in ("X", "Y"):
        size, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        factor = unit_um(unit)
        if size is None:
            return PixelSize()
        if factor is None:
            return PixelSize(None, f"OME PhysicalSize{axis} in {unit}, no length: {NOT_STATED}")
        sides.append(float(size) * factor)
    return from_sides(sides[0], sides[1], "OME PhysicalSizeX", file=file)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
