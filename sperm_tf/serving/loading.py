"""Opens trained classifiers: released ones by name, others by their file or folder."""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
from collections.abc import Sequence

import keras

import sperm_tf.models.weights  # noqa: F401  (registers the layers that a .keras file may hold)
from sperm_tf.decision import rule as rule_lib
from sperm_tf.models import released
from sperm_tf.models.pretrained import build_released
from sperm_tf.serving.classifier import INFO_FILE, MODEL_FILE, TRAINED_FILES, Classifier

KERAS_SUFFIX = ".keras"
_HINT_OF_SAVED_MODEL = (
    " That is a SavedModel, which TensorFlow Serving and pipelines.score take. Name the folder that the Calibrator "
    "wrote (runs/<preset>/Calibrator/<id>), which holds it and both files."
)


def load_model(source: str | os.PathLike[str], *, class_names: Sequence[str] | None = None) -> Classifier:
    """Opens a trained classifier; needs no network.

    Args:
        source: name of a model that is released with this package (`smids`, `hushem`); or the path of a released
            `.npz`, with its manifest beside it; or of a folder that the Calibrator wrote, or the Trainer, whose models
            have no decision rule; or of a `.keras` file. Rule and views are taken up with the folder, or with the
            `model.keras` in it; another `.keras` file has none, whatever lies beside it.
        class_names: in the order of the logits, for a `.keras` file that is no `model.keras` with its `model.json`
            beside it. Released models know theirs.

    Raises:
        ValueError: there is no such model, other class names are given than its own, a file is missing or damaged, the
            rule is that of another model, or its class names are not known.
    """
    path = pathlib.Path(source).expanduser()
    if is_trained_model(source):
        return _load_keras_file(path / MODEL_FILE if path.is_dir() else path, class_names)
    if release := find_release(source):
        return _load_release(release, class_names)
    known = ", ".join(released.read_manifest()) or "none so far"
    raise ValueError(
        f"source must be one of the released models ({known}), the path of a .keras or "
        f"of a released .npz file, or a folder with {' and '.join(TRAINED_FILES)}. Received: source={str(source)!r}."
        f"{_HINT_OF_SAVED_MODEL if (path / 'saved_model.pb').is_file() else ''}"
    )


def find_release(source: str | os.PathLike[str]) -> released.Release | None:
    """The release that `load_model` opens for a name or the path of an `.npz`; None where there is none."""
    path = pathlib.Path(source).expanduser()
    if path.suffix == released.RELEASE_SUFFIX and path.is_file():
        return released.find_release_of_file(path)
    return released.read_manifest().get(str(source))


def is_trained_model(source: str | os.PathLike[str]) -> bool:
    """Whether `load_model` opens this path as a model that is no release; a folder may have a release's name."""
    path = pathlib.Path(source).expanduser()
    if path.is_dir():
        return all((path / name).is_file() for name in TRAINED_FILES)
    return path.suffix == KERAS_SUFFIX and path.is_file()


def _load_release(release: released.Release, class_names: Sequence[str] | None) -> Classifier:
    if class_names:
        raise ValueError(
            f"class_names must be None for a released model. Received: class_names={list(class_names)} for "
            f"{release.name}, whose classes are {', '.join(release.class_names)}."
        )
    card = release.card_path.read_text(encoding="utf-8") if release.card_path.is_file() else ""
    rule = rule_lib.read(release.verify_rule()) if release.rule else None
    return Classifier(build_released(release), release.class_names, release.image_size, release.views, rule, card)


def _load_keras_file(path: pathlib.Path, class_names: Sequence[str] | None) -> Classifier:
    is_own = path.name == MODEL_FILE  # what lies beside another file is not of it
    info_file = path.with_name(INFO_FILE)
    info = json.loads(info_file.read_text(encoding="utf-8")) if is_own and info_file.is_file() else {}
    names = info.get("class_names") or class_names
    if names and class_names and list(names) != list(class_names):
        raise ValueError(
            f"class_names must be those of the model. Received: class_names={list(class_names)}, and {info_file} says "
            f"{names}. Leave them out."
        )
    if not names:
        raise ValueError(
            f"class_names must be known: {path.name} does not hold them. Received: source={str(path)!r} without a "
            f"{INFO_FILE} of its own beside it. Pass class_names in the order of the logits."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"source must be a whole .keras file. Received: source={str(path)!r}, which is damaged or something else. "
            "Copy it again."
        )
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py and Keras raise a dozen kinds.
        raise ValueError(
            f"source must be a whole .keras file of sperm_tf. Received: source={str(path)!r}, which cannot be read: "
            f"{error}"
        ) from error
    rule = rule_lib.read(path.parent, model=path) if is_own else None
    return Classifier(model, tuple(names), model.input_shape[1], info.get("views", 1), rule)
