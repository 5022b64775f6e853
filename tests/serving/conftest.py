import dataclasses
import pathlib

import keras
import pytest

from sperm_tf.serving.export import export_saved_model
from tests import tiny_models

CLASS_NAMES = ["normal", "tapered", "pyriform"]
IMAGE_SIZE = 24


@dataclasses.dataclass(frozen=True)
class Exported:
    model: keras.Model
    path: pathlib.Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A tiny model with its SavedModel; read only."""
    model = tiny_models.build(image_size=IMAGE_SIZE)
    logits = model.get_layer("logits")
    logits.set_weights([logits.get_weights()[0] * 30, logits.get_weights()[1]])
    path = tmp_path_factory.mktemp("exported") / "sperm" / "1"
    export_saved_model(model, path, class_names=CLASS_NAMES, image_size=IMAGE_SIZE)
    return Exported(model, path)
