"""A Vision Transformer of 5.5 million parameters.

Sources: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv:2010.11929, for the architecture; Touvron
et al., "Training data-efficient image transformers", ICML 2021, arXiv:2012.12877, table 1, for the size "Ti".
"""

from __future__ import annotations

import keras

from sperm_tf.config import ModelConfig
from sperm_tf.layers.position_embedding import PositionEmbedding

PATCH_SIZE = 16
WIDTH = 192
NUM_HEADS = 3
DEPTH = 12
MLP_RATIO = 4
NORM_EPSILON = 1e-6  # of the authors' code, as is the 0.02 below


def build_vit_tiny(image: keras.KerasTensor, config: ModelConfig) -> keras.Model:
    """Patches of 16 by 16 pixels, position embeddings, and 12 blocks that normalize before each of their two parts.

    Departs from the paper where the house form of a classifier asks for a feature map: there is no class token, and
    the patches come out in their places, for the head to average over (the paper, appendix D.3, finds both equal).

    Args:
        image: input [B, S, S, 3], S a multiple of 16, 0-255; rescaled to -1 to 1 inside.
        config: of which nothing applies here.

    Returns:
        Model image -> features [B, S/16, S/16, 192].
    """
    del config
    features = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale_pixels")(image)
    features = keras.layers.Conv2D(
        WIDTH, PATCH_SIZE, strides=PATCH_SIZE, kernel_initializer=_initializer(), name="patch_embedding"
    )(features)
    grid = features.shape[1:]
    features = PositionEmbedding(name="position_embedding")(features)
    tokens = keras.layers.Reshape((-1, WIDTH), name="tokens")(features)
    for number in range(1, DEPTH + 1):
        tokens = transformer_block(tokens, name=f"block{number}", num_heads=NUM_HEADS)
    tokens = _normalize(tokens, "norm")
    features = keras.layers.Reshape(grid, name="grid")(tokens)
    return keras.Model(image, features, name="vit_tiny")


def transformer_block(tokens: keras.KerasTensor, *, name: str, num_heads: int) -> keras.KerasTensor:
    """Self-attention, then a two-layer MLP, each behind a normalization and beside a skip connection.

    Args:
        tokens: [B, N, C], C a multiple of `num_heads`.
        name: what the names of the block's layers begin with.
        num_heads: attention heads, each of C / num_heads channels.

    Returns:
        Tokens [B, N, C].
    """
    width = tokens.shape[-1]
    normalized = _normalize(tokens, f"{name}_attention_norm")
    attended = keras.layers.MultiHeadAttention(
        num_heads, width // num_heads, kernel_initializer=_initializer(), name=f"{name}_attention"
    )(normalized, normalized)
    tokens = keras.layers.Add(name=f"{name}_attention_add")([tokens, attended])
    hidden = _normalize(tokens, f"{name}_mlp_norm")
    hidden = keras.layers.Dense(
        MLP_RATIO * width, activation="gelu", kernel_initializer=_initializer(), name=f"{name}_mlp_expand"
    )(hidden)
    hidden = keras.layers.Dense(width, kernel_initializer=_initializer(), name=f"{name}_mlp_project")(hidden)
    return keras.layers.Add(name=f"{name}_mlp_add")([tokens, hidden])


def _normalize(tokens: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.LayerNormalization(epsilon=NORM_EPSILON, name=name)(tokens)


def _initializer() -> keras.initializers.Initializer:
    # One for every layer: an initializer that is used twice gives the same numbers twice.
    return keras.initializers.TruncatedNormal(stddev=0.02)
