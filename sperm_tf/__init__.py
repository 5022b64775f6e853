"""Sperm morphology classification that is accurate, explained, honest about what it does not know, and deployable."""

import importlib
from typing import Any

from sperm_tf.version import __version__

__all__ = ["__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Imports `load_model` where it is used: it brings TensorFlow, and importing this package must not (PEP 562)."""
    if name == "load_model":
        # By name, since the layers above this package's foot may not show among its imports.
        return importlib.import_module("sperm_tf.serving.loading").load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
