"""What `load_model` opens: releases by name, trained models by file or folder. Imports neither Keras nor TensorFlow."""

from __future__ import annotations

import os
import pathlib

from sperm_tf.models import released
from sperm_tf.runtimes.registry import INFO_FILE

MODEL_FILE = "model.keras"
TRAINED_FILES = (MODEL_FILE, INFO_FILE)
"""What `Classifier.save` writes beside the rule, and the Trainer and the Calibrator do."""
EXTRA = "assets.extra"
"""Folder in a SavedModel for what a report says of it, which servers pass over."""
KERAS_SUFFIX = ".keras"
_HINT_OF_SAVED_MODEL = (
    " That is a SavedModel, which TensorFlow Serving and pipelines.score take. Name the folder that the Calibrator "
    "wrote (runs/<preset>/Calibrator/<id>), which holds it and both files."
)


def find_release(source: str | os.PathLike[str]) -> released.Release | None:
    """The release that `load_model` opens for a name or the path of an `.npz`; None where there is none."""
    path = pathlib.Path(source).expanduser()
    if path.suffix == released.RELEASE_SUFFIX and path.is_file():
        return released.find_release_of_file(path)
    return released.look_up(str(source))


def is_trained_model(source: str | os.PathLike[str]) -> bool:
    """Whether `load_model` opens this path as a model that is no release; a folder may have a release's name."""
    path = pathlib.Path(source).expanduser()
    if path.is_dir():
        return all((path / name).is_file() for name in TRAINED_FILES)
    return path.suffix == KERAS_SUFFIX and path.is_file()


def describe_unknown(source: str | os.PathLike[str]) -> str:
    """The message for a source that names no model."""
    known = ", ".join(released.read_manifest()) or "none so far"
    saved_model = pathlib.Path(source).expanduser() / "saved_model.pb"
    return (
        f"source must be one of the released models ({known}), the path of a .keras or "
        f"of a released .npz file, or a folder with {' and '.join(TRAINED_FILES)}. Received: source={str(source)!r}."
        f"{_HINT_OF_SAVED_MODEL if saved_model.is_file() else ''}"
    )
