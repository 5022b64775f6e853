"""Importing this package registers the dataset `hushem`."""

from tfds_builders.hushem.hushem_dataset_builder import Builder

__all__ = ["Builder"]
