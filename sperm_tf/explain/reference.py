"""The maps of the graph once more, by other code: slow, and what they are held against.

Grad-CAM++ is that of tf-keras-vis, which is widely used. It has no layer integrated gradients: these are computed by
NumPy and SciPy, step by step; TensorFlow answers and differentiates alone.
"""

from __future__ import annotations

import keras
import numpy as np

from sperm_tf.explain.activation_maps import EPSILON, FAINT, SMOOTHING
from sperm_tf.explain.faithfulness import slide_images
from sperm_tf.models.classifier import explained_layer, path_steps
from sperm_tf.served_names import GRAD_CAM_PLUS_PLUS, LAYER_INTEGRATED_GRADIENTS


def reference_maps(method: str, model: keras.Model, images: np.ndarray, *, class_indices: list[int]) -> np.ndarray:
    """Explains one class for each image.

    Args:
        method: `layer_integrated_gradients` or `grad_cam_plus_plus`.
        model: flat functional model with a layer `explained_layer(model)`, float32; its outputs are logits.
        images: float32 [B, S, S, 3], in the range that the model takes.
        class_indices: the class to explain for each of the B images.

    Returns:
        float32 [B, h, w], 0-1, at the resolution of that layer. NaN where exp(score) of Grad-CAM++ leaves float32.

    Raises:
        ValueError: there is not one class for each image.
    """
    if len(class_indices) != len(images):
        raise ValueError(
            f"class_indices must hold one class for each of {len(images)} images. "
            f"Received: class_indices={class_indices}. Repeat the class for every image"
        )
    compute = {LAYER_INTEGRATED_GRADIENTS: _integrate, GRAD_CAM_PLUS_PLUS: _ask_tf_keras_vis}[method]
    return compute(model, images, [int(index) for index in class_indices])


def _ask_tf_keras_vis(model: keras.Model, images: np.ndarray, class_indices: list[int]) -> np.ndarray:
    """Grad-CAM++ of the layer that is explained.

    The defaults of tf-keras-vis do not suit this model: they look for the last convolution, and in CBAM find the one
    that computes a single attention channel. So the layer is named, and not searched from.
    """
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.utils.scores import CategoricalScore

    explainer = GradcamPlusPlus(model)  # without a modifier, which could change the model for good
    maps = explainer(
        CategoricalScore(class_indices),
        images,
        penultimate_layer=explained_layer(model),
        seek_penultimate_conv_layer=False,
        expand_cam=False,
    )
    return np.asarray(maps)


def _integrate(model: keras.Model, images: np.ndarray, class_indices: list[int]) -> np.ndarray:
    import tensorflow as tf
    from scipy import ndimage

    features = model.get_layer(explained_layer(model)).output
    trunk, head = keras.Model(model.inputs[0], features), keras.Model(features, model.outputs[0])
    maps, steps = [], path_steps(model)
    for image, label in zip(np.asarray(images, np.float32), class_indices, strict=True):
        start, end = (np.asarray(trunk(batch), np.float64) for batch in (slide_images(image[None]), image[None]))
        total = np.zeros_like(end)
        for step in range(steps):
            point = tf.constant(start + (step + 0.5) / steps * (end - start), tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(point)
                score = head(point)[0, label]
            total += np.asarray(tape.gradient(score, point), np.float64)
        evidence = ((end - start) * total / steps).sum(axis=-1)[0]
        evidence = np.maximum(ndimage.gaussian_filter(evidence, [SMOOTHING * side for side in evidence.shape]), 0)
        strength = evidence.sum() / (evidence.sum() + FAINT)
        maps.append(strength * (evidence - evidence.min()) / (evidence.max() - evidence.min() + EPSILON))
    return np.array(maps, np.float32)
