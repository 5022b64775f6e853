"""Packages that are not installed: `requirements-predict.txt` brings what prediction needs, and no more."""

from __future__ import annotations

import importlib.metadata
import re

_DISTRIBUTIONS = {
    "ai_edge_litert": "ai-edge-litert",
    "keras_cv": "keras-cv",
    "rarfile": "rarfile",
    "serving": "tensorflow-serving-api",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "tensorflow_data_validation": "tensorflow-data-validation",
    "tensorflow_datasets": "tensorflow-datasets",
    "tensorflow_metadata": "tensorflow-metadata",
    "tensorflow_model_analysis": "tensorflow-model-analysis",
    "tensorflow_serving": "tensorflow-serving-api",
    "tf_keras_vis": "tf-keras-vis",
}
"""Import name -> distribution, where they differ."""


def describe(error: ModuleNotFoundError) -> str | None:
    """What is missing and the pip line that brings it; None where no dependency of this package has that name.

    Args:
        error: of the import that failed.
    """
    root = (error.name or "").split(".")[0]
    distribution = _DISTRIBUTIONS.get(root, root)
    for requirement in importlib.metadata.requires("sperm_tf") or []:
        wanted = requirement.partition(";")[0].strip()
        if re.split(r"[<>=!~ \[]", wanted)[0].lower().replace("_", "-") == distribution.lower():
            return (
                f"this needs {distribution}, which is not installed. Run: pip install '{wanted}', or "
                "pip install . in the checkout for the whole pipeline"
            )
    return None


def say(error: Exception) -> str:
    """The message of an error, with the pip line where a package is missing."""
    return (isinstance(error, ModuleNotFoundError) and describe(error)) or str(error)
