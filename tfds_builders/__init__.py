"""TFDS builders; importing this package registers `smids`, `hushem`, `synthetic_sperm` and `own_images`."""

from tfds_builders import hushem, own_images, smids, synthetic_sperm

__all__ = ["hushem", "own_images", "smids", "synthetic_sperm"]
