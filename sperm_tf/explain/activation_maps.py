"""Layer integrated gradients and Grad-CAM++ inside a TensorFlow graph: a served model explains what it predicts.

Both maps need gradients from the class score back to the layer that is explained: what is before it runs once, forward,
and no weight is differentiated.

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

from sperm_tf.models import views as views_lib
from sperm_tf.models.classifier import FEATURE_MAP, LOGITS, explained_layer
from sperm_tf.models.composition import NUM_NUMBERS
from sperm_tf.models.style import early_maps
from sperm_tf.served_names import GRAD_CAM_PLUS_PLUS, LAYER_INTEGRATED_GRADIENTS

CBAM_PREFIX = "cbam_"
PATH_STEPS = 4
"""Points of the path from the empty slide to the image at which gradients are taken: the middles of equal parts."""
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
        grad_cam_plus_plus: float32 [B, C, h, w], 0-1, the Grad-CAM++ maps of every class at that resolution.
        attention: float32 [B, h', w'], 0-1, the spatial attention of the last CBAM at the resolution of that layer;
            the mean over the views; None for a model without.
    """

    logits: tf.Tensor
    features: tf.Tensor
    layer_integrated_gradients: tf.Tensor
    grad_cam_plus_plus: tf.Tensor
    attention: tf.Tensor | None


class ClassActivationMaps:
    """A classifier split at the layer that is explained: one pass up to it, then gradients back to it.

    Call it with images, float32 [B, S, S, 3] in the range that the model takes, and, to explain another class than the
    predicted one, with classes, int32 [B]; eagerly or in a graph. It returns an `Explanation`. Gradients need what
    every layer answered: one image, in all its views and at all steps of its path, is in memory at a time.

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
        self._views = views
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

    def __call__(self, images: tf.Tensor, classes: tf.Tensor | None = None) -> Explanation:
        """Classifies and explains a batch; see the class."""
        images = tf.convert_to_tensor(images)
        asked = tf.fill(tf.shape(images)[:1], _PREDICTED) if classes is None else tf.cast(classes, tf.int32)
        height, width = self._trunk.output["features"].shape[1:3]
        num_classes = self._head.output[LOGITS].shape[-1]
        num_features = sum(2 * values.shape[-1] for values in self._trunk.output["early"]) + NUM_NUMBERS
        signature = {
            LOGITS: tf.TensorSpec([num_classes], tf.float32),
            "features": tf.TensorSpec([num_features], tf.float32),
            LAYER_INTEGRATED_GRADIENTS: tf.TensorSpec([height, width], tf.float32),
            GRAD_CAM_PLUS_PLUS: tf.TensorSpec([num_classes, height, width], tf.float32),
        }
        if self._attention_layer is not None:
            signature["attention"] = tf.TensorSpec(self._attention_layer.input.shape[1:3], tf.float32)
        found = tf.map_fn(self._explain, (images, asked), fn_output_signature=signature, parallel_iterations=1)
        return Explanation(
            found[LOGITS],
            found["features"],
            found[LAYER_INTEGRATED_GRADIENTS],
            found[GRAD_CAM_PLUS_PLUS],
            found.get("attention"),
        )

    def _explain(self, arguments: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Explains one image."""
        image, asked = arguments[0][None], arguments[1]
        slide = tf.cast(empty_slide(image), image.dtype)
        # All views of an empty slide are the same: it is one more row.
        trunk = self._trunk(tf.concat([views_lib.make_views(image, self._views), slide], axis=0), training=False)
        features = views_lib.align_features(trunk["features"][:-1], self._views)
        start = views_lib.align_features(tf.repeat(trunk["features"][-1:], self._views, axis=0), self._views)
        answers, gradients = self._differentiate(features)
        logits = answers[LOGITS]
        plus_plus = [grad_cam_plus_plus(features, slope, logits[:, index]) for index, slope in enumerate(gradients)]
        label = tf.where(asked == _PREDICTED, tf.argmax(logits[0], output_type=tf.int32), asked)
        slopes = self._differentiate_one(tf.concat(points_of_path(start, features), axis=0), label)
        early = [values[:-1] for values in trunk["early"]]
        found = {
            LOGITS: tf.cast(logits[0], tf.float32),
            "features": views_lib.join_features(image, early, views=self._views)[0],
            LAYER_INTEGRATED_GRADIENTS: layer_integrated_gradients(features - start, slopes)[0],
            GRAD_CAM_PLUS_PLUS: tf.concat(plus_plus, axis=0),
        }
        if self._attention_layer is not None:
            is_behind = "attention_input" in answers
            attention_input = answers["attention_input"] if is_behind else trunk["attention_input"][:-1]
            _, spatial = self._attention_layer.attention_maps(attention_input)
            found["attention"] = self._average_maps(tf.cast(spatial[..., 0], tf.float32))[0]
        return found

    def _average_maps(self, maps):
        if self._views == 1:
            return maps
        return tf.reduce_mean(views_lib.undo_views(views_lib.split_views(maps, self._views)), axis=0)

    def _differentiate(self, features):
        """Output of the head, and for each class the gradient of its score with respect to the aligned features."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(features)
            answers = self._ask_head(features)
            scores = tf.unstack(answers[LOGITS], axis=1)
        zero = tf.UnconnectedGradients.ZERO
        return answers, [tape.gradient(score, features, unconnected_gradients=zero) for score in scores]

    def _differentiate_one(self, points, label):
        """The gradient of one class's score at some points of the space of the aligned features."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            scores = tf.gather(self._ask_head(points)[LOGITS], label, axis=1)
        return tape.gradient(scores, points, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def _ask_head(self, features):
        """Output of the layers behind the aligned features, the logits being the mean over the views."""
        answers = self._head(views_lib.separate_features(features, self._views), training=False)
        if self._views > 1:
            answers |= {LOGITS: tf.reduce_mean(views_lib.split_views(answers[LOGITS], self._views), axis=0)}
        return answers


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


def points_of_path(start: tf.Tensor, end: tf.Tensor, *, steps: int = PATH_STEPS) -> list[tf.Tensor]:
    """The middles of `steps` equal parts of the straight path between two tensors of one shape."""
    return [start + (step + 0.5) / steps * (end - start) for step in range(steps)]


def layer_integrated_gradients(difference: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """The map of one class and one image (Sundararajan et al. 2017, equation 1, summed over the channels).

    It is smoothed over its neighbourhood before what speaks against the class is cut off: cells between which a
    strided convolution does not distinguish share their evidence at random.

    The highest cell of a map gets 1, whatever it says; but where all of it together says next to nothing, the map
    fades, by `total / (total + FAINT)` of the evidence that it shows.

    Args:
        difference: [1, h, w, K], features of the image minus those of the empty slide.
        gradients: [T, h, w, K], derivatives of the class score before softmax with respect to the features, at T points
            of the path between them.

    Returns:
        float32 [1, h, w], 0-1; zeros where nothing speaks for the class.
    """
    mean = tf.reduce_mean(tf.cast(gradients, tf.float32), axis=0, keepdims=True)
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
