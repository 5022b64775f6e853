"""Accuracy on real HuSHeM images of a network that was trained on synthetic images only.

    python -m benchmarks.synthetic_to_real --data_dir=<folder with HuSHeM.zip>

The training is blind to real images: network, settings and number of epochs are fixed before one is read, and the epoch
that is kept is the best on synthetic validation images. The renderer is not blind: its colours, optics and
magnification, and by hand the ranges of the three abnormal classes, were set with labelled HuSHeM images in view (see
`sperm_tf/synthesis/morphology.py`). So the figure is a transfer without training on real images, not a test on images
that nobody had seen. One run is one figure: do not repeat it with other settings and quote the best.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import tempfile
import time

import numpy as np
from PIL import Image


def draw_images(start: int, count: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic images `start` to `start + count`, through the preprocessing that the real ones pass."""
    from sperm_tf.data.preprocess import preprocess
    from sperm_tf.synthesis.renderer import render

    images = np.empty((count, image_size, image_size, 3), np.uint8)
    labels = np.empty(count, np.int64)
    for offset in range(count):
        sample = render(start + offset, label_set="head_shape")
        buffer = io.BytesIO()
        Image.fromarray(sample.image).save(buffer, "PNG", compress_level=1)
        images[offset] = preprocess(buffer.getvalue(), image_size)
        labels[offset] = sample.label
    return images, labels


def read_hushem(data_dir: pathlib.Path, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """All images of HuSHeM, from an archive or an extracted folder."""
    from sperm_tf.data.archives import find_source
    from sperm_tf.data.preprocess import preprocess
    from tfds_builders.hushem import Builder

    source = find_source(data_dir, Builder.CLASS_FOLDERS, name="hushem")
    if source is None:
        raise FileNotFoundError(
            f"data_dir must hold HuSHeM's archive or its class folders. Received: data_dir={str(data_dir)!r}. "
            "Download it from doi:10.17632/tt3yj2pf38.3."
        )
    folders = list(Builder.CLASS_FOLDERS)
    with source.reader() as read:
        images = np.stack([preprocess(read(file.member), image_size) for file in source.files])
    return images, np.array([folders.index(file.class_folder) for file in source.files])


def train_on_synthetic(options: argparse.Namespace):
    """Draws, trains, and returns the model of the epoch with the lowest synthetic validation loss."""
    import keras
    import tensorflow as tf

    from sperm_tf.config import ModelConfig, TrainerConfig
    from sperm_tf.data.batches import evaluation_batches, training_batches
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.training.augmentation import build_augmentation
    from sperm_tf.training.recipe import train

    config = TrainerConfig(
        model=ModelConfig(name=options.model, norm_momentum=0.9),
        frozen_epochs=0,
        full_epochs=options.epochs,
        full_learning_rate=2e-3,
        label_smoothing=0.05,
        augmentation=("flip", "rotation", "zoom", "brightness", "contrast"),
        early_stopping_patience=0,
        deterministic=False,
    )
    keras.utils.set_random_seed(config.seed)
    train_set = draw_images(0, options.num_images, options.image_size)
    validation_set = draw_images(options.num_images, options.num_images // 5, options.image_size)
    model = build_classifier(config.model, num_classes=4, image_size=options.image_size)
    with tempfile.TemporaryDirectory() as work_dir:
        result = train(
            model,
            lambda epoch: training_batches(
                tf.data.Dataset.from_tensor_slices(train_set),
                num_classes=4,
                batch_size=config.batch_size,
                seed=epoch,
                augmentation=build_augmentation(config, epoch=epoch),
            ),
            evaluation_batches(
                tf.data.Dataset.from_tensor_slices(validation_set), num_classes=4, batch_size=config.batch_size
            ),
            config=config,
            work_dir=work_dir,
            verbose=2,
        )
    accuracy = result.history["val_accuracy"][result.best_epoch - 1]
    print(f"synthetic validation accuracy {accuracy:.3f} (best epoch {result.best_epoch} of {options.epochs})")
    return result.model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", type=pathlib.Path, required=True, help="folder with HuSHeM's archive")
    parser.add_argument("--model", default="simple_cnn", choices=("simple_cnn", "efficientnet_b0_cbam"))
    parser.add_argument("--num_images", type=int, default=4000, help="synthetic training images")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--image_size", type=int, default=80)
    options = parser.parse_args()

    from sperm_tf.evaluation.metrics.intervals import wilson
    from sperm_tf.synthesis.morphology import CLASS_NAMES

    start = time.monotonic()
    model = train_on_synthetic(options)
    minutes = (time.monotonic() - start) / 60
    images, labels = read_hushem(options.data_dir, options.image_size)
    predicted = model.predict(images.astype(np.float32), batch_size=32, verbose=0).argmax(axis=1)
    correct, total = int(np.sum(predicted == labels)), len(labels)
    lower, upper = wilson(correct, total)
    majority = np.bincount(labels).max()
    print(f"{options.model}, {options.num_images} synthetic images, {options.epochs} epochs, {minutes:.1f} minutes")
    print(f"real HuSHeM: accuracy {correct}/{total} = {correct / total:.3f} (95 % Wilson {lower:.3f}-{upper:.3f})")
    print(f"majority class: {majority}/{total} = {majority / total:.3f}")
    for label, name in enumerate(CLASS_NAMES["head_shape"]):
        of_class = predicted[labels == label]
        counts = np.bincount(of_class, minlength=4).tolist()
        print(f"  {name:10s} recall {np.mean(of_class == label):.3f} of {len(of_class)}; predicted {counts}")


if __name__ == "__main__":
    main()
