"""TFDS builders; importing this package registers `smids`, `hushem`, `synthetic_sperm` and `own_images`."""

from sperm_tf import missing_packages

try:
    from tfds_builders import hushem, own_images, smids, synthetic_sperm
except ModuleNotFoundError as error:
    raise ImportError(missing_packages.say(error)) from error

__all__ = ["hushem", "own_images", "smids", "synthetic_sperm"]
