"""Versions of sperm_tf, readable without importing the package."""

__version__ = "0.1.0"

RECIPE_VERSION = 1
"""Raised when the same `TrainerConfig` comes to mean another training: results of one are not taken for the other's."""
