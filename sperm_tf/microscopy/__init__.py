"""Reading of what microscopes write: TIFF, OME-TIFF, ImageJ TIFF, DICOM, CZI and ND2; PNG, JPEG, BMP and GIF, too."""

from sperm_tf.microscopy.errors import MicroscopyError, MissingTilesError, PlaneChoiceError
from sperm_tf.microscopy.image import MicroscopyImage
from sperm_tf.microscopy.reader import ImageReader, list_planes, open_image, read_image
from sperm_tf.microscopy.served import ServedPicture, read_served, to_served, to_served_if_readable
from sperm_tf.microscopy.source import is_microscope_format

__all__ = [
    "ImageReader",
    "MicroscopyError",
    "MicroscopyImage",
    "MissingTilesError",
    "PlaneChoiceError",
    "ServedPicture",
    "is_microscope_format",
    "list_planes",
    "open_image",
    "read_image",
    "read_served",
    "to_served",
    "to_served_if_readable",
]
