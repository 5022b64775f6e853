"""The backbones: one entry each, with everything that the rest of the package knows about it by its name.

To add one, write a module in `sperm_tf/models` with a builder, and its entry in `BACKBONES`. Nothing else switches on a
model's name: the configuration, the recipes of cross-validations, the out-of-distribution score, the attribution maps,
the commands and the reports look here. `sperm_tf.models.classifier.build_classifier` refuses a builder that does not
keep what its entry says.

Imports nothing heavy, and nothing of this package: the configuration checks names against it.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Backbone:
    """What there is to know about a backbone.

    Attributes:
        builder: `module:function`, imported when a model is built. The function takes the input, a Keras tensor
            [B, S, S, 3] of 0-255, and the `sperm_tf.config.ModelConfig`; it returns a flat functional model from that
            input to features [B, h, w, C]. The image enters its layer `rescale_pixels`, which may be the only one that
            rescales; layers of a CBAM are called `cbam_<where>`.
        min_image_size: smallest S in pixels.
        early_layers: names of the layers whose feature statistics make the out-of-distribution score
            (`sperm_tf.models.style`): two near the input, such as those at a half and a quarter of its resolution. The
            last feature map does not do: it forgets what does not tell the classes apart.
        explained_layer: name of the layer that attribution maps are made of. Every path to the logits leads through it;
            `feature_map` is the last one. Which one is best was measured (docs/decisions/attribution_maps.md).
        path_steps: points of the path from the attribution baseline to the image at which layer integrated gradients
            take gradients.
        image_size_multiple: S is a multiple of it.
        imagenet_weights: names of the weights trained on ImageNet that it may start from, `imagenet` of Keras
            Applications or `imagenet_lite0`. If there are any, the builder loads `config.weights` itself, since it
            knows how those of ImageNet are made; if not, what `config.weights` names is loaded into what the builder
            returns.
        initial_weights: what a cross-validation starts it from. Backbones with the same share the preset's weights; the
            others start from theirs, those with `none` at random, with no frozen phase and more epochs.
        extra: extra of this package that its initial weights need; such a backbone is cross-validated only where it is
            named.
        has_cbam: whether `config.cbam_after` and `config.reduction` apply.
        has_stages: whether its layers are named after the stages of an EfficientNet, `block1` to `block7`, so that
            `trainer.frozen_stages` applies.
        max_learning_rate: highest peak rate of its training in a cross-validation; None takes the preset's.
        warmup_share: share of the steps, 0-1, over which its rate rises there; None takes the preset's.
    """

    builder: str
    min_image_size: int
    early_layers: tuple[str, ...]
    explained_layer: str
    path_steps: int = 4
    image_size_multiple: int = 1
    imagenet_weights: tuple[str, ...] = ()
    initial_weights: str = "none"
    extra: str = ""
    has_cbam: bool = False
    has_stages: bool = False
    max_learning_rate: float | None = None
    warmup_share: float | None = None

    def __post_init__(self) -> None:
        if not (self.early_layers and self.explained_layer):
            raise ValueError(
                "early_layers and explained_layer must name layers. Received: "
                f"early_layers={self.early_layers!r}, explained_layer={self.explained_layer!r} for {self.builder}. "
                "Name two layers near the input, and the one that maps are made of."
            )
        if self.builder.count(":") != 1:
            raise ValueError(
                f"builder must be <module>:<function>. Received: builder={self.builder!r}. Write it as "
                "sperm_tf.models.vit:build_vit_tiny."
            )

    def load_builder(self) -> Callable[..., Any]:
        """Imports the builder, and Keras with it."""
        module, _, function = self.builder.partition(":")
        return getattr(importlib.import_module(module), function)


# The feature map is too coarse to explain: 4x4 cells of a 128-pixel crop, in which a trained network keeps what it
# found wherever it likes.
_efficientnet = functools.partial(
    Backbone, min_image_size=32, early_layers=("block1a_project_bn", "block2b_add"), has_stages=True
)
_efficientnet_b0 = functools.partial(
    _efficientnet,
    explained_layer="block3a_expand_activation",  # the last one at a quarter of the input's resolution
    imagenet_weights=("imagenet", "imagenet_lite0"),
    initial_weights="synthetic",
)
_efficientnet_lite0 = functools.partial(
    _efficientnet,
    # The last activation at a sixteenth. Gradients of ReLU6 at earlier layers need more steps to say as much.
    explained_layer="block6a_expand_activation",
    path_steps=3,
    imagenet_weights=("imagenet_lite0",),
    initial_weights="imagenet_lite0",
    extra="imagenet",
)

BACKBONES: dict[str, Backbone] = {
    "simple_cnn": Backbone(
        "sperm_tf.models.simple_cnn:build_simple_cnn",
        min_image_size=16,
        early_layers=("stage1_relu", "stage2_relu"),
        explained_layer="feature_map",
    ),
    "efficientnet_b0": _efficientnet_b0(
        "sperm_tf.models.efficientnet:build_efficientnet_b0",
    ),
    "efficientnet_b0_cbam": _efficientnet_b0(
        "sperm_tf.models.efficientnet:build_efficientnet_b0_cbam",
        has_cbam=True,
    ),
    "efficientnet_lite0": _efficientnet_lite0(
        "sperm_tf.models.efficientnet_lite:build_efficientnet_lite0",
    ),
    "efficientnet_lite0_cbam": _efficientnet_lite0(
        "sperm_tf.models.efficientnet_lite:build_efficientnet_lite0_cbam",
        has_cbam=True,
    ),
    "vit_tiny": Backbone(
        "sperm_tf.models.vit:build_vit_tiny",
        min_image_size=16,
        image_size_multiple=16,  # the side of its patches
        early_layers=("patch_embedding", "block2_mlp_add"),
        explained_layer="feature_map",
        max_learning_rate=1e-4,  # at the 1e-3 of the other networks it learns next to nothing
        warmup_share=0.15,
    ),
}
"""Name, as in `ModelConfig.name` -> its entry, in the order in which tables show them."""
DEFAULT_BACKBONES = tuple(name for name, entry in BACKBONES.items() if not entry.extra)
"""What is cross-validated where nobody names others."""


def find_backbone(name: str) -> Backbone:
    """The entry of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in BACKBONES:
        raise ValueError(
            f"model.name must be one of {', '.join(BACKBONES)}. Received: model.name={name!r}. Choose one of them, or "
            "add an entry to sperm_tf.models.registry.BACKBONES."
        )
    return BACKBONES[name]
