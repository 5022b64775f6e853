"""Layers of the networks; importing them makes `keras.models.load_model` know them."""

from sperm_tf.layers.attention import CBAM, ChannelAttention, SpatialAttention
from sperm_tf.layers.enlargement import DoubleSize
from sperm_tf.layers.position_embedding import PositionEmbedding
from sperm_tf.layers.random_affine import RandomAffine
from sperm_tf.layers.random_quality import RandomNoise, RandomStain
from sperm_tf.layers.view_consistency import RandomView, ViewConsistency
from sperm_tf.layers.white_point import WhitePoint

__all__ = [
    "CBAM",
    "ChannelAttention",
    "DoubleSize",
    "PositionEmbedding",
    "RandomAffine",
    "RandomNoise",
    "RandomStain",
    "RandomView",
    "SpatialAttention",
    "ViewConsistency",
    "WhitePoint",
]
