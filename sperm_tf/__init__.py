"""Sperm morphology classification that is accurate, explained, honest about what it does not know, and deployable."""

import importlib
from typing import Any

from sperm_tf.version import __version__

# By name, since the layers above this package's foot may not show among its imports.
_MODULES = {
    "Classifier": "sperm_tf.serving.classifier",
    "Prediction": "sperm_tf.serving.prediction",
    "Predictions": "sperm_tf.serving.prediction",
    "RuntimeClassifier": "sperm_tf.serving.runtime_classifier",
    "load_model": "sperm_tf.serving.loading",
}

__all__ = ["Classifier", "Prediction", "Predictions", "RuntimeClassifier", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Imports what is public where it is used: it may bring TensorFlow, which importing this package must not."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Public are: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
