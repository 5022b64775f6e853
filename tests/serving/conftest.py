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
    views: int = 1


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A tiny model with its SavedModel; read only."""
    return export(tmp_path_factory, views=1)


@pytest.fixture(scope="session")
def exported_averaged(tmp_path_factory):
    """The same model, whose SavedModel averages over eight views; read only."""
    return export(tmp_path_factory, views=8)


def export(tmp_path_factory, *, views):
    model = tiny_models.build(image_size=IMAGE_SIZE)
    logits = model.get_layer("logits")
    logits.set_weights([logits.get_weights()[0] * 30, logits.get_weights()[1]])
    path = tmp_path_factory.mktemp("exported") / "sperm" / "1"
    export_saved_model(model, path, class_names=CLASS_NAMES, image_size=IMAGE_SIZE, views=views)
    return Exported(model, path, views)
