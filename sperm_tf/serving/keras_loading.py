"""Opens trained classifiers in Keras."""

from __future__ import annotations

import json
import pathlib
import zipfile
from collections.abc import Sequence

import keras

import sperm_tf.models.weights  # noqa: F401  (registers the layers that a .keras file may hold)
from sperm_tf.decision import rule as rule_lib
from sperm_tf.models import released
from sperm_tf.models.pretrained import build_released
from sperm_tf.runtimes.registry import INFO_FILE
from sperm_tf.serving.classifier import Classifier
from sperm_tf.serving.sources import MODEL_FILE


def load_release(release: released.Release, class_names: Sequence[str] | None) -> Classifier:
    """A classifier of a release; its class names are its own."""
    if class_names:
        raise ValueError(
            f"class_names must be None for a released model. Received: class_names={list(class_names)} for "
            f"{release.name}, whose classes are {', '.join(release.class_names)}."
        )
    rule = rule_lib.read(release.verify_rule()) if release.rule else None
    return Classifier(
        build_released(release), release.class_names, release.image_size, release.views, rule, release.read_card()
    )


def load_keras_file(path: pathlib.Path, class_names: Sequence[str] | None) -> Classifier:
    """A classifier of a `.keras` file, with what lies beside a `model.keras`."""
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
