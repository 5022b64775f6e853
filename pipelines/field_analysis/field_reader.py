"""Reading a field of view: the one place that knows file formats."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Iterator

import numpy as np

from pipelines.bulk_inference.inputs import Crop
from pipelines.bulk_inference.reader import MAX_BYTES, CropReader, may_pass
from sperm_tf.data.array_preprocess import read_pixels, read_size
from sperm_tf.data.decode import MAX_PIXELS, MAX_SIDE, UndecodableImageError
from sperm_tf.fields.pixels import ArrayPixels, FieldPixels
from sperm_tf.fields.tiles import spread_squares
from sperm_tf.microscopy import is_microscope_format, open_image
from sperm_tf.microscopy.source import HEAD_LENGTH
from sperm_tf.served_names import OK, TOO_LARGE, UNDECODABLE, UNREADABLE

MAX_WHOLE_PIXELS = 10_000_000
"""Most pixels of a field that is decoded and worked on at once; a larger one is worked on in tiles."""
_VIEW_PX = 1280
"""Side of the squares that stand for a large field where its quality and scale are measured."""
_REMEDY = "Save it as a tiled TIFF, which is read by regions"


@dataclasses.dataclass(frozen=True, eq=False)
class FieldImage:
    """A field that was opened.

    Attributes:
        status: `ok`, or why it has no pixels: `unreadable` or one of `sperm_tf.served_names.STATUSES`.
        pixels: RGB, read by regions; None where the status is not ok.
        pixel_size_um: micrometres a pixel as the file states it; None where it does not.
        message: why a file has no pixels, where there is more to say than the status does; else empty.
        intensity_mapping: which range of a microscope's file became 0-255; else empty.
        sha256: digest of the file; empty where it is unreadable.
    """

    status: str
    pixels: FieldPixels | None
    pixel_size_um: float | None = None
    message: str = ""
    intensity_mapping: str = ""
    sha256: str = ""


@contextlib.contextmanager
def open_field(reader: CropReader, field: Crop) -> Iterator[FieldImage]:
    """Opens a field: PNG, JPEG, BMP or GIF, or what `sperm_tf.microscopy` reads.

    Of these the latter alone state a pixel size that can be trusted. They are read by regions where they have more
    than `MAX_WHOLE_PIXELS`: from the disk, or from the bytes of the file where it lies in an archive.

    Args:
        reader: of the input.
        field: its address.

    Raises:
        ImportError: the package that reads a microscope's format is not installed.
        OSError: as `CropReader.read`.
    """
    path = reader.locate(field)
    with contextlib.ExitStack() as closing:
        try:
            if path is not None and _is_microscope_file(path):
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                image = _open_microscope_file(path, digest, field.file, closing)
            else:
                image = _open_content(reader.read(field), field, closing)
        except OSError as error:
            if may_pass(error):
                raise
            image = FieldImage(UNREADABLE, None, message=str(error))
        yield image


def is_large(pixels: FieldPixels) -> bool:
    """Whether a field is worked on in tiles."""
    return math.prod(pixels.shape) > MAX_WHOLE_PIXELS


def list_views(pixels: FieldPixels) -> Iterator[np.ndarray]:
    """What a field is measured on: the whole of it, or squares that are spread over a large one.

    Yields:
        uint8 [H, W, 3], RGB.
    """
    if not is_large(pixels):
        yield pixels.read_region(0, 0, *pixels.shape)
        return
    for square in spread_squares(pixels.shape, _VIEW_PX):
        yield pixels.read_region(*square.region)


def _is_microscope_file(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        return is_microscope_format(file.read(HEAD_LENGTH))


def _open_microscope_file(
    source: pathlib.Path | bytes, digest: str, name: str, closing: contextlib.ExitStack
) -> FieldImage:
    try:
        image = closing.enter_context(open_image(source, name=name))
        pixels: FieldPixels = image
        if not is_large(image):
            pixels = ArrayPixels(image.read_region(0, 0, *image.shape))
    except UndecodableImageError as error:
        return FieldImage(UNDECODABLE, None, message=str(error), sha256=digest)
    return FieldImage(OK, pixels, image.pixel_size_um, "", image.intensity_mapping, digest)


def _open_content(content: bytes | None, field: Crop, closing: contextlib.ExitStack) -> FieldImage:
    if content is None:
        message = ""
        if field.size > MAX_BYTES:
            message = (
                f"{field.file} must have at most {MAX_BYTES:,} bytes, since it is read at once. Received: "
                f"{field.size:,} bytes. {_REMEDY} outside of archives"
            )
        return FieldImage(UNREADABLE, None, message=message)
    digest = hashlib.sha256(content).hexdigest()
    if is_microscope_format(content):
        return _open_microscope_file(content, digest, field.file, closing)
    status, pixels = read_pixels(content)
    message = ""
    if status == TOO_LARGE:
        height, width = read_size(content)
        message = (
            f"{field.file} must have at most {MAX_PIXELS:,} pixels, and {MAX_SIDE:,} a side, since a PNG, JPEG, BMP or "
            f"GIF is decoded at once. Received: {width}x{height}, {3 * width * height / 1e9:.2g} GB of memory. "
            f"{_REMEDY}"
        )
    return FieldImage(status, None if pixels is None else ArrayPixels(pixels), message=message, sha256=digest)
