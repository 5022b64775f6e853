"""Small models of the project's convention, without its model code."""

import keras


@keras.saving.register_keras_serializable(package="sperm_tf_tests")
class Gate(keras.layers.Layer):
    """The interface of CBAM, made of one convolution."""

    def build(self, input_shape):
        self.convolution = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")
        self.convolution.build(input_shape)

    def attention_maps(self, features):
        return None, self.convolution(features)

    def call(self, features):
        return features * self.convolution(features)


def linear_head(features, num_classes):
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.layers.Dense(num_classes, dtype="float32", name="logits")(keras.layers.Dropout(0.5)(pooled))


def deep_head(features, num_classes):
    """A head whose gradients differ from place to place."""
    hidden = keras.layers.Conv2D(6, 3, activation="swish")(features)
    hidden = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(hidden))
    return keras.layers.Dense(num_classes, dtype="float32", name="logits")(hidden)


def build(*, image_size=24, num_classes=3, head=linear_head, with_gate=True, gate_at_double_resolution=False, seed=0):
    """Untrained: image 0-255 -> two convolutions [-> cbam_top] [-> pooling by 2] -> feature_map -> head."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((image_size, image_size, 3), name="image")
    features = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    features = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="swish")(features)
    features = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="swish")(features)
    if with_gate:
        features = Gate(name="cbam_top")(features)
    if gate_at_double_resolution:
        features = keras.layers.AveragePooling2D(2)(features)
    features = keras.layers.Identity(name="feature_map")(features)
    return keras.Model(image, head(features, num_classes), name="tiny")
