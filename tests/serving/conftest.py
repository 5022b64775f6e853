import dataclasses
import pathlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import keras

    from sperm_tf.decision.rule import DecisionRule

CLASS_NAMES = ["normal", "tapered", "pyriform"]
IMAGE_SIZE = 24


@dataclasses.dataclass(frozen=True)
class Exported:
    model: "keras.Model"
    path: pathlib.Path
    rule: "DecisionRule"
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
    from sperm_tf.models.composition import NUM_NUMBERS
    from sperm_tf.serving.export import export_saved_model
    from tests import tiny_models
    from tests.decision.rules import make_rule

    model = tiny_models.build(image_size=IMAGE_SIZE)
    logits = model.get_layer("logits")
    logits.set_weights([logits.get_weights()[0] * 30, logits.get_weights()[1]])
    path = tmp_path_factory.mktemp("exported") / "sperm" / "1"
    rule = make_rule(
        spread=5.0,
        set_thresholds=(0.9, 0.6, 0.8),
        min_confidence=0.5,
        num_composition=NUM_NUMBERS,
        max_composition=8.0,
    )
    export_saved_model(model, path, class_names=CLASS_NAMES, image_size=IMAGE_SIZE, views=views, rule=rule)
    return Exported(model, path, rule, views)
