"""Layer integrated gradients and Grad-CAM++ inside a TensorFlow graph: a served model explains what it predicts.

Both maps need gradients from the class score back to the layer that is explained: what is before it runs once, forward,
and no weight is differentiated. All gradients of a batch, at the image for Grad-CAM++ and at every point of the path
for integrated gradients, come from one backward pass.

An answer that is averaged over views (`sperm_tf.models.views`) is explained as what it is: that of one larger
classifier, whose feature map holds the feature maps of all views, turned back, as its channels.

Of the two, layer integrated gradients are the one to read. Their path leads from the empty slide to the image, so that
the map shows what the content of the image adds to the score: its sum, before negative cells are cut off and it is
scaled, is roughly the score of the image minus that of the empty slide (completeness, which is exact for infinitely
many steps; BUILD_NOTES.md has the error of these few). Grad-CAM++ gives a whole channel one weight, by a quotient
whose denominator goes through zero at a layer with many cells: there a difference of rounding may change the map
altogether.

Sources:
    Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, arXiv:1703.01365, here with respect
    to the features of a layer, as in Captum's LayerIntegratedGradients (Kokhlikyan et al. 2020, arXiv:2009.07896).
    Chattopadhay, Sarkar, Howlader, Balasubramanian, "Grad-CAM++: Generalized Gradient-based Visual Explanations for
    Deep Convolutional Networks", WACV 2018, arXiv:1710.11063.
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from sperm_tf.data.row_chunks import IMAGES_AT_ONCE, map_chunks
from sperm_tf.models import views as views_lib
from sperm_tf.models.classifier import FEATURE_MAP, LOGITS, explained_layer, path_steps
from sperm_tf.models.composition import NUM_NUMBERS
from sperm_tf.models.style import early_maps
from sperm_tf.served_names import (
    CBAM_ATTENTION,
    GRAD_CAM_PLUS_PLUS,
    GRAD_CAM_PLUS_PLUS_PER_CLASS,
    LAYER_INTEGRATED_GRADIENTS,
)

CBAM_PREFIX = "cbam_"
SMOOTHING = 1 / 32
"""Deviation of the Gaussian over the map, as a share of its side: one cell of EfficientNet-B0's map of 128 pixels."""
EPSILON = 1e-7
"""What tf-keras-vis adds to the range of a map before it divides by it (Keras' epsilon)."""
FAINT = 0.05
"""Total evidence, in logits, at which a map of integrated gradients has half its strength: no more than 0.0125 of the
probability of a class. Noise of one grey level over an empty slide reaches 0.003, an image of a cell usually 1 to 6."""
_PREDICTED = -1  # stands for the class that the network predicts


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a model says about a batch, and why.

    Attributes:
        logits: float32 [B, C], class scores before softmax, the mean over the views.
        features: float32 [B, D + P], the style and the composition of the images
            (`sperm_tf.models.views.join_features`), the mean over the views.
        layer_integrated_gradients: float32 [B, h, w], 0-1, the map of one class at the resolution of
            `sperm_tf.models.classifier.explained_layer`: of the one that was asked for, else of the predicted one.
        grad_cam_plus_plus: as that, the Grad-CAM++ map of the same class.
        grad_cam_plus_plus_per_class: float32 [B, C, h, w], 0-1, the Grad-CAM++ maps of every class; None where they
            were not asked for.
        cbam_attention: float32 [B, h', w'], 0-1, the spatial attention of the last CBAM at the resolution of that
            layer; the mean over the views; None for a model without.
    """

    logits: tf.Tensor
    features: tf.Tensor
    layer_integrated_gradients: tf.Tensor
    grad_cam_plus_plus: tf.Tensor
    grad_cam_plus_plus_per_class: tf.Tensor | None = None
    cbam_attention: tf.Tensor | None = None


class ClassActivationMaps:
    """A classifier split at the layer that is explained: one pass up to it, then gradients back to it.

    Call it with images, float32 [B, S, S, 3] in the range that the model takes, and, to explain another class than the
    predicted one, with classes, int32 [B]; eagerly or in a graph. It returns an `Explanation`, with Grad-CAM++ of every
    class where `every_class` is true, which costs a backward pass for each. Gradients need what every layer answered:
    eight images, or one in its eight views, are in memory at a time, at all points of their paths.

    With eight views the maps are those of the averaged classifier. Layer integrated gradients are then the mean of the
    views' maps before scaling, turned back, which is scaled to 0-1 once. So a view weighs as much as it speaks for the
    class: noise of one that says next to nothing is not blown up to a full map. Of Grad-CAM++ this is true where what
    is behind the explained layer pools and is linear, as in `simple_cnn` and `vit_tiny`; in EfficientNet-B0 it is not.
    Where no view speaks for a class its map stays zero. The maps of a turned image are the turned maps.

    Args:
        model: flat functional model with one input and one output, the logits [B, C], and a layer
            `sperm_tf.models.classifier.explained_layer`, [B, h, w, K], through which every path to the logits leads.
            What is behind it may be any.
        views: what the answer is averaged over, 1 or 8.

    Raises:
        ValueError: the model does not have that form, `views` is another number, or Keras does not run on TensorFlow.
    """

    def __init__(self, model: keras.Model, *, views: int = 1):
        views_lib.check_views(views)
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"Keras must run on TensorFlow to explain. Received: backend={keras.backend.backend()!r}. "
                "Save the model and load it in a process with KERAS_BACKEND=tensorflow"
            )
        layers = {layer.name: layer for layer in model.layers}
        explained = explained_layer(model)
        if explained not in layers:
            raise ValueError(
                f"model must have a layer named {FEATURE_MAP!r}. Received: model={model.name!r} with the layers "
                f"{', '.join(layers)}. Pass a model of sperm_tf.models.classifier.build_classifier"
            )
        self._views, self._steps = views, path_steps(model)
        features = layers[explained].output
        try:
            head = keras.Model(features, model.outputs[0])
        except ValueError as error:
            raise ValueError(
                f"every path to the logits must lead through {explained!r}. Received: model={model.name!r}, whose "
                "logits depend on other layers too. Move the layer behind the point where the paths meet"
            ) from error
        # Model.layers is in topological order: the last CBAM is the one nearest to the logits.
        attention_layers = [layer for layer in model.layers if layer.name.startswith(CBAM_PREFIX)]
        self._attention_layer = attention_layers[-1] if attention_layers else None
        before, behind = {"features": features, "early": early_maps(model)}, {LOGITS: model.outputs[0]}
        if self._attention_layer is not None:
            is_behind = self._attention_layer in head.layers
            (behind if is_behind else before)["attention_input"] = self._attention_layer.input
        self._trunk, self._head = keras.Model(model.inputs[0], before), keras.Model(features, behind)

    def __call__(
        self, images: tf.Tensor, classes: tf.Tensor | None = None, *, every_class: bool = False
    ) -> Explanation:
        """Classifies and explains a batch of at least one image; see the class."""
        images = tf.convert_to_tensor(images)
        asked = tf.fill(tf.shape(images)[:1], _PREDICTED) if classes is None else tf.cast(classes, tf.int32)
        found = map_chunks(
            lambda *rows: self._explain(*rows, every_class=every_class),
            (images, asked),
            size=max(1, IMAGES_AT_ONCE // self._views),
            signature=self._signature(every_class=every_class),
        )
        return Explanation(**found)

    def _signature(self, *, every_class: bool) -> dict[str, tf.TensorSpec]:
        """What `_explain` returns for a row."""
        height, width = self._trunk.output["features"].shape[1:3]
        num_classes = self._head.output[LOGITS].shape[-1]
        num_features = sum(2 * values.shape[-1] for values in self._trunk.output["early"]) + NUM_NUMBERS
        signature = {
            LOGITS: tf.TensorSpec([num_classes], tf.float32),
            views_lib.FEATURES: tf.TensorSpec([num_features], tf.float32),
            LAYER_INTEGRATED_GRADIENTS: tf.TensorSpec([height, width], tf.float32),
            GRAD_CAM_PLUS_PLUS: tf.TensorSpec([height, width], tf.float32),
        }
        if every_class:
            signature[GRAD_CAM_PLUS_PLUS_PER_CLASS] = tf.TensorSpec([num_classes, height, width], tf.float32)
        if self._attention_layer is not None:
            signature[CBAM_ATTENTION] = tf.TensorSpec(self._attention_layer.input.shape[1:3], tf.float32)
        return signature

    def _explain(self, images: tf.Tensor, asked: tf.Tensor, *, every_class: bool) -> dict[str, tf.Tensor]:
        """Explains a few images at once."""
        num_images = tf.shape(images)[0]
        num_inputs = self._views * num_images
        # All views of an empty slide are the same: it is one more row.
        slides = tf.cast(empty_slide(images), images.dtype)
        trunk = self._trunk(tf.concat([views_lib.make_views(images, self._views), slides], axis=0), training=False)
        features = views_lib.align_features(trunk["features"][:num_inputs], self._views)
        on_slide = tf.tile(trunk["features"][num_inputs:], [self._views, 1, 1, 1])
        start = views_lib.align_features(on_slide, self._views)
        points = [features, *points_of_path(start, features, steps=self._steps)]
        answers, labels, gradients = self._differentiate(points, asked)
        logits = answers[LOGITS][:num_images]
        scores = tf.gather(logits, labels, axis=1, batch_dims=1)
        early = [values[:num_inputs] for values in trunk["early"]]
        found = {
            LOGITS: tf.cast(logits, tf.float32),
            views_lib.FEATURES: views_lib.join_features(images, early, views=self._views),
            LAYER_INTEGRATED_GRADIENTS: layer_integrated_gradients(features - start, tf.stack(gradients[1:])),
            GRAD_CAM_PLUS_PLUS: grad_cam_plus_plus(features, gradients[0], scores),
        }
        if every_class:
            found[GRAD_CAM_PLUS_PLUS_PER_CLASS] = self._explain_every_class(features)
        if self._attention_layer is not None:
            inputs = _attention_inputs(trunk, answers, self._views, num_points=len(points), num_inputs=num_inputs)
            _, spatial = self._attention_layer.attention_maps(inputs)
            found[CBAM_ATTENTION] = self._average_maps(tf.cast(spatial[..., 0], tf.float32))
        return found

    def _differentiate(self, points, asked):
        """Output of the head at all points, the classes explained [B], and for each point the gradient of their score.

        The first point is the image, whose highest logit is the class that is predicted.
        """
        joined = tf.concat(points, axis=0)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(joined)
            answers = self._ask_head(joined)
            predicted = tf.argmax(answers[LOGITS][: tf.size(asked)], axis=1, output_type=tf.int32)
            labels = tf.where(asked == _PREDICTED, predicted, asked)
            scores = tf.gather(answers[LOGITS], tf.tile(labels, [len(points)]), axis=1, batch_dims=1)
        gradients = tape.gradient(scores, joined, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return answers, labels, tf.split(gradients, len(points))

    def _explain_every_class(self, features):
        """Grad-CAM++ maps [B, C, h, w]."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(features)
            scores = tf.unstack(self._ask_head(features)[LOGITS], axis=1)
        zero = tf.UnconnectedGradients.ZERO
        gradients = [tape.gradient(score, features, unconnected_gradients=zero) for score in scores]
        pairs = zip(gradients, scores, strict=True)
        return tf.stack([grad_cam_plus_plus(features, slope, score) for slope, score in pairs], axis=1)

    def _average_maps(self, maps):
        if self._views == 1:
            return maps
        return tf.reduce_mean(views_lib.undo_views(views_lib.split_views(maps, self._views)), axis=0)

    def _ask_head(self, features):
        """Output of the layers behind the aligned features, the logits being the mean over the views."""
        answers = self._head(views_lib.separate_features(features, self._views), training=False)
        return answers | {LOGITS: views_lib.average_views(answers[LOGITS], self._views)}


def _attention_inputs(trunk, answers, views, *, num_points, num_inputs):
    """What the last CBAM is given for the images themselves, [views * B, h', w', K], view-major."""
    if "attention_input" in trunk:
        return trunk["attention_input"][:num_inputs]
    # Every view holds all points, the first of which is the image.
    inputs = tf.split(views_lib.split_views(answers["attention_input"], views), num_points, axis=1)[0]
    return tf.reshape(inputs, [num_inputs, *inputs.shape[2:]])


def empty_slide(images: tf.Tensor) -> tf.Tensor:
    """The attribution baseline: each image's median colour everywhere, as in `explain.faithfulness.slide_images`.

    Args:
        images: [B, S, S, 3].

    Returns:
        float32 [B, S, S, 3].
    """
    pixels = tf.sort(tf.reshape(tf.cast(images, tf.float32), (tf.shape(images)[0], -1, images.shape[-1])), axis=1)
    count = tf.shape(pixels)[1]
    median = (pixels[:, (count - 1) // 2] + pixels[:, count // 2]) / 2
    return tf.broadcast_to(median[:, None, None, :], tf.shape(images))


def points_of_path(start: tf.Tensor, end: tf.Tensor, *, steps: int) -> list[tf.Tensor]:
    """The middles of `steps` equal parts of the straight path between two tensors of one shape."""
    return [start + (step + 0.5) / steps * (end - start) for step in range(steps)]


def layer_integrated_gradients(difference: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """The map of one class for each image (Sundararajan et al. 2017, equation 1, summed over the channels).

    It is smoothed over its neighbourhood before what speaks against the class is cut off: cells between which a
    strided convolution does not distinguish share their evidence at random.

    The highest cell of a map gets 1, whatever it says; but where all of it together says next to nothing, the map
    fades, by `total / (total + FAINT)` of the evidence that it shows.

    Args:
        difference: [B, h, w, K], features of the image minus those of the empty slide.
        gradients: [T, B, h, w, K], derivatives of the class score before softmax with respect to the features, at T
            points of the path between them.

    Returns:
        float32 [B, h, w], 0-1; zeros where nothing speaks for the class.
    """
    mean = tf.reduce_mean(tf.cast(gradients, tf.float32), axis=0)
    evidence = tf.reduce_sum(tf.cast(difference, tf.float32) * mean, axis=3)
    shown = tf.nn.relu(_smooth(evidence))
    total = tf.reduce_sum(shown, axis=(1, 2), keepdims=True)
    return _scale(shown, EPSILON) * total / (total + FAINT)


def grad_cam_plus_plus(features: tf.Tensor, gradients: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """The Grad-CAM++ map of one class (Chattopadhay et al. 2018, equations 8, 10 and 19).

    With A the features, g the gradients and S the score, the derivatives of Y = exp(S) are exp(S) g, exp(S) g^2 and
    exp(S) g^3. So exp(S) cancels from alpha (equation 19), which is 1 / (2 + g sum(A)) where g is not zero, and is a
    common factor of the weights, from which scaling to 0-1 removes it. It is never computed: scores of 1,000 are fine.
    The one place that keeps it is the epsilon of the scaling, as in tf-keras-vis: `epsilon / exp(S)` fades the map of
    a class whose score is far below zero.

    Args:
        features: [B, h, w, K], the feature map A.
        gradients: [B, h, w, K], derivatives of the class score with respect to the features.
        scores: [B], the class score before softmax.

    Returns:
        float32 [B, h, w], 0-1; zeros where nothing speaks for the class.
    """
    features, gradients = tf.cast(features, tf.float32), tf.cast(gradients, tf.float32)
    total = tf.reduce_sum(features, axis=(1, 2), keepdims=True)
    is_sensitive = tf.cast(tf.not_equal(gradients, 0), tf.float32)
    alpha = tf.math.divide_no_nan(is_sensitive, 2 + gradients * total)
    alpha = tf.math.divide_no_nan(alpha, tf.reduce_sum(alpha, axis=(1, 2), keepdims=True))
    weights = tf.reduce_sum(alpha * tf.nn.relu(gradients), axis=(1, 2))
    cam = tf.nn.relu(tf.einsum("bhwk,bk->bhw", features, weights))
    return _scale(cam, EPSILON * tf.exp(-tf.cast(scores, tf.float32))[:, None, None])


def _smooth(maps):
    """Maps [B, h, w] under a Gaussian, mirrored at their borders, as by `scipy.ndimage.gaussian_filter`."""
    for axis in (1, 2):
        side = maps.shape[axis]
        deviation = SMOOTHING * side
        radius = int(4 * deviation + 0.5)
        offsets = np.arange(-radius, radius + 1)
        weights = np.exp(-(offsets**2) / (2 * deviation**2))
        padding = [[0, 0], [0, 0], [0, 0]]
        padding[axis] = [radius, radius]
        padded = tf.pad(maps, padding, mode="SYMMETRIC")
        shifted = [tf.gather(padded, tf.range(offset, offset + side), axis=axis) for offset in range(2 * radius + 1)]
        maps = tf.add_n([weight * part for weight, part in zip(weights / weights.sum(), shifted, strict=True)])
    return maps


def _scale(cam, epsilon):
    lowest = tf.reduce_min(cam, axis=(1, 2), keepdims=True)
    highest = tf.reduce_max(cam, axis=(1, 2), keepdims=True)
    return tf.math.divide_no_nan(cam - lowest, highest - lowest + epsilon)
