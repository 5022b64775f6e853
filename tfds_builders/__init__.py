"""TFDS builders; importing this package registers the datasets, one of each name in `__all__`."""

from sperm_tf import missing_packages

try:
    from tfds_builders import hushem, own_images, smids, synthetic_fields, synthetic_sperm
except ModuleNotFoundError as error:
    raise ImportError(missing_packages.say(error)) from error

__all__ = ["hushem", "own_images", "smids", "synthetic_fields", "synthetic_sperm"]
