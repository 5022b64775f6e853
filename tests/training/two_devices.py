"""Trainings of seconds on one device and on two, which are parts of one processor; for processes of their own.

Command line: `python -m tests.training.two_devices BACKEND FOLDER`, with the variables of `environment`. Writes
`one.npz` and `two.npz` (losses, weights, predictions) and `found.json`.
"""

import dataclasses
import json
import os
import pathlib
import sys

import numpy as np

from sperm_tf.config import ModelConfig, TrainerConfig
from sperm_tf.data.partitions import Partition
from sperm_tf.version import RECIPE_VERSION

CONFIG = TrainerConfig(
    model=ModelConfig(name="simple_cnn", dropout=0.0),
    frozen_epochs=1,
    frozen_learning_rate=1e-2,
    full_epochs=1,
    full_learning_rate=1e-3,
    batch_size=8,
    augmentation=("flip",),
    class_weights=True,
    checkpoint="last",
    views=1,
    seed=3,
)
PARTS = {"train": range(16), "validation": range(16, 24), "calibration": range(24, 29), "test": range(29, 32)}


def environment(backend):
    """Variables for the process."""
    jax = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    return {**os.environ, "KERAS_BACKEND": backend, **(jax if backend == "jax" else {})}


def draw():
    """Images and labels."""
    images = np.random.default_rng(0).integers(0, 256, (32, 16, 16, 3)).astype(np.uint8)
    return images, np.arange(32) % 3


def fit(folder, *, validation=PARTS["validation"], **changes):
    """A training; returns its `Fit`."""
    from sperm_tf.training.fit import run_fit

    parts = {name: np.array(rows) for name, rows in {**PARTS, "validation": validation}.items()}
    config = dataclasses.replace(CONFIG, **changes)
    return run_fit(*draw(), Partition(**parts), num_classes=3, config=config, work_dir=folder, verbose=0)


def fit_by_plan(folder, *, validation=PARTS["validation"], **changes):
    """The same, as `sperm_tf.training.run_plan` does it."""
    from sperm_tf.data.image_table import ImageTable, write_npz
    from sperm_tf.training import run_plan

    folder.mkdir()
    images, labels = draw()
    names = np.array([f"{at:02d}" for at in range(len(labels))])
    write_npz(ImageTable(("a", "b", "c"), images, labels, names, names, names, labels), folder / "images.npz")
    entry = {
        "fingerprint": "fit",
        "recipe_version": RECIPE_VERSION,
        "name": "fit",
        "trainer": dataclasses.asdict(dataclasses.replace(CONFIG, **changes)),
        "parts": {name: [*rows] for name, rows in {**PARTS, "validation": validation}.items()},
    }
    (folder / "plan.json").write_text(json.dumps([entry]))
    fits, original = [], run_plan.run_fit
    run_plan.run_fit = lambda *arguments, **keywords: fits.append(original(*arguments, **keywords)) or fits[-1]
    try:
        assert run_plan.main([str(folder), str(folder / "fits")]) == 0
    finally:
        run_plan.run_fit = original
    return fits[0]


def save(fit, path):
    weights = {f"weight_{at:02d}": np.asarray(value) for at, value in enumerate(fit.model.get_weights())}
    losses = {name: np.array(fit.history[name]) for name in ("loss", "val_loss")}
    np.savez(path, **weights, **losses, **fit.probabilities)


def build_without_batch_normalization(image, config):
    """Instead of `build_simple_cnn`: under TensorFlow's strategies each device normalizes its own part of a batch."""
    import keras

    del config
    features = keras.layers.Rescaling(1 / 255, name="rescale_pixels")(image)
    for stage in range(1, 5):
        features = keras.layers.Conv2D(4, 3, padding="same", strides=2, name=f"stage{stage}_conv")(features)
        features = keras.layers.ReLU(name=f"stage{stage}_relu")(features)
    return keras.Model(image, features, name="simple_cnn")


def refuse(folder, **changes):
    """The message of a training that is refused."""
    try:
        fit(folder, **changes)
    except ValueError as error:
        return str(error)
    return ""


def train_on_tensorflow(folder):
    import tensorflow as tf

    from sperm_tf.models import simple_cnn

    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        normalized = fit(folder / "normalized", validation=range(16, 23))
        found = {
            "losses": [*normalized.history["loss"], *normalized.history["val_loss"]],
            "batch_size": refuse(folder / "odd", batch_size=7),
            "view_consistency": refuse(folder / "views", view_consistency=1.0),
        }
        simple_cnn.build_simple_cnn = build_without_batch_normalization
        two = fit(folder / "two", augmentation=())  # Keras takes one more batch there, which would draw other numbers
        found["devices"] = sorted(value.device for value in two.model.trainable_weights[0].value.values)
    return fit(folder / "one", augmentation=()), two, found


def train_on_jax(folder):
    import keras

    one = fit_by_plan(folder / "one", view_consistency=1.0)
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    odd = fit_by_plan(folder / "odd", validation=range(16, 23))
    two = fit_by_plan(folder / "two", view_consistency=1.0)
    devices = two.model.trainable_weights[0].value.sharding.device_set
    return one, two, {"losses": odd.history["val_loss"], "devices": sorted(map(str, devices))}


def main(backend, folder):
    one, two, found = (train_on_jax if backend == "jax" else train_on_tensorflow)(folder)
    save(one, folder / "one.npz")
    save(two, folder / "two.npz")
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
