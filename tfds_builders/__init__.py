"""TFDS builders; importing this package registers `smids`, `hushem` and `synthetic_sperm`."""

from tfds_builders import hushem, smids, synthetic_sperm

__all__ = ["hushem", "smids", "synthetic_sperm"]
