"""Importing TensorFlow without what it prints."""

from __future__ import annotations

import os
import sys


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow, once, without the lines that its C++ code prints whatever the log level."""
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(nothing)
        os.close(stderr)
