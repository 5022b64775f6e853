"""The finders of heads, by name. A further one is a module with a class, and a line here."""

from __future__ import annotations

import importlib
from typing import Protocol

import numpy as np

from sperm_tf.config_checks import check_choice
from sperm_tf.fields.found import FoundField
from sperm_tf.fields.pixels import FieldPixels

CLASSICAL, PARSER = "classical", "parser"
FINDERS = {
    CLASSICAL: "sperm_tf.fields.classical:ClassicalFinder",
    PARSER: "sperm_tf.runtimes.field_parser:FieldParser",
}
"""Name -> module and class, which takes no arguments."""


class Finder(Protocol):
    """Finds the heads of spermatozoa in a field of view; may be used by several threads at once."""

    def find(self, pixels: np.ndarray, *, head_length_px: float) -> FoundField:
        """Finds heads.

        Args:
            pixels: uint8 [H, W, 3], RGB, 0-255.
            head_length_px: median length of a head, in pixels of the field; see `sperm_tf.fields.scale`.
        """

    def find_in_tiles(self, image: FieldPixels, *, head_length_px: float) -> FoundField:
        """Finds heads in a field that is too large to be decoded at once; each once and whole, whatever the tiles.

        Args:
            image: the field.
            head_length_px: as for `find`.
        """


def open_finder(name: str) -> Finder:
    """Opens a finder.

    Args:
        name: of `FINDERS`.

    Raises:
        ValueError: there is no such finder.
    """
    check_choice("finder", name, tuple(FINDERS))
    module, _, cls = FINDERS[name].partition(":")
    return getattr(importlib.import_module(module), cls)()
