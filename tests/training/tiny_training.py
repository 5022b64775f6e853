"""A training of seconds, run by the tests in their own process and, to be killed, in others.

Command line: `python -m tests.training.tiny_training WORK_DIR KILL_EPOCH KILL_STEP`.
"""

import os
import signal
import sys

import keras
import numpy as np

from sperm_tf.config import ModelConfig, TrainerConfig
from sperm_tf.layers.attention import CBAM
from sperm_tf.models.classifier import build_classifier
from sperm_tf.models.simple_cnn import build_simple_cnn
from sperm_tf.training.augmentation import build_augmentation
from sperm_tf.training.recipe import train

NUM_CLASSES = 3
SIZE = 32
CONFIG = TrainerConfig(
    model=ModelConfig(name="simple_cnn", dropout=0.3, norm_momentum=0.8),
    frozen_epochs=2,
    full_epochs=3,
    frozen_learning_rate=1e-2,
    full_learning_rate=3e-3,
    batch_size=8,
    mixup_alpha=0.2,
    label_smoothing=0.1,
    augmentation=("flip", "brightness"),
    seed=4,
)


def draw_images(seed, count=24):
    """Noise, with one brighter colour channel a class; images [N, S, S, 3] 0-255 and one-hot labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % NUM_CLASSES
    images = generator.uniform(0, 200, (count, SIZE, SIZE, 3)).astype("float32")
    images[np.arange(count), :, :, labels] += 55
    return images, np.eye(NUM_CLASSES, dtype="float32")[labels]


class Batches(keras.utils.PyDataset):
    """Arrays in batches, on any backend: shuffled and augmented by the epoch's number, if one is given."""

    def __init__(self, arrays, *, config=CONFIG, epoch=None, kill_step=None):
        super().__init__()
        self.arrays = arrays
        self.batch_size = config.batch_size
        self.kill_step = kill_step
        self.augment = None if epoch is None else build_augmentation(config, epoch=epoch)
        self.order = np.arange(len(arrays[0]))
        if epoch is not None:
            np.random.default_rng([config.seed, epoch]).shuffle(self.order)

    def __len__(self):
        return len(self.order) // self.batch_size

    def __getitem__(self, step):
        if step == self.kill_step:
            os.kill(os.getpid(), signal.SIGKILL)
        rows = self.order[step * self.batch_size : (step + 1) * self.batch_size]
        images, labels, *weights = (array[rows] for array in self.arrays)
        if self.augment:
            images, labels = (keras.ops.convert_to_numpy(part) for part in self.augment(images, labels))
        return images, labels, *weights


def build_model(config=CONFIG):
    keras.utils.set_random_seed(config.seed)
    return build_classifier(config.model, num_classes=NUM_CLASSES, image_size=SIZE)


def build_attention_model(config=CONFIG):
    """As a classifier with CBAM after its last feature map, in a small part of EfficientNetB0's time."""
    keras.utils.set_random_seed(config.seed)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    backbone = build_simple_cnn(image, config.model)
    features = keras.layers.Identity(name="feature_map")(CBAM(name="cbam_top")(backbone.output))
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(image, keras.layers.Dense(NUM_CLASSES, name="logits")(pooled))


def run(work_dir, *, config=CONFIG, build=build_model, kill=(None, None), **arguments):
    """Trains; `kill` is the epoch and the step, from 0, in which the process shoots itself."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        # In every process alike: its kernels differ from the usual ones in the last bit, and other tests ask for them.
        tf.config.experimental.enable_op_determinism()
    images = draw_images(0)

    def train_data(epoch):
        return Batches(images, config=config, epoch=epoch, kill_step=kill[1] if epoch == kill[0] else None)

    arguments = {"verbose": 0, **arguments}
    return train(build(config), train_data, Batches(draw_images(1)), config=config, work_dir=work_dir, **arguments)


if __name__ == "__main__":
    run(sys.argv[1], kill=(int(sys.argv[2]), int(sys.argv[3])))
