"""The network that parses fields of view: EfficientNet-Lite0 and a light decoder, fully convolutional.

Bottom-up, as Panoptic-DeepLab (Cheng et al. 2020, arXiv:1911.10194), with the encoder's first five stages: everything
that tells the parts of a cell lies within `RECEPTIVE_PX`. There is no squeeze-and-excite and no pooling over the image,
so a tile has the prediction of the whole field. BatchNormalization of the encoder is folded into its convolutions:
its statistics stay those of ImageNet, and a training step is faster.
"""

from __future__ import annotations

import keras
from keras import layers

from sperm_tf.fields.parsing import CENTERS, OFFSETS, PART_NAMES, PARTS, VACUOLES
from sperm_tf.layers.enlargement import DoubleSize
from sperm_tf.models import half_precision, imagenet_lite0, released
from sperm_tf.models.batch_norm_folding import fold_batch_norm
from sperm_tf.models.efficientnet_lite import build_lite0

SIZE_MULTIPLE = 16
"""Height and width of images are multiples of it, and so are the origins of tiles."""
RECEPTIVE_PX = 245
"""Pixels beyond which nothing changes a prediction, on each side."""
_SKIPS = ("block1a_project_bn", "block2b_add", "block3b_add", "block5c_add")  # at strides 2, 4, 8, 16
_WIDTHS = (32, 48, 64, 96)  # channels of the decoder at these strides
_RARE = -4.6  # logit of 0.01: centres are few (Lin et al. 2017, arXiv:1708.02002, section 4.1)


def build_field_parser(weights: str = "none") -> keras.Model:
    """Builds the network.

    Args:
        weights: `imagenet_lite0` for the encoder, `none`, or an `.npz` file of such a network, as
            `sperm_tf.models.half_precision.save_weights` writes it.

    Returns:
        Model images [B, H, W, 3], RGB, 0-255, of any height and width that `SIZE_MULTIPLE` divides -> the outputs of
        `sperm_tf.fields.parsing.OUTPUTS` by name.

    Raises:
        ValueError: the weights have another name.
        WeightsError: the package with the weights is not installed, or the file does not fit.
    """
    is_file = weights.endswith(released.RELEASE_SUFFIX)
    if weights not in ("none", imagenet_lite0.NAME) and not is_file:
        raise ValueError(
            f"weights must be 'none', {imagenet_lite0.NAME!r} or a {released.RELEASE_SUFFIX} file. Received: "
            f"weights={weights!r}."
        )
    encoder = _build_encoder(weights)
    features = _separable(encoder.outputs[-1], _WIDTHS[-1], 3, "decoder16")
    for stride, skip, width in zip((8, 4, 2), encoder.outputs[-2::-1], _WIDTHS[-2::-1], strict=True):
        name = f"decoder{stride}"
        features = DoubleSize(name=f"{name}_enlarge")(features)
        features = layers.Concatenate(name=f"{name}_join")([features, skip])
        features = _separable(features, width, 5, name)
    shown, grouped = _separable(features, _WIDTHS[0], 3, "head_parts"), _separable(features, 32, 5, "head_cells")
    outputs = {
        PARTS: layers.Conv2D(len(PART_NAMES), 1, name=PARTS)(shown),
        VACUOLES: layers.Conv2D(1, 1, name=VACUOLES)(shown),
        CENTERS: layers.Conv2D(1, 1, bias_initializer=keras.initializers.Constant(_RARE), name=CENTERS)(grouped),
        OFFSETS: layers.Conv2D(2, 1, name=OFFSETS)(grouped),
    }
    parser = keras.Model(encoder.inputs[0], outputs, name="field_parser")
    if is_file:
        half_precision.assign_layers(parser.layers, half_precision.read_weights(weights))
    return parser


def freeze_early_stages(parser: keras.Model, stages: int = 2) -> None:
    """Keeps the stem and the first stages of the encoder as they are, which saves most of a step's memory and time.

    Args:
        parser: of `build_field_parser`.
        stages: 0-5.
    """
    frozen = ("stem_", *(f"block{stage}" for stage in range(1, stages + 1)))
    for layer in parser.layers:
        layer.trainable = not layer.name.startswith(frozen)


def _build_encoder(weights: str) -> keras.Model:
    """The first five stages, with BatchNormalization folded; outputs at strides 2, 4, 8 and 16."""
    plain = build_lite0(None)
    if weights == imagenet_lite0.NAME:
        imagenet_lite0.assign(plain)
    outputs = [plain.get_layer(name).output for name in _SKIPS]
    return fold_batch_norm(keras.Model(plain.inputs[0], outputs, name="encoder"))


def _separable(features: keras.KerasTensor, channels: int, kernel: int, name: str) -> keras.KerasTensor:
    """A depthwise and a pointwise convolution, each with BatchNormalization and ReLU."""
    features = layers.DepthwiseConv2D(kernel, padding="same", use_bias=False, name=f"{name}_dwconv")(features)
    features = layers.BatchNormalization(momentum=0.98, epsilon=1e-3, name=f"{name}_dwbn")(features)
    features = layers.ReLU(name=f"{name}_dwactivation")(features)
    features = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_conv")(features)
    features = layers.BatchNormalization(momentum=0.98, epsilon=1e-3, name=f"{name}_bn")(features)
    return layers.ReLU(name=f"{name}_activation")(features)
