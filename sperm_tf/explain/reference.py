"""LayerCAM and Grad-CAM++ by tf-keras-vis: slow, widely used, and the reference for the maps of the graph."""

from __future__ import annotations

import keras
import numpy as np

from sperm_tf.models.classifier import explained_layer


def reference_maps(method: str, model: keras.Model, images: np.ndarray, *, class_indices: list[int]) -> np.ndarray:
    """Explains one class for each image.

    Its defaults do not suit this model: they look for the last convolution, and in CBAM find the one that computes a
    single attention channel. So the layer is named, and not searched from.

    Args:
        method: `layer_cam` or `grad_cam_plus_plus`.
        model: flat functional model with a layer `explained_layer(model)`, float32; its outputs are logits.
        images: float32 [B, S, S, 3], in the range that the model takes.
        class_indices: the class to explain for each of the B images.

    Returns:
        float32 [B, h, w], 0-1, at the resolution of that layer. NaN where exp(score) of Grad-CAM++ leaves float32.

    Raises:
        ValueError: there is not one class for each image.
    """
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.utils.scores import CategoricalScore

    if len(class_indices) != len(images):
        raise ValueError(
            f"class_indices must hold one class for each of {len(images)} images. "
            f"Received: class_indices={class_indices}. Repeat the class for every image"
        )
    kind = {"layer_cam": Layercam, "grad_cam_plus_plus": GradcamPlusPlus}[method]
    explainer = kind(model)  # without a modifier, which could change the model for good
    maps = explainer(
        CategoricalScore([int(index) for index in class_indices]),
        images,
        penultimate_layer=explained_layer(model),
        seek_penultimate_conv_layer=False,
        expand_cam=False,
    )
    return np.asarray(maps)
