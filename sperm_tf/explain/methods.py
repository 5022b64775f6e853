"""Ways to map where a classifier looked, all with one signature, so that they can be held against each other.

    classifier = ExplainedClassifier(model, views=1)
    maps = explain("grad_cam", classifier, images, class_indices)  # [B, S, S], 0-1

Two of them do not use the network: a centre prior and an edge detector. A crop has its spermatozoon in the middle,
so a map that does no better than these says nothing about the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sperm_tf.explain.activation_maps import ClassActivationMaps, Explanation
from sperm_tf.explain.faithfulness import slide_images
from sperm_tf.models.classifier import explained_layer
from sperm_tf.models.views import build_averaged_classifier

GRADIENT_STEPS = 16
SCORE_CAM_CHANNELS = 32
_BATCH = 32  # images that the network sees at once
# Upsampled bilinearly, one cell of a 4x4 map, which EfficientNet makes of 128 pixels, is a tent of this deviation: the
# blob is as sharp as the sharpest peak of a class activation map.
_BLOB_DEVIATION = 0.1  # share of the side
_EDGE_SMOOTHING = 0.025
_SPIKE_PERCENTILE = 99  # of a pixel-level map, whose few highest values would leave the rest black
_EPSILON = 1e-7


class ExplainedClassifier:
    """A classifier with what its explanation needs, compiled once.

    Attributes:
        image_size: side S of its input in pixels.
        grid: side in cells of the layer that is explained.
        has_attention: whether it has a CBAM whose spatial attention is a map, too.

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`. Weights that change later change the maps.
        views: what the answer that is explained is averaged over, 1 or 8.

    Raises:
        ValueError: as `sperm_tf.explain.activation_maps.ClassActivationMaps`.
    """

    def __init__(self, model: keras.Model, *, views: int = 1):
        explainer = ClassActivationMaps(model, views=views)
        averaged = build_averaged_classifier(model, views=views)
        features = averaged.get_layer(explained_layer(averaged)).output
        self.image_size = averaged.input_shape[1]
        self.grid = features.shape[1]
        self.has_attention = any(layer.name.startswith("cbam_") for layer in model.layers)
        self._averaged = averaged
        self._trunk = keras.Model(averaged.inputs[0], features)
        self._head = keras.Model(features, averaged.outputs[0])
        images = tf.TensorSpec([None, self.image_size, self.image_size, 3], tf.float32)
        classes = tf.TensorSpec([None], tf.int32)
        self._answer = tf.function(lambda batch: averaged(batch, training=False), input_signature=[images])
        self.explain_in_graph = tf.function(
            lambda batch, labels: _maps_of(explainer(batch, labels)), input_signature=[images, classes]
        )
        self.extract = tf.function(lambda batch: self._trunk(batch, training=False), input_signature=[images])
        self.differentiate_features = tf.function(self._differentiate_features, input_signature=[images, classes])
        self.differentiate_pixels = tf.function(self._differentiate_pixels, input_signature=[images, classes])

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits, float32 [N, C], of images [N, S, S, 3], 0-255; N may be large."""
        batches = [self._answer(tf.cast(batch, tf.float32)).numpy() for batch in _batches(images)]
        return np.concatenate(batches).astype(np.float32)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Probabilities, float32 [N, C], not calibrated, of images [N, S, S, 3], 0-255; N may be large."""
        return tf.nn.softmax(self.logits(images)).numpy()

    def _differentiate_features(self, images, classes):
        features = self._trunk(images, training=False)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(features)
            scores = tf.gather(self._head(features, training=False), classes, axis=1, batch_dims=1)
        gradients = tape.gradient(scores, features, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.cast(features, tf.float32), tf.cast(gradients, tf.float32)

    def _differentiate_pixels(self, images, classes):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            scores = tf.gather(self._averaged(images, training=False), classes, axis=1, batch_dims=1)
        return tape.gradient(scores, images)


def explain(name: str, classifier: ExplainedClassifier, images: np.ndarray, class_indices: np.ndarray) -> np.ndarray:
    """Explains one class for each image.

    Args:
        name: from `METHODS`.
        classifier: what is explained.
        images: uint8 or float [B, S, S, 3], RGB, 0-255.
        class_indices: int [B], the class to explain for each image.

    Returns:
        float32 [B, S, S], 0-1: each map interpolated bilinearly to the size of the image, then stretched to 0-1 by
        itself; zeros where it is even, which says that the method found nothing.

    Raises:
        ValueError: there is no such method, an argument has another shape, or the model has no attention to show.
    """
    if name not in METHODS:
        raise ValueError(f"name must be one of {', '.join(METHODS)}. Received: name={name!r}.")
    images, classes = np.asarray(images, np.float32), np.asarray(class_indices, np.int32)
    side = classifier.image_size
    if images.shape[1:] != (side, side, 3) or classes.shape != images.shape[:1]:
        raise ValueError(
            f"images must be [B, {side}, {side}, 3], with one class each. Received: {list(images.shape)} and "
            f"{list(classes.shape)} classes. Preprocess with sperm_tf.data.preprocess"
        )
    maps = [METHODS[name](classifier, images[rows], classes[rows]) for rows in _batches(np.arange(len(images)))]
    return enlarge(np.concatenate(maps), side)


def enlarge(maps: np.ndarray, side: int) -> np.ndarray:
    """Brings maps to the size of the image and to one scale, as `explain` says.

    Args:
        maps: float [B, h, w].
        side: S in pixels.

    Returns:
        float32 [B, S, S], 0-1.
    """
    return _stretch(tf.image.resize(maps[..., None], (side, side)).numpy()[..., 0])


def methods_for(classifier: ExplainedClassifier) -> tuple[str, ...]:
    """Names of the methods that suit a classifier: all, without `cbam_attention` where it has none."""
    return tuple(name for name in METHODS if name != "cbam_attention" or classifier.has_attention)


def grad_cam(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391, equations 1 and 2), float32 [B, h, w]."""
    features, gradients = classifier.differentiate_features(images, classes)
    weights = tf.reduce_mean(gradients, axis=(1, 2))
    return tf.nn.relu(tf.einsum("bhwk,bk->bhw", features, weights)).numpy()


def grad_cam_plus_plus(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Grad-CAM++ as it is served, see `sperm_tf.explain.activation_maps`, float32 [B, h, w]."""
    return classifier.explain_in_graph(images, classes)[1].numpy()


def layer_cam(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """LayerCAM (Jiang et al., TIP 2021, doi:10.1109/TIP.2021.3089943, equations 6 to 8), float32 [B, h, w]."""
    features, gradients = classifier.differentiate_features(images, classes)
    return tf.nn.relu(tf.reduce_sum(tf.nn.relu(gradients) * features, axis=3)).numpy()


def layer_integrated_gradients(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Layer integrated gradients as they are served, see `sperm_tf.explain.activation_maps`, float32 [B, h, w]."""
    return classifier.explain_in_graph(images, classes)[0].numpy()


def score_cam(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Score-CAM (Wang et al., CVPRW 2020, arXiv:1910.01279), float32 [B, h, w].

    A channel weighs as much as the class's probability when the image is multiplied by that channel, stretched to 0-1.
    Only the `SCORE_CAM_CHANNELS` channels that vary most over the image are asked, as by "Faster Score-CAM" of
    tf-keras-vis, whose definition of the weight this is, too.
    """
    features = tf.cast(classifier.extract(images), tf.float32)
    num_channels = min(SCORE_CAM_CHANNELS, features.shape[-1])
    chosen = tf.math.top_k(tf.math.reduce_std(features, axis=(1, 2)), num_channels).indices
    features = tf.gather(features, chosen, axis=3, batch_dims=1).numpy()
    masks = np.moveaxis(tf.image.resize(features, images.shape[1:3]).numpy(), 3, 1)
    weights = [
        classifier.probabilities(image * _stretch(mask)[..., None])[:, label]
        for image, mask, label in zip(images, masks, classes, strict=True)
    ]
    return np.maximum(np.einsum("bhwk,bk->bhw", features, np.stack(weights)), 0)


def cbam_attention(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Spatial attention of the last CBAM, the same for every class, float32 [B, h', w']."""
    attention = classifier.explain_in_graph(images, classes)[2]
    if attention is None:
        raise ValueError("the model must have a CBAM. Received: one without. Leave out the method 'cbam_attention'")
    return attention.numpy()


def integrated_gradients(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """What every pixel adds to the score of the class, where it adds, float32 [B, S, S].

    The attributions of the three colours are summed, negative sums cut off as in Grad-CAM, and the highest percent of
    the pixels made alike.
    """
    evidence = np.maximum(attribute_pixels(classifier, images, classes).sum(axis=-1), 0)
    highest = np.percentile(evidence, _SPIKE_PERCENTILE, axis=(1, 2), keepdims=True)
    return np.minimum(evidence, np.where(highest > 0, highest, evidence))


def attribute_pixels(
    classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray, *, steps: int = GRADIENT_STEPS
) -> np.ndarray:
    """Integrated gradients (Sundararajan, Taly, Yan, ICML 2017, arXiv:1703.01365, equation 1).

    An empty place has no attribution, whatever the network does there, and the deletion test empties places, too: this
    method is favoured where maps are judged by the head or by deletion. It is a reference for them, not a rival.

    The path starts at the empty slide (`sperm_tf.explain.faithfulness.slide_images`), where there is nothing to see,
    and the integral is a sum over the middles of equal steps. The attributions of an image sum to the score of the
    class minus that of the empty slide (completeness, proposition 1), but for the error of the sum.

    Args:
        classifier: what is explained.
        images: float32 [B, S, S, 3], RGB, 0-255.
        classes: int32 [B].
        steps: of the path.

    Returns:
        float32 [B, S, S, 3], in units of the logit.
    """
    start = slide_images(images)
    total = np.zeros_like(images)
    for step in range(steps):
        total += classifier.differentiate_pixels(start + (step + 0.5) / steps * (images - start), classes).numpy()
    return (images - start) * total / steps


def centre(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The centre prior, a Gaussian in the middle of every image, float32 [B, S, S]; a baseline."""
    del classifier, classes
    offsets = (np.arange(images.shape[1]) + 0.5) / images.shape[1] - 0.5
    profile = np.exp(-(offsets**2) / (2 * _BLOB_DEVIATION**2))
    return np.repeat(np.outer(profile, profile)[None].astype(np.float32), len(images), axis=0)


def edges(classifier: ExplainedClassifier, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Sobel magnitude of the grey image, smoothed, float32 [B, S, S]; a baseline (Adebayo et al. 2018, section 5.2)."""
    from skimage import color, filters

    del classifier, classes
    magnitudes = [filters.sobel(color.rgb2gray(image / 255)) for image in images]
    deviation = _EDGE_SMOOTHING * images.shape[1]
    return np.stack([filters.gaussian(magnitude, deviation) for magnitude in magnitudes]).astype(np.float32)


METHODS: dict[str, Callable[[ExplainedClassifier, np.ndarray, np.ndarray], np.ndarray]] = {
    "grad_cam": grad_cam,
    "grad_cam_plus_plus": grad_cam_plus_plus,
    "layer_cam": layer_cam,
    "layer_integrated_gradients": layer_integrated_gradients,
    "score_cam": score_cam,
    "cbam_attention": cbam_attention,
    "integrated_gradients": integrated_gradients,
    "centre": centre,
    "edges": edges,
}


def _maps_of(explanation: Explanation) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    return explanation.layer_integrated_gradients, explanation.grad_cam_plus_plus, explanation.cbam_attention


def _batches(rows: Any) -> list[Any]:
    return [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]


def _stretch(maps: np.ndarray) -> np.ndarray:
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    is_even = high - low <= _EPSILON * np.abs(high)
    return np.where(is_even, 0, (maps - low) / np.where(is_even, 1, high - low)).astype(np.float32)
