"""Version of sperm_tf, readable without importing the package."""

__version__ = "0.1.0"
