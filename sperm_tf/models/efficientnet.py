"""EfficientNetB0, with CBAM after any of its blocks, as one flat functional model.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
arXiv:1905.11946, as `keras.applications` builds it.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from sperm_tf.config import ModelConfig
from sperm_tf.models import imagenet_lite0, released
from sperm_tf.models import weights as weights_lib
from sperm_tf.models.cbam_insertion import insert_cbam

# Keras Applications stores ImageNet's standard deviations where its Normalization layer expects variances, and
# makes up for it by one more division by sqrt(std): https://github.com/tensorflow/tensorflow/issues/49930
_IMAGENET_STDDEV_RGB = (0.229, 0.224, 0.225)

# Keras numbers these three by their count in the process; a weights file needs names that stay.
_STABLE_NAMES = ("rescale_pixels", "normalize_pixels", "rescale_imagenet")


def build_efficientnet_b0(image: keras.KerasTensor, config: ModelConfig) -> keras.Model:
    """The network without CBAM, see `build_with_cbam`."""
    return build_with_cbam(
        image, weights=config.weights, cbam_after=(), reduction=config.reduction, norm_momentum=config.norm_momentum
    )


def build_efficientnet_b0_cbam(image: keras.KerasTensor, config: ModelConfig) -> keras.Model:
    """The network with CBAM, see `build_with_cbam`.

    Raises:
        ValueError: no place for a CBAM is named; or as there.
    """
    check_places(config)
    return build_with_cbam(
        image,
        weights=config.weights,
        cbam_after=config.cbam_after,
        reduction=config.reduction,
        norm_momentum=config.norm_momentum,
    )


def build_with_cbam(
    image: keras.KerasTensor, *, weights: str, cbam_after: Sequence[str], reduction: int, norm_momentum: float
) -> keras.Model:
    """EfficientNetB0 of `keras.applications` without its top, with CBAM layers `cbam_<where>` inserted.

    Args:
        image: input [B, S, S, 3], S >= 32, 0-255; the network rescales inside.
        weights: `imagenet`, `imagenet_lite0` (of the convolutions and their BatchNormalization; squeeze-and-excite
            starts at random), `none`, a release or a file, see `sperm_tf.models.weights`.
        cbam_after: places, see `sperm_tf.models.cbam_insertion.resolve_places`.
        reduction: of `CBAM`.
        norm_momentum: momentum of BatchNormalization.

    Returns:
        Model image -> features [B, ceil(S/32), ceil(S/32), 1280].

    Raises:
        WeightsError: the weights cannot be had or do not fit.
        ValueError: a place is unknown, named twice, or has fewer channels than `reduction`.
    """
    plain, pretrained = _build_plain(image, weights)
    correction = {}
    if _lacks_imagenet_rescaling(plain):
        scale = [1 / stddev**0.5 for stddev in _IMAGENET_STDDEV_RGB]
        correction = {"normalize_pixels": keras.layers.Rescaling(scale, name="rescale_imagenet")}
    return insert_cbam(
        image,
        plain,
        cbam_after=cbam_after,
        reduction=reduction,
        norm_momentum=norm_momentum,
        names=_stable_names(plain),
        inserted=correction,
        pretrained=pretrained,
    )


def check_places(config: ModelConfig) -> None:
    """Stops where a network with CBAM has no place for one.

    Raises:
        ValueError: `config.cbam_after` is empty.
    """
    if not config.cbam_after:
        raise ValueError(
            "model.cbam_after must name at least one place. Received: cbam_after=(). For no CBAM set "
            f"model.name={config.name.removesuffix('_cbam')!r}."
        )


def _build_plain(image: keras.KerasTensor, weights: str) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """The network without CBAM, and all arrays of the classifier that its weights came from, if it was one."""

    def build(source: str | None) -> keras.Model:
        return keras.applications.EfficientNetB0(include_top=False, weights=source, input_shape=image.shape[1:])

    if weights == "imagenet":
        return weights_lib.build_with_imagenet_weights(lambda: build("imagenet")), {}
    plain = build(None)
    if weights == imagenet_lite0.NAME:
        _start_from_lite0(plain)
        return plain, {}
    file = released.find_weights_file(weights)
    return plain, {} if file is None else weights_lib.load_weights_file(plain, file, names=_stable_names(plain))


def _start_from_lite0(plain: keras.Model) -> None:
    """Gives EfficientNetB0 the pixels' scale, the convolutions and the BatchNormalization of EfficientNet-Lite0."""
    normalization = next(layer for layer in plain.layers if isinstance(layer, keras.layers.Normalization))
    offset, scale = imagenet_lite0.PIXEL_OFFSET / 255, imagenet_lite0.PIXEL_SCALE / 255
    normalization.set_weights([np.full(3, offset), np.full(3, scale**2), np.array(0)])
    normalization.finalize_state()
    imagenet_lite0.assign(plain)


def _stable_names(plain: keras.Model) -> dict[str, str]:
    preprocessing = [
        layer.name for layer in plain.layers if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization))
    ]
    return dict(zip(preprocessing, _STABLE_NAMES, strict=False))


def _lacks_imagenet_rescaling(plain: keras.Model) -> bool:
    """Whether the weights came from ImageNet through a file, for which Keras leaves its correction out."""
    if len(_stable_names(plain)) == len(_STABLE_NAMES):
        return False
    normalization = next(layer for layer in plain.layers if isinstance(layer, keras.layers.Normalization))
    variance = np.ravel(keras.ops.convert_to_numpy(normalization.adapt_variance))
    return np.allclose(variance, _IMAGENET_STDDEV_RGB, atol=1e-4)
