"""Sperm morphology classification that is accurate, explained, honest about what it does not know, and deployable."""

from sperm_tf.version import __version__

__all__ = ["__version__"]
