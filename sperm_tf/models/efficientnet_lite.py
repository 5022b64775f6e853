"""EfficientNet-Lite0, with CBAM after any of its blocks, as one flat functional model.

EfficientNet-B0 without squeeze-and-excite and with ReLU6 for swish, so that it runs fast on processors and converts to
any runtime. Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
arXiv:1905.11946, in the variant https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from __future__ import annotations

import keras
from keras import layers

from sperm_tf.config import ModelConfig
from sperm_tf.models import imagenet_lite0, released
from sperm_tf.models import weights as weights_lib
from sperm_tf.models.cbam_insertion import insert_cbam
from sperm_tf.models.efficientnet import check_places

# Kernel, repeats, channels, expansion, stride of the first repeat: those of EfficientNet-B0.
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
_STEM_CHANNELS, _TOP_CHANNELS = 32, 1280
_NORM_EPSILON, _DROP_RATE = 1e-3, 0.2
_KERNEL_INIT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}


def build_efficientnet_lite0(image: keras.KerasTensor, config: ModelConfig) -> keras.Model:
    """The network without CBAM.

    Args:
        image: input [B, S, S, 3], S >= 32, 0-255; the network rescales inside.
        config: `weights` is `imagenet_lite0`, `none`, a release or a file, see `sperm_tf.models.weights`.

    Returns:
        Model image -> features [B, ceil(S/32), ceil(S/32), 1280].

    Raises:
        WeightsError: the weights cannot be had or do not fit.
    """
    return _build(image, config, cbam_after=())


def build_efficientnet_lite0_cbam(image: keras.KerasTensor, config: ModelConfig) -> keras.Model:
    """The network with CBAM layers `cbam_<where>`, see `sperm_tf.models.cbam_insertion`; else as without.

    Raises:
        ValueError: no place for a CBAM is named, or one is unknown, named twice, or has fewer channels than
            `reduction`.
        WeightsError: the weights cannot be had or do not fit.
    """
    check_places(config)
    return _build(image, config, cbam_after=config.cbam_after)


def build_lite0(image_size: int | None) -> keras.Model:
    """The network without top and without CBAM, with random weights; layers are named as in `keras.applications`.

    Args:
        image_size: S >= 32, pixels; None for images of any size.

    Returns:
        Model images [B, S, S, 3], 0-255 -> features [B, ceil(S/32), ceil(S/32), 1280].
    """
    image = keras.Input((image_size, image_size, 3))
    offset, scale = imagenet_lite0.PIXEL_OFFSET, imagenet_lite0.PIXEL_SCALE
    features = layers.Rescaling(1 / scale, offset=-offset / scale, name="rescale_pixels")(image)
    features = _convolve(features, _STEM_CHANNELS, "stem", kernel=3, stride=2)
    number, count = 0, sum(repeats for _, repeats, *_ in _STAGES)
    for stage, (kernel, repeats, channels, expansion, stride) in enumerate(_STAGES, start=1):
        for repeat in range(repeats):
            features = _block(
                features,
                f"block{stage}{chr(ord('a') + repeat)}_",
                kernel=kernel,
                channels=channels,
                expansion=expansion,
                stride=stride if repeat == 0 else 1,
                drop_rate=_DROP_RATE * number / count,
            )
            number += 1
    return keras.Model(image, _convolve(features, _TOP_CHANNELS, "top", kernel=1), name="efficientnet_lite0")


def _build(image: keras.KerasTensor, config: ModelConfig, *, cbam_after: tuple[str, ...]) -> keras.Model:
    plain, pretrained = build_lite0(image.shape[1]), {}
    if config.weights == imagenet_lite0.NAME:
        imagenet_lite0.assign(plain)
    elif (file := released.find_weights_file(config.weights)) is not None:
        pretrained = weights_lib.load_weights_file(plain, file)
    return insert_cbam(
        image,
        plain,
        cbam_after=cbam_after,
        reduction=config.reduction,
        norm_momentum=config.norm_momentum,
        pretrained=pretrained,
    )


def _block(
    inputs: keras.KerasTensor,
    name: str,
    *,
    kernel: int,
    channels: int,
    expansion: int,
    stride: int,
    drop_rate: float,
) -> keras.KerasTensor:
    """An inverted residual block; its images are dropped with `drop_rate` while training (stochastic depth)."""
    features = inputs
    if expansion > 1:
        features = _convolve(features, expansion * inputs.shape[-1], f"{name}expand")
    features = layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=_KERNEL_INIT,
        name=f"{name}dwconv",
    )(features)
    features = _normalize(features, name, activate=True)
    features = _convolve(features, channels, f"{name}project", activate=False)
    if stride > 1 or inputs.shape[-1] != channels:
        return features
    if drop_rate > 0:
        features = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(features)
    return layers.Add(name=f"{name}add")([features, inputs])


def _convolve(
    features: keras.KerasTensor, channels: int, name: str, *, kernel: int = 1, stride: int = 1, activate: bool = True
) -> keras.KerasTensor:
    features = layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=_KERNEL_INIT,
        name=f"{name}_conv",
    )(features)
    return _normalize(features, f"{name}_", activate=activate)


def _normalize(features: keras.KerasTensor, name: str, *, activate: bool) -> keras.KerasTensor:
    features = layers.BatchNormalization(epsilon=_NORM_EPSILON, name=f"{name}bn")(features)
    return layers.ReLU(6, name=f"{name}activation")(features) if activate else features
