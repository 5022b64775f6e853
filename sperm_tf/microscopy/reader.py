"""Images of microscopes: read whole, or by regions in flat memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

import numpy as np

from sperm_tf.data.decode import MAX_PIXELS, MIN_SIDE, UndecodableImageError
from sperm_tf.microscopy import formats, planes
from sperm_tf.microscopy.errors import MicroscopyError
from sperm_tf.microscopy.image import MicroscopyImage, Plane
from sperm_tf.microscopy.intensity import check_uses_range
from sperm_tf.microscopy.source import Source, name_of

_SAMPLED_SQUARES, _SAMPLED_SIDE = 8, 128
"""Where the use of an assumed range is looked at: so many squares a side, of so many pixels a side."""


class ImageReader:
    """An open plane of a microscope file, made by `open_image`.

    Attributes:
        shape: height and width in pixels.
        pixel_size_um: side of a pixel in the specimen, in µm; None where the file does not say.
        pixel_size_source: the tag that says it, or why there is none.
        intensity_mapping: which range of the file becomes 0-255.
        format: as in `MicroscopyImage`.
        plane: name of the plane.
    """

    def __init__(self, source: Source, *, plane: int | str | None = None, bits: int | None = None, name: str = ""):
        self._name = name_of(source, name)
        self._closing = contextlib.ExitStack()
        try:
            with _named_errors(self._name):
                file = self._closing.enter_context(formats.opened(source, bits=bits, name=self._name))
                index = planes.choose(file.planes, plane, file=self._name)
                self._plane = file.open_plane(index)
                _check_size(self._plane, self._name)
                _check_range(self._plane, self._name)
        except BaseException:
            self._closing.close()
            raise
        self.shape = self._plane.shape
        self.pixel_size_um = self._plane.pixel_size.um
        self.pixel_size_source = self._plane.pixel_size.source
        self.intensity_mapping = self._plane.intensity.description
        self.format = file.format
        self.plane = file.planes[index]

    def read_region(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """Decodes a region.

        Args:
            y0: first row.
            x0: first column.
            height: rows.
            width: columns.

        Returns:
            uint8 [height, width, 3], RGB, 0-255.

        Raises:
            ValueError: the region does not lie inside of the image, or has more than 25 million pixels.
            MissingTilesError: a slide has no tiles there.
            MicroscopyError: the file is damaged there.
        """
        if not (0 <= y0 < y0 + height <= self.shape[0] and 0 <= x0 < x0 + width <= self.shape[1]):
            raise ValueError(
                f"the region must lie inside of the image, {self.shape[0]} rows and {self.shape[1]} columns. Received: "
                f"y0={y0}, x0={x0}, height={height}, width={width}. Cut it off at the border"
            )
        if height * width > MAX_PIXELS:
            raise MicroscopyError(
                f"a region of {self._name} must have at most {MAX_PIXELS} pixels. Received: {width}x{height}. Read it "
                "by parts, with open_image and read_region"
            )
        with _named_errors(self._name):
            levels = self._plane.intensity.apply(self._plane.read(y0, x0, height, width))
        return np.ascontiguousarray(np.broadcast_to(levels, (height, width, 3)))

    def close(self) -> None:
        """Closes the file."""
        self._closing.close()

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_image(
    source: Source, *, plane: int | str | None = None, bits: int | None = None, name: str = ""
) -> ImageReader:
    """Opens an image for reading by regions; arguments and errors are those of `read_image`.

    TIFF, DICOM and CZI decode what a region needs and no more, so that memory does not grow with the image; pictures
    and frames of ND2 are decoded whole.

    Returns:
        The reader; close it, or use it in a `with` statement.
    """
    return ImageReader(source, plane=plane, bits=bits, name=name)


def read_image(
    source: Source, *, plane: int | str | None = None, bits: int | None = None, name: str = ""
) -> MicroscopyImage:
    """Reads an image of a microscope, whole.

    The content tells the format: TIFF, OME-TIFF, ImageJ TIFF, DICOM, CZI and ND2; anything else goes to
    `sperm_tf.data.decode.decode_rgb`, which reads PNG, JPEG, BMP and GIF. A pyramid is one image, at its full
    resolution, and so are red, green and blue planes.

    Args:
        source: path, or the bytes of a file.
        plane: name of a plane as `list_planes` gives it, or its place there; needed where a file has several.
        bits: significant bits of a sample, for files that do not state their range; goes before what a file says.
        name: what messages call the file where `source` is bytes.

    Returns:
        The image, of at most 25 million pixels.

    Raises:
        PlaneChoiceError: the file has several planes and none was chosen, or there is no such plane.
        MicroscopyError: the file cannot be read without guessing: damaged, too large, of a kind that is not supported,
            or of an unknown range of intensities.
        UndecodableImageError: a picture that the project's decoder refuses; the class above both errors before.
        ImportError: the package that reads the format is not installed.
        OSError: the path cannot be opened.
    """
    with open_image(source, plane=plane, bits=bits, name=name) as reader:
        return MicroscopyImage(
            pixels=reader.read_region(0, 0, *reader.shape),
            pixel_size_um=reader.pixel_size_um,
            pixel_size_source=reader.pixel_size_source,
            intensity_mapping=reader.intensity_mapping,
            format=reader.format,
            plane=reader.plane,
        )


def list_planes(source: Source, *, name: str = "") -> list[str]:
    """Names of the planes of a file: pages, focal planes, times, positions and channels, each an image of its own.

    Args:
        source: path, or the bytes of a file.
        name: what messages call the file where `source` is bytes.

    Returns:
        One name for a file of one image. Three channels that are not named red, green and blue can be read as these
        colours, too: that choice ends in `C=RGB` and stands behind the others.

    Raises:
        UndecodableImageError: the file cannot be read.
        ImportError: the package that reads the format is not installed.
        OSError: the path cannot be opened.
    """
    file_name = name_of(source, name)
    with _named_errors(file_name), formats.opened(source, bits=None, name=file_name) as file:
        return list(file.planes)


@contextlib.contextmanager
def _named_errors(file: str) -> Iterator[None]:
    """Turns the dozens of types that the libraries raise on damaged files into one that names the file."""
    try:
        yield
    except MicroscopyError as error:
        if file in str(error):
            raise
        raise type(error)(f"{file}: {error}") from error
    except (UndecodableImageError, ImportError):
        raise
    except MemoryError as error:
        raise MicroscopyError(
            f"{file} must fit into memory. Received: one whose decoder asks for more than there is. Where others of "
            "its size are read it is damaged: copy it again"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the content
        raise MicroscopyError(
            f"{file} must be a complete image file. Received: one that cannot be decoded ({type(error).__name__}: "
            f"{error}). Copy it again, or export it as an uncompressed TIFF"
        ) from error


def _check_size(plane: Plane, file: str) -> None:
    height, width = plane.shape
    if min(height, width) < MIN_SIDE:
        raise MicroscopyError(
            f"{file} must have at least {MIN_SIDE} pixels a side. Received: {width}x{height}. Choose another plane, or "
            "remove the file"
        )


def _check_range(plane: Plane, file: str) -> None:
    """Looks at squares all over the image where its range had to be assumed."""
    if not plane.intensity.assumed:
        return
    height, width = plane.shape
    rows, columns = (min(side, _SAMPLED_SIDE) for side in plane.shape)
    levels = [
        plane.intensity.apply(plane.read(int(y0), int(x0), rows, columns))
        for y0 in np.unique(np.linspace(0, height - rows, _SAMPLED_SQUARES).astype(int))
        for x0 in np.unique(np.linspace(0, width - columns, _SAMPLED_SQUARES).astype(int))
    ]
    inverted = plane.intensity.inverted
    check_uses_range(np.stack([255 - part if inverted else part for part in levels]), file=file)
