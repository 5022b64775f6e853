"""A small convolutional network: a baseline, and a model that trains in seconds."""

from __future__ import annotations

import keras

from sperm_tf.config import ModelConfig

FILTERS = (32, 64, 128, 256)


def build_simple_cnn(image: keras.KerasTensor, config: ModelConfig) -> keras.Model:
    """Four times convolution, batch normalization and ReLU, with max pooling between them.

    Args:
        image: input [B, S, S, 3], 0-255; rescaled to 0-1 inside.
        config: of which `norm_momentum` applies, that of BatchNormalization.

    Returns:
        Model image -> features [B, S/8, S/8, 256].
    """
    features = keras.layers.Rescaling(1 / 255, name="rescale_pixels")(image)
    for stage, filters in enumerate(FILTERS, start=1):
        if stage > 1:
            features = keras.layers.MaxPooling2D(name=f"stage{stage}_pool")(features)
        # He initialization suits ReLU; the bias would be undone by the normalization.
        features = keras.layers.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"stage{stage}_conv"
        )(features)
        features = keras.layers.BatchNormalization(momentum=config.norm_momentum, name=f"stage{stage}_bn")(features)
        features = keras.layers.ReLU(name=f"stage{stage}_relu")(features)
    return keras.Model(image, features, name="simple_cnn")
