"""A backbone is added by one entry, and nothing stands in for what its entry lacks."""

import dataclasses

import numpy as np
import pytest

from pipelines.cross_validation import recipes
from sperm_tf.config import ModelConfig, TrainerConfig
from sperm_tf.data.decode import encode_png
from sperm_tf.models.registry import BACKBONES, Backbone


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_answering_model, build_classifier, early_maps, FEATURES, keras, NUM_NUMBERS, WeightsError
    import keras

    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.models.composition import NUM_NUMBERS
    from sperm_tf.models.style import early_maps
    from sperm_tf.models.views import FEATURES, build_answering_model
    from sperm_tf.models.weights import WeightsError


SIZE, CLASS_NAMES = 16, ("normal", "abnormal")


def build_toy(image, config):
    del config
    features = keras.layers.Rescaling(1 / 255, name="rescale_pixels")(image)
    for number in (1, 2, 3):
        features = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name=f"conv{number}")(
            features
        )
    return keras.Model(image, features, name="toy")


ENTRY = Backbone(f"{__name__}:build_toy", min_image_size=16, early_layers=("conv1", "conv2"), explained_layer="conv2")


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(BACKBONES, "toy", ENTRY)
    return ModelConfig(name="toy", weights="none")


@pytest.mark.slow
def test_one_entry_is_enough_to_train_decide_explain_and_export(toy, tmp_path):
    import tensorflow as tf

    from sperm_tf.data.partitions import Partition
    from sperm_tf.serving.classifier import Classifier
    from sperm_tf.serving.loading import load_model
    from sperm_tf.training.fit import run_fit

    rng = np.random.default_rng(0)
    labels = np.arange(48) % 2
    images = np.clip(rng.normal(60 + 120 * labels[:, None, None, None], 30, (48, SIZE, SIZE, 3)), 0, 255).astype(
        np.uint8
    )
    parts = np.split(np.arange(48), [24, 32, 40])
    preset = TrainerConfig(ModelConfig(weights="synthetic"), full_epochs=1, batch_size=8, augmentation=())
    trainer = recipes.trainer_for(preset, "toy")
    assert (trainer.model.weights, trainer.frozen_epochs, trainer.full_epochs) == ("none", 0, 2)
    fit = run_fit(
        images,
        labels,
        Partition(**dict(zip(("train", "validation", "calibration", "test"), parts, strict=True))),
        num_classes=2,
        config=trainer,
        work_dir=tmp_path / "work",
        verbose=0,
    )
    features = build_answering_model(fit.model, views=1)(images[:3].astype("float32"))[FEATURES]
    # Means and deviations of conv1 and conv2, not of the feature map.
    assert features.shape == (3, 2 * (4 + 4) + NUM_NUMBERS)
    classifier = Classifier(fit.model, CLASS_NAMES, SIZE)
    classifier.save(tmp_path / "saved")
    loaded, png = load_model(tmp_path / "saved"), encode_png(images[0])
    loaded.export(tmp_path / "exported")
    served = tf.saved_model.load(str(tmp_path / "exported")).signatures["explain"](image_bytes=tf.constant([png]))
    np.testing.assert_allclose(served["probabilities"][0], [*loaded.predict(png)[0].probabilities.values()], atol=1e-5)
    assert served["layer_integrated_gradients"].shape == (1, 4, 4)  # of conv2


def test_a_name_without_an_entry_is_refused(toy, monkeypatch):
    with pytest.raises(ValueError, match=r"trainer.model.name must be one of simple_cnn, .*toy. Received: .*'resnet'"):
        ModelConfig(name="resnet")
    with pytest.raises(ValueError, match=r"must be one of .*Received: trainer.model.name='resnet'"):
        recipes.trainer_for(TrainerConfig(), "resnet")
    monkeypatch.delitem(BACKBONES, "toy")  # the configuration was made before
    with pytest.raises(ValueError, match=r"model.name must be one of simple_cnn.*Received: model.name='toy'"):
        build_classifier(toy, num_classes=2, image_size=SIZE)


@pytest.mark.parametrize("lacking", [{"early_layers": ()}, {"explained_layer": ""}])
def test_an_entry_without_layers_is_refused(lacking):
    with pytest.raises(ValueError, match=r"early_layers and explained_layer must name layers. .*build_toy"):
        dataclasses.replace(ENTRY, **lacking)


@pytest.mark.parametrize(
    ("change", "missing"),
    [({"early_layers": ("conv1", "conv9")}, "'conv9'"), ({"explained_layer": "block3a"}, "'block3a'")],
)
def test_a_builder_that_does_not_keep_its_entry_is_refused(toy, monkeypatch, change, missing):
    monkeypatch.setitem(BACKBONES, "toy", dataclasses.replace(ENTRY, **change))
    with pytest.raises(ValueError, match=f"build_toy must build the layers .*Received: a model without {missing}"):
        build_classifier(toy, num_classes=2, image_size=SIZE)


def test_weights_and_sizes_are_checked_by_the_entry(toy, monkeypatch):
    with pytest.raises(WeightsError, match=r"must be 'none', or the path of a file, for toy. .*of another network"):
        build_classifier(dataclasses.replace(toy, weights="imagenet"), num_classes=2, image_size=SIZE)
    monkeypatch.setitem(BACKBONES, "toy", dataclasses.replace(ENTRY, image_size_multiple=12))
    with pytest.raises(ValueError, match=r"multiple of 12 for toy. Received: image_size=30. Use 24 or 36"):
        build_classifier(toy, num_classes=2, image_size=30)


def test_a_foreign_model_is_told_apart(toy):
    image = keras.Input((SIZE, SIZE, 3))
    features = keras.layers.Identity(name="feature_map")(build_toy(image, toy).output)
    foreign = keras.Model(image, keras.layers.GlobalAveragePooling2D()(features), name="foreign")
    with pytest.warns(UserWarning, match=r"'foreign' is no backbone of sperm_tf.models.registry"):
        (found,) = early_maps(foreign)
    assert found is features
