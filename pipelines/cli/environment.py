"""Environment variables that TensorFlow reads when it is imported."""

from __future__ import annotations

import os

_DEFAULTS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # By itself TensorFlow computes with oneDNN on Intel's processors only; on AMD's, training is faster with it, too.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


def set_defaults() -> None:
    """Sets what the user has not set. To be called before anything imports TensorFlow."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
