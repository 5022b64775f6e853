"""Errors of the microscope formats, and the import of the packages that read them."""

from __future__ import annotations

import importlib
from types import ModuleType

from sperm_tf.data.decode import UndecodableImageError

_PACKAGES = {
    "imagecodecs": "tifffile imagecodecs",
    "nd2": "nd2",
    "pydicom": "pydicom",
    "pylibCZIrw.czi": "pylibCZIrw",
    "tifffile": "tifffile imagecodecs",
}
"""Import name -> what pip installs for its format."""


class MicroscopyError(UndecodableImageError):
    """A microscope file that cannot be read without guessing; the message names the file and the remedy."""


class PlaneChoiceError(MicroscopyError):
    """A file of several planes of which none, or none that exists, was chosen; the message lists the names."""


class MissingTilesError(MicroscopyError):
    """A region for which a slide has no tiles, as scanners leave out what lies beside the specimen."""


def load_package(module: str, file: str) -> ModuleType:
    """Imports a package that reads a format.

    Args:
        module: its import name, one of `tifffile`, `imagecodecs`, `pydicom`, `pylibCZIrw.czi`, `nd2`.
        file: the file that it is needed for.

    Raises:
        ImportError: it is not installed; the message has the pip command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != name:
            raise
        raise ImportError(
            f"{file} needs {name}, which is not installed. Run: pip install {_PACKAGES[module]}", name=error.name
        ) from error
